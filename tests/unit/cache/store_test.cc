// Names: finding, variants, replacing, purging, the bounds of arena and index, why something is not
// kept.
#include "cache/store.h"

#include <format>

#include "cache/policy/policy.h"
#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

const Selector kAny;

Selector has_id(std::uint64_t id) {
  return [id](const Metadata& metadata) { return id_of(metadata) == id; };
}

}  // namespace

TEST_GROUP(Store) {
  std::unique_ptr<Store> store = make({});

  static std::unique_ptr<Store> make(StoreOptions options) {
    if (options.arena.bytes == 0) options.arena.bytes = 4 << 20;
    options.arena.want_hugepages = false;
    options.hash_key = SipHashKey{1, 2};
    return std::move(Store::create(options).value());
  }
  static Ref<Metadata> metadata(std::uint64_t id, std::size_t bytes = 300) {
    return make_ref<TestMetadata>(id, bytes);
  }
  Ref<Blob> body(std::uint64_t content, std::uint64_t bytes) {
    auto blob = store->make_blob(Blob::Kind::kept, bytes);
    fill_and_complete(*blob, content, bytes);
    return blob;
  }
  bool put(std::string_view name, std::uint64_t id, std::uint64_t bytes,
           std::size_t metadata_bytes = 300) {
    return store->insert(name, metadata(id, metadata_bytes), body(id, bytes), kAny).has_value();
  }
};

TEST(Store, FindsWhatWasInsertedUnderTheWholeName) {
  put("/a", 1, 5000);
  const auto found = store->find("/a", kAny, true);
  CHECK_TRUE(found.has_value());
  UNSIGNED_LONGS_EQUAL(1, id_of(*found->metadata));
  CHECK_TRUE(read(*found->blob, 0, 5000) == bytes_of(1, 0, 5000));
  CHECK_FALSE(store->find("/", kAny, true).has_value());
  CHECK_FALSE(store->find("/ab", kAny, true).has_value());
  CHECK_FALSE(store->find("", kAny, true).has_value());
}

TEST(Store, AGrowingObjectIsFoundAtOnce) {
  const auto blob = store->make_blob(Blob::Kind::kept, 100);
  const auto inserted = store->insert("/a", metadata(1), blob, kAny);
  const auto found = store->find("/a", kAny, true);
  CHECK_TRUE(found && found->object == inserted->object && found->blob == blob);
  UNSIGNED_LONGS_EQUAL(1, store->statistics().growing);
  fill_and_complete(*blob, 1, 100);
  store->settle(inserted->object);
  UNSIGNED_LONGS_EQUAL(0, store->statistics().growing);
  UNSIGNED_LONGS_EQUAL(1, store->statistics().objects);
}

TEST(Store, VariantsAreSelectedNewestFirst) {
  for (std::uint64_t id = 1; id <= 3; ++id) put("/a", id, 100);
  UNSIGNED_LONGS_EQUAL(3, id_of(*store->find("/a", kAny, false)->metadata));
  UNSIGNED_LONGS_EQUAL(2, id_of(*store->find("/a", has_id(2), false)->metadata));
  CHECK_FALSE(store->find("/a", has_id(9), false).has_value());
  const auto all = store->find_all("/a");
  UNSIGNED_LONGS_EQUAL(3, all.size());
  for (std::uint64_t i = 0; i < 3; ++i) UNSIGNED_LONGS_EQUAL(3 - i, id_of(*all[i].metadata));
}

TEST(Store, VariantsOfANameAreBounded) {
  for (std::uint64_t id = 1; id <= Store::kMaximumVariants + 5; ++id) put("/a", id, 10);
  UNSIGNED_LONGS_EQUAL(Store::kMaximumVariants, store->find_all("/a").size());
  CHECK_FALSE(store->find("/a", has_id(5), false).has_value());
  CHECK_TRUE(store->find("/a", has_id(6), false).has_value());
}

TEST(Store, InsertingReplacesWhatItIsToldTo) {
  put("/a", 1, 100);
  put("/a", 2, 100);
  store->insert("/a", metadata(3), body(3, 100), has_id(1));
  CHECK_FALSE(store->find("/a", has_id(1), false).has_value());
  CHECK_TRUE(store->find("/a", has_id(2), false).has_value());
  CHECK_TRUE(store->find("/a", has_id(3), false).has_value());
}

TEST(Store, AnObjectOutlivesItsRemovalForWhoReadsIt) {
  put("/a", 1, 5000);
  auto found = store->find("/a", kAny, true);
  store->remove(found->object);
  store->remove(found->object);
  CHECK_FALSE(store->contains(found->object));
  CHECK_FALSE(store->find("/a", kAny, true).has_value());
  CHECK_TRUE(read(*found->blob, 0, 5000) == bytes_of(1, 0, 5000));
  found->blob.reset();  // the object alone holds no content
  UNSIGNED_LONGS_EQUAL(0, store->statistics().arena_used_bytes);
  store->settle(found->object);
  CHECK_FALSE(store->set_pinned(found->object, true));
  CHECK_FALSE(store->replace_metadata(found->object, metadata(2)));
}

