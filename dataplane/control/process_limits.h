// What the process may use of the machine: descriptors and CPUs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nearfield::control {

// Raises the limit of open descriptors as far as this process may, up to `wanted`. Empty, or one
// line for the operator when it stays below it.
std::string raise_descriptor_limit(std::uint64_t wanted);

// The CPUs this process may run on, ascending; never empty.
std::vector<int> available_cpus();

}  // namespace nearfield::control
