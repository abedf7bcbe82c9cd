// Simulation: one trace, read once to be measured and once to be replayed through every policy at
// every size side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cache/sim/replay.h"
#include "cache/sim/size_option.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

struct SimulationOptions {
  std::vector<std::string> policies{};
  std::vector<SizeOption> sizes{};
  bool belady = false;
  std::optional<double> largest_entry_share{};  // of the cache; without it the node's rule holds
};

// What a trace is made of.
struct TraceFacts {
  std::uint64_t requests = 0;
  std::uint64_t request_bytes = 0;
  std::uint64_t objects = 0;
  std::uint64_t footprint_bytes = 0;  // every object once, as large as it was at first
  std::uint32_t first_second = 0;
  std::uint32_t last_second = 0;
};

struct SimulationRow {
  std::string policy;
  SizeOption size;
  std::uint64_t capacity_bytes = 0;
  ReplayCounts counts{};
  double cpu_seconds = 0;  // of one core, in the replay alone: no reading, no generating
  double metadata_bytes_per_entry =
      0;  // embedded and in tables, at the number of entries the policy was made for

  double request_miss_ratio() const;
  double byte_miss_ratio() const;
  double requests_per_second() const;
};

struct SimulationResult {
  TraceFacts trace;
  std::vector<SimulationRow>
      rows;  // by size, then in the order the policies were given, Belady last
};

// Told now and then how far the work is: what is being done, requests done, requests in all (0: not
// known yet).
using Progress = std::function<void(const char* what, std::uint64_t done, std::uint64_t total)>;

Result<TraceFacts> measure_trace(TraceSource& source, const Progress& progress);

// Reads `source` from its beginning as often as needed. Belady keeps the whole trace in memory (16
// bytes a request and more).
Result<SimulationResult> simulate(TraceSource& source, const SimulationOptions& options,
                                  const Progress& progress);

}  // namespace nearfield::cache::sim
