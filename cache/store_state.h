// What the store consists of, shared by the files that implement it: store.cc (names),
// store_bodies.cc (bodies, pins, eviction), store_extents.cc (memory).
//
// Everything mutable is guarded by `mutex` unless it says otherwise. Order of locks: store, then
// blob, then arena; a blob calls the store only without its own lock. References are never dropped
// under the lock, as the last one to a blob gives extents back and wakes others: they are put in a
// Garbage that dies after the lock is released.
//
// The awkward part is what an object weighs in the policy, as there are two bounds and one policy.
// It weighs its scarcer resource: the larger of its arena bytes and of its index bytes scaled by
// how much scarcer the index is. Else a flood of empty bodies, each nearly weightless, would press
// everything of worth out through the index's bound.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cache/base/assert.h"
#include "cache/chain_table.h"
#include "cache/policy/policy.h"
#include "cache/purge_log.h"
#include "cache/store.h"

namespace nearfield::cache {

struct Garbage {
  std::vector<Ref<Object>> objects;
  std::vector<Ref<const Metadata>> metadata;
  std::vector<Ref<Blob>> blobs;
};

// What evicting one object brought.
struct Evicted {
  std::uint64_t freed_bytes;  // of the arena, once the garbage is gone
  bool still_read;            // somebody holds the body: nothing comes back before they let go
};

struct Store::Impl {
  Impl(const StoreOptions& store_options, std::unique_ptr<Arena> store_arena,
       std::unique_ptr<EvictionPolicy> eviction_policy, std::uint64_t index_bytes, SipHashKey key);

  std::uint64_t hash_of(std::string_view name) const { return siphash(hash_key, name); }

  // --- store.cc; with the lock held ---
  Object* next_of_name(Object* from, std::uint64_t hash, std::string_view name) const;
  // Evicts until `bytes` more fit the index. False when nothing is left to evict.
  bool make_index_room(std::uint64_t bytes, Garbage& garbage);
  // Counts what the object costs the index anew.
  void recharge(Object& object);
  // Takes an object out of index, body and policy.
  void unlink(Object& object, Garbage& garbage);

  // --- store_bodies.cc; with the lock held ---
  void settle(Object& object, Garbage& garbage);
  void start_body(Object& object);
  void list_body(Body& body, const Digest& digest, std::uint64_t hash);
  void join(Object& object, Body& body, Garbage& garbage);
  void leave_body(Object& object);
  bool set_pinned(Object& object, bool pinned);
  std::uint64_t weight(const Object& object, bool carries) const;
  void reweigh(Object& object);
  // Lets go of what the policy chooses; nothing when all that is left is pinned or growing.
  std::optional<Evicted> evict_one(Garbage& garbage);
  Body* find_body(const Digest& digest, std::uint64_t hash) const;

  // --- store_extents.cc; without the lock ---
  void raise_starved();

  const StoreOptions options;
  const SipHashKey hash_key;
  const std::unique_ptr<Arena> arena;
  const std::uint64_t index_capacity_bytes;
  const std::uint64_t index_weight;  // arena bytes that an index byte is worth
  const std::uint64_t keeps_at_most_bytes;

  PurgeLog purge_log;  // has a lock of its own

  mutable std::mutex mutex;
  const std::unique_ptr<EvictionPolicy> policy;
  ChainTable<Object> names;
  ChainTable<Body> bodies;  // by digest
  std::uint64_t fixed_index_bytes;
  std::uint64_t index_used_bytes;
  StoreStatistics counted;  // what is counted as it happens; the rest is filled in by statistics()

  std::atomic<std::uint64_t> refused_too_large{0};
  std::atomic<std::uint64_t> refused_no_room{0};
  std::atomic<std::uint64_t> stopped_keeping{0};

  // Fills that found no memory at all.
  static constexpr std::size_t kMaximumStarved = 1024;
  std::atomic<bool> any_starved{false};
  std::mutex starved_mutex;
  std::vector<Ref<Signal>> starved;  // guarded by starved_mutex
};

}  // namespace nearfield::cache
