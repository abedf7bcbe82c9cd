// Store: the RAM tier. Names map to stored responses (a metadata record and a blob); eviction keeps it within its bounds.
//
// Invariants: arena bytes (content, in-flight blobs included) and index bytes (names, metadata, bookkeeping) each stay within their
// configured bound; a name finds only what was inserted under it (the full name is compared, not a hash); equal complete bodies are
// stored once. The awkward part is lifetime: an object can be evicted or purged while sessions read it; they hold references, and
// its memory returns when the last one goes.
//
// One lock guards index and policy. Its critical sections are short and bounded; at 17,000 segments a second (a 100 Gb/s node)
// it is idle. Thread-safe throughout.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/arena.h"
#include "cache/base/error.h"
#include "cache/base/ref.h"
#include "cache/blob.h"

namespace nearfield::cache {

// What the user of the store keeps beside the body: immutable, replaced as a whole (a 304 makes a new one).
class Metadata : public RefCounted<Metadata> {
 public:
  virtual ~Metadata() = default;
  virtual std::size_t memory_bytes() const = 0;  // everything it holds, for the index bound
};

class Object;  // one stored response under a name; opaque to users

// A consistent look at one object: taken under the lock, valid for as long as it is held.
struct Found {
  Ref<Object> object;
  Ref<const Metadata> metadata;
  Ref<Blob> blob;
};

struct StoreOptions {
  ArenaOptions arena;
  std::uint64_t index_bytes = 0;         // 0: one sixteenth of the arena, at least 1 MiB
  std::string policy;                    // a name of cache/policy; empty: the default
  std::uint64_t maximum_object_bytes = 0;  // 0: what the policy admits
  std::uint64_t streaming_window_bytes = 1024 * 1024;
};

struct StoreStatistics {
  std::uint64_t arena_capacity_bytes, arena_used_bytes;
  std::uint64_t index_capacity_bytes, index_used_bytes;
  std::uint64_t objects, blobs, stored_bytes, shared_bytes /* saved by equal bodies */, pinned_bytes;
  std::uint64_t evictions, evicted_bytes, purged, refused_too_large, refused_no_room;
  double metadata_bytes_per_object;
  PageKind page_kind;
};

// Decides which of a name's stored responses is meant (Vary). Called under the lock: compare only, no allocation to speak of.
using Selector = std::function<bool(const Metadata&)>;

class Store final : public ExtentSource {
 public:
  static Result<std::unique_ptr<Store>> create(const StoreOptions& options);
  ~Store();

  // The most recently inserted object of `name` that `selects` accepts. `count_use`: tell the policy (a listener asked for it).
  std::optional<Found> find(std::string_view name, const Selector& selects, bool count_use);
  // Every object of a name (at most kMaximumVariants), newest first.
  std::vector<Found> find_all(std::string_view name);

  // May a body of this size be kept at all? Unknown sizes are asked again while they grow.
  bool keeps(std::uint64_t body_bytes) const;
  // A blob to be filled; streaming when the caller says so or its size exceeds what is kept.
  Ref<Blob> make_blob(Blob::Kind kind, std::optional<std::uint64_t> total_bytes);

  // Makes a (growing or complete) blob visible under `name`; objects of that name that `replaces` accepts go away in the same step.
  // Returns nothing when the index is full and nothing can be evicted. A growing object is not evicted; at most
  // kMaximumVariants objects a name, the oldest goes first.
  std::optional<Found> insert(std::string_view name, Ref<const Metadata> metadata, Ref<Blob> blob,
                              const Selector& replaces);
  // The object's blob is complete and its digest known: from now on it is evictable, and its body is shared with an equal one if
  // there is one. No effect if the object was removed meanwhile.
  void settle(const Ref<Object>& object);
  // New metadata for the same body (a 304, a HEAD). False when the object is gone.
  bool replace_metadata(const Ref<Object>& object, Ref<const Metadata> metadata);
  void remove(const Ref<Object>& object);
  bool contains(const Ref<Object>& object) const;

  // Purges: everything under a name; everything whose name begins with `prefix` (walks the index in slices, so that lookups go on).
  // Return how many objects went.
  std::uint64_t purge(std::string_view name);
  std::uint64_t purge_prefix(std::string_view prefix);

  // A pinned object is never evicted. False when gone, or when pins would exceed half of the arena.
  bool set_pinned(const Ref<Object>& object, bool pinned);

  StoreStatistics statistics() const;
  const Arena& arena() const;

  std::optional<Extent> take_extent(std::size_t bytes) override;
  void give_extent(Extent extent) override;

  static constexpr std::size_t kMaximumVariants = 32;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::cache
