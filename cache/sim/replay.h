// Replay: one trace through one policy at one capacity, with the same loop as the RAM tier
// (cache/policy/policy.h). It differs from the node in what a trace cannot tell: an object is
// complete the moment it is asked for, nothing is pinned, and sizes are charged as they are instead
// of in extents. An object whose size changed is a new one under its name.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/policy/huge_page_allocator.h"
#include "cache/policy/policy.h"
#include "cache/sim/resident_table.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

struct ReplayCounts {
  std::uint64_t requests = 0;
  std::uint64_t request_bytes = 0;
  std::uint64_t misses = 0;
  std::uint64_t miss_bytes = 0;
  std::uint64_t too_large = 0;  // misses not admitted for their size
  std::uint64_t evictions = 0;
  std::uint64_t most_entries = 0;
};

class Replay {
 public:
  // Memory for `expected_entries` is made ready at once, so that run() is not slowed by the kernel
  // clearing pages; more may come.
  explicit Replay(std::unique_ptr<EvictionPolicy> policy, std::uint64_t expected_entries = 0);

  void run(std::span<const Request> requests);

  const ReplayCounts& counts() const { return counts_; }
  const EvictionPolicy& policy() const { return *policy_; }

 private:
  void request(std::uint64_t name_hash, std::uint64_t size_bytes);
  void miss(std::uint64_t name_hash, std::uint64_t size_bytes);
  void forget(PolicyEntry& entry);
  void finish_forgetting(std::size_t at_most_left);
  PolicyEntry& new_entry();

  std::unique_ptr<EvictionPolicy> policy_;
  ResidentTable resident_;
  ReplayCounts counts_;
  using Chunk = std::vector<PolicyEntry, HugePageAllocator<PolicyEntry>>;

  std::vector<Chunk> chunks_;  // entries never move
  std::size_t used_chunks_ = 0;
  std::size_t used_in_chunk_ = 0;  // of the last chunk used
  PolicyEntry* free_ = nullptr;    // chained by `older`
  // Evicted entries whose cell of the table is on its way from memory: let go of a few evictions
  // later.
  std::array<PolicyEntry*, 8> leaving_{};
  std::size_t leaving_begin_ = 0;
  std::size_t leaving_count_ = 0;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace nearfield::cache::sim
