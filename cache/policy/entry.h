// PolicyEntry: what an eviction policy keeps per cached object, embedded in it: 40 bytes.
// The links belong to the queue the entry is in; `hits` and `queue` mean what the policy at hand
// wants them to.
#pragma once

#include <cstdint>

namespace nearfield::cache {

struct PolicyEntry {
  // `queue` of an entry no policy holds, and of a pinned one. Policies number their own queues
  // from 1.
  static constexpr std::uint8_t kNoQueue = 0;
  static constexpr std::uint8_t kPinnedQueue = 255;

  PolicyEntry* newer = nullptr;
  PolicyEntry* older = nullptr;
  // A well-mixed 64-bit hash of the object's name; what is remembered of departed entries is
  // remembered by it.
  std::uint64_t name_hash = 0;
  std::uint64_t size_bytes = 0;
  std::uint8_t hits = 0;
  std::uint8_t queue = kNoQueue;
  // Set by the caller before insert(), by EvictionPolicy::set_pinned() afterwards.
  bool pinned = false;
  std::uint8_t mark = 0;
};

}  // namespace nearfield::cache
