// Bodies: settling, sharing equal ones, weighing them for the policy, pinning, and eviction.
//
// Of objects that share a body one, the carrier, weighs its bytes in the policy; the others weigh
// only their index bytes. When the carrier goes, the next in the ring takes the weight over, so
// that the policy's bytes stay those of the arena. Evicting a follower frees no content: it counts
// as evicted with zero bytes.
#include <algorithm>

#include "cache/store_state.h"

namespace nearfield::cache {
namespace {

constexpr std::uint64_t kAllocatorBytes = 16;

void ring_insert_last(Object& object, Body& body) {
  if (body.carrier == nullptr) {
    object.next_sharer = object.previous_sharer = &object;
    body.carrier = &object;
    return;
  }
  Object* const last = body.carrier->previous_sharer;
  object.previous_sharer = last;
  object.next_sharer = body.carrier;
  last->next_sharer = &object;
  body.carrier->previous_sharer = &object;
}

void ring_remove(Object& object, Body& body) {
  if (body.carrier == &object)
    body.carrier = object.next_sharer != &object ? object.next_sharer : nullptr;
  object.previous_sharer->next_sharer = object.next_sharer;
  object.next_sharer->previous_sharer = object.previous_sharer;
  object.next_sharer = object.previous_sharer = nullptr;
}

}  // namespace

Body* Store::Impl::find_body(const Digest& digest, std::uint64_t hash) const {
  Body* body = bodies.first(hash);
  while (body != nullptr && body->digest != digest) body = body->next_in_chain;
  return body;
}

void Store::Impl::settle(Object& object, Garbage& garbage) {
  const auto digest = object.blob->digest();
  const bool first_time = object.body == nullptr;
  if (!first_time && (object.body->listed || !digest)) return;

  const std::uint64_t hash = digest ? siphash(hash_key, std::as_bytes(std::span(*digest))) : 0;
  Body* const equal = digest ? find_body(*digest, hash) : nullptr;
  if (equal != nullptr) {
    if (!first_time) leave_body(object);
    join(object, *equal, garbage);
  } else {
    if (first_time) start_body(object);
    if (digest) list_body(*object.body, *digest, hash);
  }
  recharge(object);
  if (!first_time) {
    reweigh(object);
    return;
  }
  --counted.growing;
  object.policy.size_bytes = weight(object, object.body->carrier == &object);
  policy->insert(object.policy);
  if (object.pin_wanted) set_pinned(object, true);
  // A body costs the index about what it was charged while growing; in case it costs more,
  // something goes, perhaps itself.
  make_index_room(0, garbage);
}

void Store::Impl::start_body(Object& object) {
  auto* const body = new Body;
  body->arena_bytes = object.blob->charged_bytes();
  body->index_bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      sizeof(Body) + kAllocatorBytes + object.blob->memory_bytes(), UINT32_MAX));
  body->sharers = 1;
  ring_insert_last(object, *body);
  object.body = body;
  index_used_bytes += body->index_bytes;
  counted.stored_bytes += body->arena_bytes;
  ++counted.blobs;
}

void Store::Impl::list_body(Body& body, const Digest& digest, std::uint64_t hash) {
  body.digest = digest;
  body.hash = hash;
  body.listed = true;
  bodies.link(body);
}

void Store::Impl::join(Object& object, Body& body, Garbage& garbage) {
  // Sessions that read the object's own copy go on with it; whoever finds the object from now on
  // gets the shared one.
  garbage.blobs.push_back(std::exchange(object.blob, body.carrier->blob));
  ring_insert_last(object, body);
  object.body = &body;
  ++body.sharers;
  counted.shared_bytes += body.arena_bytes;
}

void Store::Impl::leave_body(Object& object) {
  Body* const body = std::exchange(object.body, nullptr);
  const bool carried = body->carrier == &object;
  ring_remove(object, *body);
  if (--body->sharers > 0) {
    counted.shared_bytes -= body->arena_bytes;
    if (carried) reweigh(*body->carrier);
    return;
  }
  counted.stored_bytes -= body->arena_bytes;
  index_used_bytes -= body->index_bytes;
  --counted.blobs;
  if (body->listed) bodies.unlink(*body);
  delete body;
}

std::uint64_t Store::Impl::weight(const Object& object, bool carries) const {
  const std::uint64_t index_bytes = object.index_bytes + (carries ? object.body->index_bytes : 0);
  return std::max(carries ? object.body->arena_bytes : 0, index_bytes * index_weight);
}

void Store::Impl::reweigh(Object& object) {
  policy->resize(object.policy, weight(object, object.body->carrier == &object));
}

bool Store::Impl::set_pinned(Object& object, bool pinned) {
  object.pin_wanted = pinned;
  if (object.body == nullptr || object.policy.pinned == pinned) return true;
  Body& body = *object.body;
  if (pinned) {
    const std::uint64_t more = weight(object, !body.carrier->policy.pinned);
    if (policy->pinned_bytes() + more > policy->capacity_bytes() / 2) {
      object.pin_wanted = false;
      return false;
    }
    // To the head of the ring: what is pinned carries the bytes.
    Object* const carried_before = body.carrier;
    ring_remove(object, body);
    ring_insert_last(object, body);
    body.carrier = &object;
    if (carried_before != &object) reweigh(*carried_before);
    policy->set_pinned(object.policy, true);
  } else {
    // To its end, behind whatever else is pinned.
    policy->set_pinned(object.policy, false);
    ring_remove(object, body);
    ring_insert_last(object, body);
    reweigh(*body.carrier);
  }
  reweigh(object);
  return true;
}

std::optional<Evicted> Store::Impl::evict_one(Garbage& garbage) {
  PolicyEntry* const entry = policy->evict();
  if (entry == nullptr) return std::nullopt;
  Object& object = *static_cast<Object::Entry*>(entry)->object;
  Evicted evicted{0, false};
  if (object.body->sharers == 1) {
    counted.evicted_bytes += object.body->arena_bytes;
    // A snapshot: good enough for an estimate.
    evicted.still_read = object.blob->reference_count() > 1;
    if (!evicted.still_read) evicted.freed_bytes = object.body->arena_bytes;
  }
  ++counted.evictions;
  unlink(object, garbage);
  return evicted;
}

}  // namespace nearfield::cache
