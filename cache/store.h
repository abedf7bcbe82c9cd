// Store: the RAM tier. Names map to stored responses (a metadata record and a blob); eviction keeps
// it within its bounds.
//
// Invariants: arena bytes (content, in-flight blobs included) and index bytes (names, metadata,
// bookkeeping) each stay within their configured bound; a name finds only what was inserted under
// it (the full name is compared, not a hash); equal complete bodies are stored once. The awkward
// part is lifetime: an object can be evicted or purged while sessions read it; they hold
// references, and its memory returns when the last one goes.
//
// One lock guards index and policy. Its critical sections are short and bounded; at 17,000 segments
// a second (a 100 Gb/s node) it is idle. Thread-safe throughout.
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
#include "cache/base/siphash.h"
#include "cache/blob.h"
#include "cache/metadata.h"
#include "cache/object.h"

namespace nearfield::cache {

// A consistent look at one object: taken under the lock, valid for as long as it is held. The
// object is opaque; it is what the calls below take to say which one is meant.
struct Found {
  Ref<Object> object;
  Ref<const Metadata> metadata;
  Ref<Blob> blob;
};

struct StoreOptions {
  ArenaOptions arena = {};
  std::uint64_t index_bytes = 0;  // 0: one sixteenth of the arena, at least 1 MiB
  std::string policy = {};        // a name of cache/policy; empty: the default
  // 0: what the policy admits; never more than half of the arena.
  std::uint64_t maximum_object_bytes = 0;
  std::uint64_t streaming_window_bytes = 1024 * 1024;
  // A fixed one makes a run repeatable; otherwise drawn at random.
  std::optional<SipHashKey> hash_key = {};
};

struct StoreStatistics {
  std::uint64_t arena_capacity_bytes = 0;
  std::uint64_t arena_used_bytes =
      0;  // in-flight bodies and those still being read after their eviction included
  std::uint64_t index_capacity_bytes = 0;
  std::uint64_t index_used_bytes = 0;  // the tables fixed at start included

  std::uint64_t objects = 0;  // growing ones included
  std::uint64_t growing = 0;
  std::uint64_t blobs = 0;         // different bodies: objects less those that share an equal one
  std::uint64_t stored_bytes = 0;  // arena bytes of settled bodies, each once
  std::uint64_t shared_bytes = 0;  // arena bytes saved because equal bodies are stored once
  std::uint64_t pinned_bytes = 0;

  // Counters since start.
  std::uint64_t evictions = 0;
  std::uint64_t evicted_bytes = 0;  // arena bytes that thereby left the index
  std::uint64_t purged = 0;
  // Why bodies were not kept: too large by their announced length; no index or arena room could be
  // made; given up while growing (outgrew their share, or starved).
  std::uint64_t refused_too_large = 0;
  std::uint64_t refused_no_room = 0;
  std::uint64_t stopped_keeping = 0;

  double metadata_bytes_per_object =
      0;  // index bytes in use, without the fixed tables, over objects
  PageKind page_kind = PageKind::normal;
};

// Decides which of a name's stored responses is meant (Vary). Called under the lock: compare only,
// no allocation to speak of, no call back into the store or a blob. An empty one accepts everything
// in find() and nothing in insert().
using Selector = std::function<bool(const Metadata&)>;

class Store final : public ExtentSource {
 public:
  static Result<std::unique_ptr<Store>> create(const StoreOptions& options);
  // Every blob must have been let go of before; asserted.
  ~Store();

  // The most recently inserted object of `name` that `selects` accepts. `count_use`: tell the
  // policy (a listener asked for it).
  std::optional<Found> find(std::string_view name, const Selector& selects, bool count_use);
  // Every object of a name (at most kMaximumVariants), newest first.
  std::vector<Found> find_all(std::string_view name);

  // May a body of this size be kept at all? Unknown sizes are asked again while they grow.
  bool keeps(std::uint64_t body_bytes) const;
  // A blob to be filled; streaming when the caller says so or its size exceeds what is kept.
  Ref<Blob> make_blob(Blob::Kind kind, std::optional<std::uint64_t> total_bytes);

  // Makes a (growing or complete) blob visible under `name`; objects of that name that `replaces`
  // accepts go away in the same step. Returns nothing when the index is full and nothing can be
  // evicted (what it replaces is gone all the same: it is superseded). A growing object is not
  // evicted, so whoever inserts one must settle() or remove() it in the end; one that is complete
  // already settles at once. At most kMaximumVariants objects a name, the oldest goes first.
  std::optional<Found> insert(std::string_view name, Ref<const Metadata> metadata, Ref<Blob> blob,
                              const Selector& replaces);
  // The object's blob is complete and its digest known: from now on it is evictable, and its body
  // is shared with an equal one if there is one. Without a digest it is not shared; call again once
  // it is known. No effect if the object was removed meanwhile. A blob that turned into a streaming
  // one, or broke, is removed. A blob with gaps that nobody fills for now settles as a part,
  // unshared; whoever takes it up again inserts it anew, so that it is weighed anew.
  void settle(const Ref<Object>& object);
  // New metadata for the same body (a 304, a HEAD). False when the object is gone, or goes because
  // there is no room for it.
  bool replace_metadata(const Ref<Object>& object, Ref<const Metadata> metadata);
  void remove(const Ref<Object>& object);
  bool contains(const Ref<Object>& object) const;

  // Purges: everything under a name; everything whose name begins with `prefix` (walks the index in
  // slices, so that lookups go on). Return how many objects went.
  std::uint64_t purge(std::string_view name);
  std::uint64_t purge_prefix(std::string_view prefix);
  // For who asks an origin: how many purges there were, to be noted before asking, and whether one
  // since then meant `name`: then what the origin answered may be from before it, and is to be
  // removed again. Ask after insert().
  std::uint64_t purges() const;
  bool purged_since(std::uint64_t purges, std::string_view name) const;

  // A pinned object is never evicted. False when gone, or when pins would exceed half of the arena.
  // A growing one is pinned when it settles, if pins still fit then.
  bool set_pinned(const Ref<Object>& object, bool pinned);

  StoreStatistics statistics() const;
  const Arena& arena() const;

  // For blobs. Evicts, a bounded number of objects a call, when the arena is full.
  std::optional<Extent> take_extent(std::size_t bytes) override;
  void give_extent(Extent extent) override;
  void await_extent(const Ref<Signal>& signal) override;
  void note_not_kept() override;

  static constexpr std::size_t kMaximumVariants = 32;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::cache
