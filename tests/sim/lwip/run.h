// One run: lwIP's machine, the link and our server in virtual time. A function of its scenario
// alone; once a process, because a process has one lwIP (host.h).
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/lwip/scenario.h"

namespace nearfield::sim::lwip {

struct RunResult {
  bool good = false;
  // Every violation with the connection's last packets, then what became of each call.
  std::string report;
  std::uint64_t fingerprint = 0;  // of every packet and its time; equal runs have equal ones
  double largest_share = 0;       // of the time a call was allowed
};

// `trace_lines`: packets kept for each call.
RunResult run(const Scenario& scenario, std::size_t trace_lines);

}  // namespace nearfield::sim::lwip
