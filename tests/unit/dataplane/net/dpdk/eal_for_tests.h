// EAL for a test program: started by the first test that needs it, on ordinary pages.
#pragma once

#include <string>
#include <vector>

#include "dataplane/net/dpdk/eal.h"

namespace nearfield::net::dpdk {

// Lines DPDK has written so far.
std::vector<std::string>& logged_lines();

// Starts EAL once; asserts that it does.
void ensure_eal();

}  // namespace nearfield::net::dpdk
