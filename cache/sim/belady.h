// Belady: what a cache that knows the future would miss, as the mark nothing real can reach.
// Evicts what is asked for again last, never keeps what is not asked for again, and does not let in
// what is asked for later than everything it would replace. Optimal for equal sizes; for unequal
// ones finding the optimum is NP-hard, and this is near it.
#pragma once

#include <cstdint>
#include <span>

#include "cache/sim/replay.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

// Objects larger than `largest_bytes` stream through, as they do with every policy compared with
// it.
ReplayCounts run_belady(std::span<const Request> requests, std::uint64_t capacity_bytes,
                        std::uint64_t largest_bytes);

}  // namespace nearfield::cache::sim
