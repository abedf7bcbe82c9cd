// A kept blob: growing from one or several places, waiting, ending, its digest and what it costs.
#include "cache/blob.h"

#include <nettle/sha2.h>

#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

TEST_GROUP(Blob) {
  ArenaSource source{4 << 20};
  Ref<Blob> kept(std::optional<std::uint64_t> total) {
    return Blob::create(source, Blob::Kind::kept, total, 1 << 20);
  }
};

TEST(Blob, BytesAreReadableAsSoonAsTheyArePublished) {
  const auto blob = kept(100000);
  UNSIGNED_LONGS_EQUAL(0, blob->readable_from(0));
  write_all(*blob, 1, 0, 70000);
  UNSIGNED_LONGS_EQUAL(69990, blob->readable_from(10));
  CHECK_TRUE(read(*blob, 10, 69990) == bytes_of(1, 10, 69990));
  CHECK_TRUE(blob->state() == Blob::State::growing);
  write_all(*blob, 1, 70000, 30000);
  blob->complete();
  CHECK_TRUE(blob->state() == Blob::State::complete);
  CHECK_TRUE(read(*blob, 0, 100000) == bytes_of(1, 0, 100000));
  UNSIGNED_LONGS_EQUAL(0, blob->readable_from(100000));
}

TEST(Blob, WrittenMemoryIsNotReadableBeforeItIsPublished) {
  const auto blob = kept(1000);
  const auto room = blob->writable(0);
  UNSIGNED_LONGS_EQUAL(1000, room.size());
  UNSIGNED_LONGS_EQUAL(0, blob->readable_from(0));
  std::memset(room.data(), 7, 10);
  blob->publish(0, 10);
  UNSIGNED_LONGS_EQUAL(10, blob->readable_from(0));
  UNSIGNED_LONGS_EQUAL(990, blob->writable(10).size());
}

TEST(Blob, SmallBodiesCostPagesNotBlocks) {
  const auto chunked = kept({});
  write_all(*chunked, 1, 0, 1024);
  UNSIGNED_LONGS_EQUAL(kPageBytes, chunked->charged_bytes());
  chunked->complete();
  UNSIGNED_LONGS_EQUAL(1024, chunked->total_bytes().value());
  UNSIGNED_LONGS_EQUAL(kPageBytes, source.arena->used_bytes());

  const auto announced = kept(65 * 1024);
  write_all(*announced, 1, 0, 65 * 1024);
  UNSIGNED_LONGS_EQUAL(kBlockBytes + kPageBytes, announced->charged_bytes());
}

TEST(Blob, CompletingGivesBackTheUnusedTail) {
  const auto blob = kept({});
  write_all(*blob, 1, 0, kBlockBytes + 5000);
  UNSIGNED_LONGS_EQUAL(2 * kBlockBytes, blob->charged_bytes());
  CHECK_TRUE(blob->writable(2 * kBlockBytes).size() > 0);  // taken ahead, never used
  blob->complete();
  UNSIGNED_LONGS_EQUAL(kBlockBytes + 2 * kPageBytes, blob->charged_bytes());
  UNSIGNED_LONGS_EQUAL(blob->charged_bytes(), source.arena->used_bytes());
  CHECK_TRUE(read(*blob, 0, kBlockBytes + 5000) == bytes_of(1, 0, kBlockBytes + 5000));
}

TEST(Blob, EmptyBodiesAreComplete) {
  for (const auto total : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(0)}) {
    const auto blob = kept(total);
    UNSIGNED_LONGS_EQUAL(0, blob->writable(0).size() > 0 && total.has_value());
    blob->complete();
    UNSIGNED_LONGS_EQUAL(0, blob->total_bytes().value());
    UNSIGNED_LONGS_EQUAL(0, blob->charged_bytes());
    CHECK_TRUE(blob->advance_digest(1));
    UNSIGNED_LONGS_EQUAL(0xe3, blob->digest()->at(0));  // SHA-256 of nothing: e3b0c442...
  }
}

