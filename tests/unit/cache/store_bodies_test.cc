// Equal bodies stored once, and what that means for eviction and pins.
#include <format>

#include "cache/store.h"
#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

const Selector kAny;
constexpr std::uint64_t kBytes = 60000;
constexpr std::uint64_t kCharged = 15 * kPageBytes;

}  // namespace

TEST_GROUP(StoreBodies) {
  std::unique_ptr<Store> store =
      std::move(Store::create({.arena = {.bytes = 4 << 20, .want_hugepages = false},
                               .policy = "lru",
                               .hash_key = SipHashKey{3, 4}})
                    .value());

  Ref<Object> put(std::string_view name, std::uint64_t content) {
    auto blob = store->make_blob(Blob::Kind::kept, kBytes);
    fill_and_complete(*blob, content, kBytes);
    return store->insert(name, make_ref<TestMetadata>(content), blob, kAny)->object;
  }
  // Other bodies until the arena has turned over several times.
  void churn() {
    for (std::uint64_t i = 0; i < 300; ++i) put(std::format("/churn/{}", i), 1000 + i);
  }
  bool there(std::string_view name) { return store->find(name, kAny, false).has_value(); }
};

TEST(StoreBodies, EqualBodiesAreStoredOnce) {
  put("/a", 1);
  put("/b", 1);
  put("/c", 2);
  auto statistics = store->statistics();
  UNSIGNED_LONGS_EQUAL(3, statistics.objects);
  UNSIGNED_LONGS_EQUAL(2, statistics.blobs);
  UNSIGNED_LONGS_EQUAL(2 * kCharged, statistics.stored_bytes);
  UNSIGNED_LONGS_EQUAL(2 * kCharged, statistics.arena_used_bytes);
  UNSIGNED_LONGS_EQUAL(kCharged, statistics.shared_bytes);
  CHECK_TRUE(store->find("/a", kAny, false)->blob == store->find("/b", kAny, false)->blob);
  UNSIGNED_LONGS_EQUAL(1, store->purge("/a"));
  CHECK_TRUE(read(*store->find("/b", kAny, false)->blob, 0, kBytes) == bytes_of(1, 0, kBytes));
  statistics = store->statistics();
  UNSIGNED_LONGS_EQUAL(0, statistics.shared_bytes);
  UNSIGNED_LONGS_EQUAL(2 * kCharged, statistics.stored_bytes);
  store->purge("/b");
  UNSIGNED_LONGS_EQUAL(kCharged, store->statistics().arena_used_bytes);
}

TEST(StoreBodies, AReaderOfTheSecondCopyGoesOnWithIt) {
  put("/a", 1);
  const auto blob = store->make_blob(Blob::Kind::kept, kBytes);
  const auto inserted = store->insert("/b", make_ref<TestMetadata>(1), blob, kAny);
  fill_and_complete(*blob, 1, kBytes);
  store->settle(inserted->object);
  CHECK_TRUE(store->find("/b", kAny, false)->blob == store->find("/a", kAny, false)->blob);
  CHECK_FALSE(store->find("/b", kAny, false)->blob == blob);
  CHECK_TRUE(read(*blob, 0, kBytes) == bytes_of(1, 0, kBytes));
  UNSIGNED_LONGS_EQUAL(2 * kCharged, store->statistics().arena_used_bytes);
}

TEST(StoreBodies, ADigestThatComesLaterStillShares) {
  put("/a", 1);
  const auto blob = store->make_blob(Blob::Kind::kept, kBytes);
  const auto inserted = store->insert("/b", make_ref<TestMetadata>(1), blob, kAny);
  write_all(*blob, 1, 0, kBytes);
  blob->complete();
  store->settle(inserted->object);
  UNSIGNED_LONGS_EQUAL(2, store->statistics().blobs);
  CHECK_TRUE(blob->advance_digest(kBytes));
  store->settle(inserted->object);
  UNSIGNED_LONGS_EQUAL(1, store->statistics().blobs);
  UNSIGNED_LONGS_EQUAL(kCharged, store->statistics().shared_bytes);
}

