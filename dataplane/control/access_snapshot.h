// AccessSnapshot: what a node has decided of who may listen, as plain values; part of a
// NodeSnapshot.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "dataplane/access/reason.h"

namespace nearfield::control {

// Counters are sums over workers; members as in access::CheckCounters.
struct AccessSnapshot {
  std::size_t rules = 0;  // in force; 0: everything is open and nothing is counted
  // AccessPolicy::trusts_clock()
  bool clock_trusted = true;
  // How much later than by the clock requests are judged, because it was set back (TimeFloor).
  std::chrono::seconds clock_behind{0};
  std::array<std::uint64_t, access::kReasons> decisions{};
  std::uint64_t known_good = 0;
  std::uint64_t known_bad = 0;
  std::uint64_t signatures_verified = 0;
  std::uint64_t macs_verified = 0;
  std::uint64_t renewals = 0;

  void add(const access::CheckCounters& counters);
};

}  // namespace nearfield::control