TEST(Blob, SeveralFillersMeetWithoutOverlapping) {
  const auto blob = kept(300000);
  write_all(*blob, 1, 200000, 50000);  // a listener who sought
  write_all(*blob, 1, 100000, 20000);
  auto gap = blob->first_gap(0);
  UNSIGNED_LONGS_EQUAL(0, gap->begin);
  UNSIGNED_LONGS_EQUAL(100000, gap->end.value());
  // What may be written ends where published bytes begin.
  UNSIGNED_LONGS_EQUAL(100000 - 65536, blob->writable(65536).size());
  gap = blob->first_gap(100000);
  UNSIGNED_LONGS_EQUAL(120000, gap->begin);
  UNSIGNED_LONGS_EQUAL(200000, gap->end.value());
  gap = blob->first_gap(240000);
  UNSIGNED_LONGS_EQUAL(250000, gap->begin);
  UNSIGNED_LONGS_EQUAL(300000, gap->end.value());
  write_all(*blob, 1, 0, 300000);  // skips what is there
  CHECK_FALSE(blob->first_gap(0).has_value());
  blob->complete();
  CHECK_TRUE(read(*blob, 0, 300000) == bytes_of(1, 0, 300000));
}

TEST(Blob, PublishedBytesAreNotOverwritten) {
  const auto blob = kept(1000);
  write_all(*blob, 1, 0, 500);
  UNSIGNED_LONGS_EQUAL(0, blob->writable(100).size());
  UNSIGNED_LONGS_EQUAL(600, blob->write(0, bytes_of(2, 0, 600)));
  CHECK_TRUE(read(*blob, 0, 500) == bytes_of(1, 0, 500));
  CHECK_TRUE(read(*blob, 500, 100) == bytes_of(2, 500, 100));
}

TEST(Blob, NothingIsTakenBeyondTheKnownLength) {
  const auto blob = kept(1000);
  UNSIGNED_LONGS_EQUAL(1000, blob->write(0, bytes_of(1, 0, 1500)));
  UNSIGNED_LONGS_EQUAL(0, blob->writable(1000).size());
}

TEST(Blob, ALengthCanBeLearntOnTheWay) {
  const auto blob = kept({});
  const auto signal = make_ref<CountingSignal>();
  write_all(*blob, 1, 0, 100);
  CHECK_TRUE(blob->subscribe(100, signal));
  blob->set_total_bytes(5000);
  CHECK_TRUE(signal->consume());
  UNSIGNED_LONGS_EQUAL(5000, blob->total_bytes().value());
  blob->set_total_bytes(5000);
  CHECK_FALSE(signal->consume());
}

TEST(Blob, AWaiterIsWokenWhenItsByteArrives) {
  const auto blob = kept(200000);
  const auto here = make_ref<CountingSignal>();
  const auto there = make_ref<CountingSignal>();
  CHECK_TRUE(blob->subscribe(0, here));
  CHECK_TRUE(blob->subscribe(150000, there));
  write_all(*blob, 1, 0, 10);
  CHECK_TRUE(here->consume());
  CHECK_FALSE(there->consume());
  CHECK_FALSE(blob->subscribe(0, here));  // there is something already
  CHECK_TRUE(blob->subscribe(10, here));
  write_all(*blob, 1, 100000, 100000);  // the run that begins before its byte counts too
  CHECK_TRUE(there->consume());
  CHECK_FALSE(here->consume());
}

TEST(Blob, WaitersAreWokenByEveryEnd) {
  for (const bool completes : {true, false}) {
    const auto blob = kept({});
    const auto signal = make_ref<CountingSignal>();
    CHECK_TRUE(blob->subscribe(0, signal));
    if (completes) {
      blob->complete();
    } else {
      blob->break_off();
    }
    CHECK_TRUE(signal->consume());
    CHECK_FALSE(blob->subscribe(0, signal));
    UNSIGNED_LONGS_EQUAL(1, signal->reference_count());
  }
}