TEST(StoreBodies, OneBlobUnderTwoNamesIsSharedToo) {
  const auto first = put("/a", 1);
  const auto blob = store->find("/a", kAny, false)->blob;
  store->insert("/b", make_ref<TestMetadata>(1), blob, kAny);
  UNSIGNED_LONGS_EQUAL(1, store->statistics().blobs);
  UNSIGNED_LONGS_EQUAL(kCharged, store->statistics().arena_used_bytes);
  store->remove(first);
  CHECK_TRUE(there("/b"));
}

TEST(StoreBodies, EvictionFreesTheBytesWithTheLastName) {
  for (int i = 0; i < 20; ++i) put(std::format("/same/{}", i), 1);
  churn();
  const auto statistics = store->statistics();
  UNSIGNED_LONGS_EQUAL(statistics.stored_bytes, statistics.arena_used_bytes);
  // Of the bodies that left, the shared one counts once.
  const std::uint64_t bodies_gone = 301 - statistics.blobs;
  UNSIGNED_LONGS_EQUAL(bodies_gone * kCharged, statistics.evicted_bytes);
}

TEST(StoreBodies, PinnedObjectsAreNotEvicted) {
  const auto pinned = put("/pinned", 1);
  CHECK_TRUE(store->set_pinned(pinned, true));
  churn();
  CHECK_TRUE(there("/pinned"));
  CHECK_TRUE(store->set_pinned(pinned, false));
  churn();
  CHECK_FALSE(there("/pinned"));
  UNSIGNED_LONGS_EQUAL(0, store->statistics().pinned_bytes);
}

TEST(StoreBodies, AGrowingObjectIsPinnedWhenItSettles) {
  const auto blob = store->make_blob(Blob::Kind::kept, kBytes);
  const auto inserted = store->insert("/pinned", make_ref<TestMetadata>(1), blob, kAny);
  CHECK_TRUE(store->set_pinned(inserted->object, true));
  fill_and_complete(*blob, 1, kBytes);
  store->settle(inserted->object);
  CHECK_TRUE(store->statistics().pinned_bytes >= kCharged);
  churn();
  CHECK_TRUE(there("/pinned"));
}

TEST(StoreBodies, PinsAreBoundedAtHalfTheArena) {
  std::uint64_t pinned = 0;
  for (std::uint64_t i = 0; i < 60; ++i)
    pinned += store->set_pinned(put(std::format("/{}", i), i), true);
  CHECK_TRUE(pinned >= 30 && pinned <= 34);
  CHECK_TRUE(store->statistics().pinned_bytes <= store->statistics().arena_capacity_bytes / 2);
  churn();
  CHECK_TRUE(there("/churn/299"));
}

TEST(StoreBodies, APinHoldsASharedBodyWhicheverNameItIsOn) {
  for (const bool first_is_pinned : {true, false}) {
    const auto first = put("/first", 1);
    const auto second = put("/second", 1);
    CHECK_TRUE(store->set_pinned(first_is_pinned ? first : second, true));
    CHECK_TRUE(store->statistics().pinned_bytes >= kCharged);
    churn();
    CHECK_TRUE(there(first_is_pinned ? "/first" : "/second"));
    CHECK_FALSE(there(first_is_pinned ? "/second" : "/first"));
    store->purge_prefix("");
    UNSIGNED_LONGS_EQUAL(0, store->statistics().pinned_bytes);
  }
}

TEST(StoreBodies, PinsOnSharedBodiesCountTheBytesOnce) {
  const auto first = put("/first", 1);
  const auto second = put("/second", 1);
  CHECK_TRUE(store->set_pinned(first, true));
  CHECK_TRUE(store->set_pinned(second, true));
  CHECK_TRUE(store->statistics().pinned_bytes < 2 * kCharged);
  store->set_pinned(second, false);
  CHECK_TRUE(store->statistics().pinned_bytes >= kCharged);
  store->remove(first);
  UNSIGNED_LONGS_EQUAL(0, store->statistics().pinned_bytes);
  CHECK_TRUE(there("/second"));
}

TEST(StoreBodies, WhoIsLeftOfASharedBodyWeighsItsBytes) {
  const auto first = put("/first", 1);
  const auto second = put("/second", 1);
  CHECK_TRUE(store->set_pinned(first, true));
  CHECK_TRUE(store->set_pinned(second, true));
  store->remove(second);
  CHECK_TRUE(store->statistics().pinned_bytes >= kCharged);
  store->remove(first);
  UNSIGNED_LONGS_EQUAL(0, store->statistics().pinned_bytes);
}
