// Names: finding, inserting, removing and purging objects, and the index's bound.
#include "cache/store.h"

#include <algorithm>
#include <format>

#include "cache/store_state.h"

namespace nearfield::cache {
namespace {

constexpr std::uint64_t kMinimumIndexBytes = 1024 * 1024;
constexpr std::uint64_t kAllocatorBytes = 16;  // what malloc keeps beside a piece
// An object costs some 1.4 KiB of index (docs/cache.md), never much less than this: chains stay
// near one entry, and the policy remembers as many of the departed as there can be objects.
constexpr std::uint64_t kIndexBytesPerObject = 1024;
// Purging a prefix lets others at the lock after so many buckets or objects.
constexpr std::uint64_t kBucketsPerSlice = 1024;
constexpr std::uint64_t kPurgedPerSlice = 64;

std::uint64_t name_bytes(const std::string& name) {
  return name.capacity() > std::string().capacity() ? name.capacity() + 1 + kAllocatorBytes : 0;
}

// Without its body. A growing blob is charged with its object, and with all the extents its length
// foretells.
std::uint64_t object_index_bytes(const Object& object, const Metadata& metadata) {
  std::uint64_t bytes = sizeof(Object) + kAllocatorBytes + name_bytes(object.name) +
                        metadata.memory_bytes() + kAllocatorBytes;
  if (object.body == nullptr) {
    bytes +=
        object.blob->memory_bytes() + object.blob->total_bytes().value_or(0) / kBlockBytes * 16;
  }
  return bytes;
}

std::uint32_t clamp32(std::uint64_t bytes) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, UINT32_MAX));
}

Found look_at(Object& object) { return {Ref<Object>(&object), object.metadata, object.blob}; }

}  // namespace

Store::Impl::Impl(const StoreOptions& store_options, std::unique_ptr<Arena> store_arena,
                  std::unique_ptr<EvictionPolicy> eviction_policy, std::uint64_t index_bytes,
                  SipHashKey key)
    : options(store_options),
      hash_key(key),
      arena(std::move(store_arena)),
      index_capacity_bytes(index_bytes),
      index_weight(std::max<std::uint64_t>(1, arena->capacity_bytes() / index_bytes)),
      keeps_at_most_bytes(
          options.maximum_object_bytes == 0
              ? eviction_policy->largest_entry_bytes()
              : std::min(options.maximum_object_bytes, arena->capacity_bytes() / 2)),
      policy(std::move(eviction_policy)),
      names(index_bytes / kIndexBytesPerObject),
      bodies(index_bytes / kIndexBytesPerObject),
      fixed_index_bytes(names.table_bytes() + bodies.table_bytes() + policy->table_bytes() +
                        arena->table_bytes()),
      index_used_bytes(fixed_index_bytes) {}