TEST(Store, MetadataIsReplacedAsAWhole) {
  put("/a", 1, 100);
  const auto before = store->find("/a", kAny, false);
  const std::uint64_t used = store->statistics().index_used_bytes;
  CHECK_TRUE(store->replace_metadata(before->object, metadata(2, 1300)));
  const auto after = store->find("/a", kAny, false);
  UNSIGNED_LONGS_EQUAL(1, id_of(*before->metadata));
  UNSIGNED_LONGS_EQUAL(2, id_of(*after->metadata));
  CHECK_TRUE(before->object == after->object && before->blob == after->blob);
  UNSIGNED_LONGS_EQUAL(used + 1000, store->statistics().index_used_bytes);
}

TEST(Store, PurgesByNameAndPrefixAndCounts) {
  for (std::uint64_t i = 0; i < 300; ++i) put(std::format("/{}/{}", i % 3, i), i, 10);
  put("/1/1", 1000, 10);
  UNSIGNED_LONGS_EQUAL(2, store->purge("/1/1"));
  UNSIGNED_LONGS_EQUAL(0, store->purge("/1/1"));
  UNSIGNED_LONGS_EQUAL(99, store->purge_prefix("/1/"));
  UNSIGNED_LONGS_EQUAL(0, store->purge_prefix("/1/"));
  CHECK_TRUE(store->find("/2/2", kAny, false).has_value());
  UNSIGNED_LONGS_EQUAL(200, store->purge_prefix(""));
  UNSIGNED_LONGS_EQUAL(301, store->statistics().purged);
  UNSIGNED_LONGS_EQUAL(0, store->statistics().objects);
  UNSIGNED_LONGS_EQUAL(0, store->statistics().arena_used_bytes);
}

TEST(Store, EvictsToMakeRoomAndStaysWithinTheArena) {
  for (std::uint64_t i = 0; i < 500; ++i) {
    CHECK_TRUE(put(std::format("/{}", i), i, 60000));
    CHECK_TRUE(store->statistics().arena_used_bytes <= store->statistics().arena_capacity_bytes);
  }
  const auto statistics = store->statistics();
  CHECK_TRUE(statistics.objects >= 50);
  UNSIGNED_LONGS_EQUAL(500, statistics.objects + statistics.evictions);
  UNSIGNED_LONGS_EQUAL(statistics.evictions * 15 * kPageBytes, statistics.evicted_bytes);
  UNSIGNED_LONGS_EQUAL(statistics.arena_used_bytes, statistics.stored_bytes);
}

TEST(Store, EvictsToStayWithinTheIndex) {
  store = make({.index_bytes = 1 << 20});
  for (std::uint64_t i = 0; i < 3000; ++i) {
    CHECK_TRUE(put(std::format("/{}", i), i, 10, 1000));
    CHECK_TRUE(store->statistics().index_used_bytes <= store->statistics().index_capacity_bytes);
  }
  CHECK_TRUE(store->statistics().objects > 300);
}

// Empty bodies (redirects, refusals) cost index only: however many there are, they must not press
// out what is wanted.
TEST(Store, AFloodOfEmptyBodiesDoesNotPressOutWantedOnes) {
  store = make({.arena = {.bytes = 16 << 20}, .index_bytes = 1 << 20});
  for (std::uint64_t i = 0; i < 100; ++i) {
    put(std::format("/wanted/{}", i), i, 60000);
    for (int use = 0; use < 3; ++use) store->find(std::format("/wanted/{}", i), kAny, true);
  }
  for (std::uint64_t i = 0; i < 20000; ++i) put(std::format("/flood/{}", i), i, 0);
  std::uint64_t still_there = 0;
  for (std::uint64_t i = 0; i < 100; ++i)
    still_there += store->find(std::format("/wanted/{}", i), kAny, false).has_value();
  CHECK_TRUE(still_there >= 90);
}

TEST(Store, GrowingObjectsAreNotEvicted) {
  const auto growing = store->make_blob(Blob::Kind::kept, 60000);
  const auto inserted = store->insert("/growing", metadata(1), growing, kAny);
  write_all(*growing, 1, 0, 30000);
  for (std::uint64_t i = 0; i < 200; ++i) put(std::format("/{}", i), i, 60000);
  CHECK_TRUE(store->contains(inserted->object));
  store->remove(inserted->object);
}