TEST(Blob, WhoNoLongerWaitsIsNotWoken) {
  const auto blob = kept({});
  const auto signal = make_ref<CountingSignal>();
  CHECK_TRUE(blob->subscribe(0, signal));
  blob->unsubscribe(*signal);
  blob->unsubscribe(*signal);
  write_all(*blob, 1, 0, 10);
  CHECK_FALSE(signal->consume());
  UNSIGNED_LONGS_EQUAL(1, signal->reference_count());
}

TEST(Blob, SubscribingOverAndOverStaysBounded) {
  const auto blob = kept({});
  const auto signal = make_ref<CountingSignal>();
  for (int i = 0; i < 10000; ++i) CHECK_TRUE(blob->subscribe(0, signal));
  CHECK_TRUE(signal->reference_count() < 200);
  CHECK_TRUE(blob->memory_bytes() < 10000);
}

TEST(Blob, BrokenBlobsKeepWhatWasPublished) {
  const auto blob = kept(1000);
  write_all(*blob, 1, 0, 400);
  blob->break_off();
  CHECK_TRUE(blob->state() == Blob::State::broken);
  UNSIGNED_LONGS_EQUAL(400, blob->readable_from(0));
  CHECK_TRUE(read(*blob, 0, 400) == bytes_of(1, 0, 400));
  UNSIGNED_LONGS_EQUAL(0, blob->writable(400).size());
  CHECK_FALSE(blob->advance_digest(1 << 20));
}

TEST(Blob, TheDigestIsThatOfTheBytesInAnyOrderOfArrival) {
  constexpr std::uint64_t kBytes = 200001;
  const auto content = bytes_of(5, 0, kBytes);
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, content.size(), reinterpret_cast<const std::uint8_t*>(content.data()));
  Digest expected;
  sha256_digest(&context, expected.size(), expected.data());

  const auto blob = kept(kBytes);
  write_all(*blob, 5, 150000, 50001);
  CHECK_FALSE(blob->advance_digest(1 << 20));
  write_all(*blob, 5, 0, 70000);
  CHECK_FALSE(blob->advance_digest(1 << 20));
  write_all(*blob, 5, 70000, 80000);
  blob->complete();
  CHECK_FALSE(blob->digest().has_value());
  int calls = 1;
  while (!blob->advance_digest(10000)) ++calls;
  UNSIGNED_LONGS_EQUAL(14, calls);  // the 130001 bytes that were left, at most 10000 a call
  CHECK_TRUE(blob->digest() == expected);
}

TEST(Blob, ADrySourceLeavesTheWriterWaiting) {
  const auto blob = kept(200000);
  const auto signal = make_ref<CountingSignal>();
  blob->set_space_signal(signal);
  write_all(*blob, 1, 0, kBlockBytes);
  source.dry = true;
  UNSIGNED_LONGS_EQUAL(0, blob->writable(kBlockBytes).size());
  source.dry = false;
  source.give_extent(*source.take_extent(1));
  CHECK_TRUE(signal->consume());
  write_all(*blob, 1, kBlockBytes, 200000 - kBlockBytes);
}

TEST(Blob, WorksFromFragments) {
  source.largest_bytes = kPageBytes;
  const auto blob = kept(200000);
  write_all(*blob, 1, 150000, 1000);
  write_all(*blob, 1, 0, 150000);
  write_all(*blob, 1, 151000, 49000);
  blob->complete();
  CHECK_TRUE(read(*blob, 0, 200000) == bytes_of(1, 0, 200000));
  UNSIGNED_LONGS_EQUAL(49 * kPageBytes, blob->charged_bytes());
}

TEST(Blob, IslandsAreBounded) {
  const auto blob = kept(4 << 20);
  const auto signal = make_ref<CountingSignal>();
  blob->set_space_signal(signal);
  for (std::uint64_t i = 0; i < Blob::kMaximumIslands; ++i) write_all(*blob, 1, i * 1000, 1);
  UNSIGNED_LONGS_EQUAL(0, blob->writable(2 << 20).size());
  CHECK_FALSE(signal->consume());
  write_all(*blob, 1, 1, 999);  // joins two
  CHECK_TRUE(signal->consume());
  write_all(*blob, 1, 2 << 20, 1);
}