Result<std::unique_ptr<Store>> Store::create(const StoreOptions& options) {
  auto arena = Arena::create(options.arena);
  if (!arena) return std::unexpected(std::move(arena.error()));
  const std::uint64_t capacity = (*arena)->capacity_bytes();
  const std::uint64_t index_bytes =
      options.index_bytes != 0 ? options.index_bytes : std::max(capacity / 16, kMinimumIndexBytes);
  if (index_bytes < kMinimumIndexBytes) {
    return failure(std::format(
        "an index of {} bytes is too small to work; configure at least 1 MiB", index_bytes));
  }
  const PolicyLimits limits{
      .capacity_bytes = capacity,
      .max_entries = std::min(index_bytes / kIndexBytesPerObject, kMaxPolicyEntries)};
  auto policy = make_policy(
      options.policy.empty() ? kDefaultPolicy : std::string_view(options.policy), limits);
  if (!policy) return std::unexpected(std::move(policy.error()));
  auto impl = std::make_unique<Impl>(options, std::move(*arena), std::move(*policy), index_bytes,
                                     options.hash_key ? *options.hash_key : SipHashKey::random());
  if (impl->fixed_index_bytes > index_bytes / 2) {
    return failure(std::format(
        "the index of the cache needs {} KiB for its tables alone but may have {} KiB; give it at "
        "least {} KiB",
        impl->fixed_index_bytes >> 10, index_bytes >> 10, impl->fixed_index_bytes >> 9));
  }
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Store::~Store() {
  {
    Garbage garbage;
    for (std::uint64_t bucket = 0; bucket < impl_->names.buckets(); ++bucket) {
      while (Object* object = impl_->names.first_in_bucket(bucket)) impl_->unlink(*object, garbage);
    }
  }
  NEARFIELD_ASSERT(impl_->index_used_bytes == impl_->fixed_index_bytes);
  NEARFIELD_ASSERT(impl_->arena->used_bytes() == 0);  // else somebody still holds a blob
}

// --- with the lock held ---

Object* Store::Impl::next_of_name(Object* from, std::uint64_t hash, std::string_view name) const {
  while (from != nullptr && !(from->chain_hash() == hash && from->name == name))
    from = from->next_in_chain;
  return from;
}

bool Store::Impl::make_index_room(std::uint64_t bytes, Garbage& garbage) {
  while (index_used_bytes + bytes > index_capacity_bytes) {
    if (!evict_one(garbage)) return false;
  }
  return true;
}

void Store::Impl::recharge(Object& object) {
  index_used_bytes -= object.index_bytes;
  object.index_bytes = clamp32(object_index_bytes(object, *object.metadata));
  index_used_bytes += object.index_bytes;
}

void Store::Impl::unlink(Object& object, Garbage& garbage) {
  NEARFIELD_ASSERT(object.indexed);
  names.unlink(object);
  if (object.body != nullptr) {
    if (object.policy.queue != PolicyEntry::kNoQueue)
      policy->remove(object.policy);  // else just evicted
    leave_body(object);
  } else {
    --counted.growing;
  }
  index_used_bytes -= object.index_bytes;
  --counted.objects;
  object.indexed = false;
  garbage.metadata.push_back(std::exchange(object.metadata, nullptr));
  garbage.blobs.push_back(std::exchange(object.blob, nullptr));
  garbage.objects.emplace_back(&object);
  object.drop_reference();  // the index's own
}

// --- names ---

std::optional<Found> Store::find(std::string_view name, const Selector& selects, bool count_use) {
  const std::uint64_t hash = impl_->hash_of(name);
  const std::lock_guard lock(impl_->mutex);
  Object* object = impl_->next_of_name(impl_->names.first(hash), hash, name);
  while (object != nullptr && selects && !selects(*object->metadata)) {
    object = impl_->next_of_name(object->next_in_chain, hash, name);
  }
  if (object == nullptr) return std::nullopt;
  if (count_use && object->body != nullptr) impl_->policy->hit(object->policy);
  return look_at(*object);
}

std::vector<Found> Store::find_all(std::string_view name) {
  const std::uint64_t hash = impl_->hash_of(name);
  std::vector<Found> found;
  const std::lock_guard lock(impl_->mutex);
  for (Object* object = impl_->next_of_name(impl_->names.first(hash), hash, name);
       object != nullptr; object = impl_->next_of_name(object->next_in_chain, hash, name)) {
    found.push_back(look_at(*object));
  }
  return found;
}

bool Store::keeps(std::uint64_t body_bytes) const {
  return body_bytes <= impl_->keeps_at_most_bytes;
}

Ref<Blob> Store::make_blob(Blob::Kind kind, std::optional<std::uint64_t> total_bytes) {
  if (kind == Blob::Kind::kept && total_bytes && !keeps(*total_bytes)) {
    kind = Blob::Kind::streaming;
    impl_->refused_too_large.fetch_add(1, std::memory_order_relaxed);
  }
  return Blob::create(*this, kind, total_bytes, impl_->options.streaming_window_bytes);
}

std::optional<Found> Store::insert(std::string_view name, Ref<const Metadata> metadata,
                                   Ref<Blob> blob, const Selector& replaces) {
  const std::uint64_t hash = impl_->hash_of(name);
  const Ref<Object> object = make_ref<Object>(name, hash, std::move(metadata), std::move(blob));
  const std::uint64_t charge = object_index_bytes(*object, *object->metadata);
  Garbage garbage;
  const std::lock_guard lock(impl_->mutex);

  std::size_t variants = 0;
  Object* oldest = nullptr;
  Object* next = impl_->next_of_name(impl_->names.first(hash), hash, name);
  while (Object* present = next) {
    next = impl_->next_of_name(present->next_in_chain, hash, name);
    if (replaces && replaces(*present->metadata)) {
      impl_->unlink(*present, garbage);
    } else {
      ++variants;
      oldest = present;
    }
  }
  if (variants >= kMaximumVariants) impl_->unlink(*oldest, garbage);

  // One object may not cost the index all the others.
  if (charge > impl_->index_capacity_bytes / 8 || !impl_->make_index_room(charge, garbage)) {
    impl_->refused_no_room.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  object->add_reference();  // the index's own
  object->indexed = true;
  impl_->recharge(*object);
  impl_->names.link(*object);
  ++impl_->counted.objects;
  ++impl_->counted.growing;
  Found found = look_at(*object);
  if (found.blob->state() != Blob::State::complete || found.blob->kind() != Blob::Kind::kept) {
    return found;
  }
  impl_->settle(*object, garbage);
  return object->indexed ? look_at(*object) : found;
}

void Store::settle(const Ref<Object>& object) {
  {
    Garbage garbage;
    const std::lock_guard lock(impl_->mutex);
    if (!object->indexed) return;
    if (object->blob->kind() == Blob::Kind::streaming ||
        object->blob->state() == Blob::State::broken) {
      impl_->unlink(*object, garbage);
      return;
    }
    impl_->settle(*object, garbage);
  }
  impl_->raise_starved();  // there is something to evict now
}

bool Store::replace_metadata(const Ref<Object>& object, Ref<const Metadata> metadata) {
  Garbage garbage;
  const std::lock_guard lock(impl_->mutex);
  if (!object->indexed) return false;
  const std::uint64_t charge = object_index_bytes(*object, *metadata);
  const std::uint64_t more = charge > object->index_bytes ? charge - object->index_bytes : 0;
  const bool fits =
      charge <= impl_->index_capacity_bytes / 8 && impl_->make_index_room(more, garbage);
  if (!object->indexed) return false;  // it was the one to go
  if (!fits) {
    impl_->unlink(*object, garbage);
    impl_->refused_no_room.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  garbage.metadata.push_back(std::exchange(object->metadata, std::move(metadata)));
  impl_->recharge(*object);
  if (object->body != nullptr) impl_->reweigh(*object);
  return true;
}

void Store::remove(const Ref<Object>& object) {
  Garbage garbage;
  const std::lock_guard lock(impl_->mutex);
  if (object->indexed) impl_->unlink(*object, garbage);
}

bool Store::contains(const Ref<Object>& object) const {
  const std::lock_guard lock(impl_->mutex);
  return object->indexed;
}

std::uint64_t Store::purge(std::string_view name) {
  const std::uint64_t hash = impl_->hash_of(name);
  impl_->purge_log.note_name(name);
  Garbage garbage;
  const std::lock_guard lock(impl_->mutex);
  std::uint64_t purged = 0;
  while (Object* object = impl_->next_of_name(impl_->names.first(hash), hash, name)) {
    impl_->unlink(*object, garbage);
    ++purged;
  }
  impl_->counted.purged += purged;
  return purged;
}

std::uint64_t Store::purges() const { return impl_->purge_log.count(); }

bool Store::purged_since(std::uint64_t purges, std::string_view name) const {
  return impl_->purge_log.purged_since(purges, name);
}

std::uint64_t Store::purge_prefix(std::string_view prefix) {
  impl_->purge_log.note_prefix(prefix);
  std::uint64_t purged = 0;
  std::uint64_t bucket = 0;
  while (bucket < impl_->names.buckets()) {
    Garbage garbage;
    const std::lock_guard lock(impl_->mutex);
    const std::uint64_t slice_end = std::min(bucket + kBucketsPerSlice, impl_->names.buckets());
    std::uint64_t purged_here = 0;
    for (; bucket < slice_end && purged_here < kPurgedPerSlice; ++bucket) {
      Object* next = impl_->names.first_in_bucket(bucket);
      while (Object* object = next) {
        next = object->next_in_chain;
        if (!object->name.starts_with(prefix)) continue;
        impl_->unlink(*object, garbage);
        ++purged_here;
      }
    }
    impl_->counted.purged += purged_here;
    purged += purged_here;
  }
  return purged;
}

bool Store::set_pinned(const Ref<Object>& object, bool pinned) {
  bool done;
  {
    const std::lock_guard lock(impl_->mutex);
    if (!object->indexed) return false;
    done = impl_->set_pinned(*object, pinned);
  }
  if (!pinned) impl_->raise_starved();
  return done;
}

StoreStatistics Store::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  StoreStatistics result = impl_->counted;
  result.arena_capacity_bytes = impl_->arena->capacity_bytes();
  result.arena_used_bytes = impl_->arena->used_bytes();
  result.index_capacity_bytes = impl_->index_capacity_bytes;
  result.index_used_bytes = impl_->index_used_bytes;
  result.blobs += result.growing;
  result.pinned_bytes = impl_->policy->pinned_bytes();
  result.refused_too_large = impl_->refused_too_large.load(std::memory_order_relaxed);
  result.refused_no_room = impl_->refused_no_room.load(std::memory_order_relaxed);
  result.stopped_keeping = impl_->stopped_keeping.load(std::memory_order_relaxed);
  if (result.objects > 0) {
    result.metadata_bytes_per_object =
        static_cast<double>(impl_->index_used_bytes - impl_->fixed_index_bytes) /
        static_cast<double>(result.objects);
  }
  result.page_kind = impl_->arena->page_kind();
  return result;
}

const Arena& Store::arena() const { return *impl_->arena; }

}  // namespace nearfield::cache