TEST(Store, WhenEverythingGrowsWritersRunDryAndAreWokenWhenSomethingGoes) {
  const auto signal = make_ref<CountingSignal>();
  std::vector<Ref<Blob>> blobs;
  for (int i = 0; i < 64; ++i) {
    blobs.push_back(store->make_blob(Blob::Kind::kept, kBlockBytes));
    write_all(*blobs.back(), 1, 0, 100);
  }
  const auto one_more = store->make_blob(Blob::Kind::kept, 60000);
  one_more->set_space_signal(signal);
  UNSIGNED_LONGS_EQUAL(0, one_more->writable(0).size());
  CHECK_FALSE(signal->consume());
  CHECK_TRUE(store->statistics().refused_no_room > 0);
  blobs.pop_back();
  CHECK_TRUE(signal->consume());
  write_all(*one_more, 1, 0, 60000);
}

// Slow readers of everything must not have the whole index emptied for memory that does not come
// back.
TEST(Store, EvictionStopsWhenEverythingEvictedIsStillRead) {
  std::vector<Ref<Blob>> held;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    put(std::format("/{}", i), i, 4096);
    held.push_back(store->find(std::format("/{}", i), kAny, true)->blob);
  }
  std::vector<Extent> rest;
  while (store->arena().used_bytes() < store->arena().capacity_bytes()) {
    rest.push_back(*store->take_extent(kPageBytes));
  }
  CHECK_FALSE(store->take_extent(kPageBytes).has_value());
  CHECK_TRUE(store->statistics().evictions <= 64);
  for (const Extent& extent : rest) store->give_extent(extent);
}

TEST(Store, SmallBodiesDoNotFragmentTheArenaForLargeOnes) {
  store =
      make({.arena = {.bytes = 4 << 20}, .index_bytes = 4 << 20, .maximum_object_bytes = 1 << 20});
  for (std::uint64_t i = 0; i < 2000; ++i) put(std::format("/small/{}", i), i, 3000);
  for (std::uint64_t i = 0; i < 8; ++i) {
    CHECK_TRUE(put(std::format("/large/{}", i), i, 900000));
    CHECK_TRUE(read(*store->find(std::format("/large/{}", i), kAny, true)->blob, 0, 900000) ==
               bytes_of(i, 0, 900000));
  }
}

TEST(Store, WhatIsTooLargeStreams) {
  const std::uint64_t largest = node_largest_entry_bytes(4 << 20);
  CHECK_TRUE(store->keeps(largest) && !store->keeps(largest + 1));
  CHECK_TRUE(store->make_blob(Blob::Kind::kept, largest + 1)->kind() == Blob::Kind::streaming);
  CHECK_TRUE(store->make_blob(Blob::Kind::kept, {})->kind() == Blob::Kind::kept);
  CHECK_TRUE(store->make_blob(Blob::Kind::streaming, 10)->kind() == Blob::Kind::streaming);
  UNSIGNED_LONGS_EQUAL(1, store->statistics().refused_too_large);
  store->make_blob(Blob::Kind::kept, {})->stop_keeping();
  UNSIGNED_LONGS_EQUAL(1, store->statistics().stopped_keeping);
  store = make({.maximum_object_bytes = 1000});
  CHECK_TRUE(store->keeps(1000) && !store->keeps(1001));
}

TEST(Store, OneObjectCannotCostTheWholeIndex) {
  put("/a", 1, 100);
  CHECK_FALSE(put("/b", 2, 100, 500000));
  CHECK_TRUE(store->find("/a", kAny, false).has_value());
  UNSIGNED_LONGS_EQUAL(1, store->statistics().refused_no_room);
  CHECK_FALSE(store->replace_metadata(store->find("/a", kAny, false)->object, metadata(2, 500000)));
  CHECK_FALSE(store->find("/a", kAny, false).has_value());
}

TEST(Store, ABlobThatStoppedBeingKeptIsRemovedWhenSettled) {
  const auto blob = store->make_blob(Blob::Kind::kept, 100);
  const auto inserted = store->insert("/a", metadata(1), blob, kAny);
  blob->stop_keeping();
  write_all(*blob, 1, 0, 100);
  blob->complete();
  store->settle(inserted->object);
  CHECK_FALSE(store->contains(inserted->object));
}

TEST(Store, TellsWhyItCannotBeMade) {
  StoreOptions options{.arena = {.bytes = 4 << 20, .want_hugepages = false}};
  options.policy = "nonsense";
  STRCMP_CONTAINS("nonsense", Store::create(options).error().message.c_str());
  options.policy = "lru";
  CHECK_TRUE(Store::create(options).has_value());
  options.index_bytes = 1000;
  STRCMP_CONTAINS("at least 1 MiB", Store::create(options).error().message.c_str());
}

// docs/cache.md gives these numbers.
TEST(Store, MetadataPerObjectIsAsPublished) {
  store = make({.arena = {.bytes = 64 << 20}});
  for (std::uint64_t i = 0; i < 50; ++i) {
    put(std::format(
            "https://media.example/release/0123456789/flac-16-44/track-07/segment-{:05}.m4s", i),
        i, 1 << 20, 600);
  }
  const double bytes = store->statistics().metadata_bytes_per_object;
  CHECK_TRUE(bytes > 600 && bytes < 2200);
}
