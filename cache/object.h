// Object: one stored response under a name, as the index keeps it. Users of the store hold
// references and look at nothing inside; its fields belong to the store and are guarded by the
// store's lock.
//
// Invariant: while `indexed`, the index holds one reference, `metadata` and `blob` are set, and
// `body` is set exactly when the object has settled. Once it has left the index, both are empty: a
// session that holds on to the object alone keeps no content in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/ref.h"
#include "cache/blob.h"
#include "cache/metadata.h"
#include "cache/policy/entry.h"

namespace nearfield::cache {

struct Body;

class Object final : public RefCounted<Object> {
 public:
  Object(std::string_view object_name, std::uint64_t name_hash, Ref<const Metadata> object_metadata,
         Ref<Blob> object_blob)
      : name(object_name), metadata(std::move(object_metadata)), blob(std::move(object_blob)) {
    policy.object = this;
    policy.name_hash = name_hash;
  }

  std::uint64_t chain_hash() const { return policy.name_hash; }

  // The policy's view of the object, with the way back.
  struct Entry : PolicyEntry {
    Object* object = nullptr;
  };

  const std::string name;
  Entry policy;  // held by the policy exactly while settled
  Object* next_in_chain = nullptr;
  Ref<const Metadata> metadata;
  Ref<Blob> blob;
  Body* body = nullptr;
  Object* next_sharer = nullptr;  // a ring of all objects with the same body
  Object* previous_sharer = nullptr;
  std::uint32_t index_bytes = 0;  // what it is charged for, its body apart
  bool indexed = false;
  bool pin_wanted = false;  // asked for while growing
};

// Bytes that one or more settled objects have in common.
struct Body {
  std::uint64_t chain_hash() const { return hash; }

  Digest digest{};
  std::uint64_t hash = 0;  // of the digest; meaningful when listed
  Body* next_in_chain = nullptr;
  // Head of the ring, which holds pinned objects before all others: the one whose policy entry
  // weighs the bytes.
  Object* carrier = nullptr;
  std::uint64_t arena_bytes = 0;
  std::uint32_t index_bytes = 0;
  std::uint32_t sharers = 0;
  bool listed = false;  // found by its digest
};

}  // namespace nearfield::cache
