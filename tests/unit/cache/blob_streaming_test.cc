// A streaming blob: its window, its readers, what goes back to the arena and when.
#include "cache/blob.h"

#include <algorithm>
#include <vector>

#include "cache/reader_table.h"
#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

constexpr std::uint64_t kWindow = 4 * kBlockBytes;
constexpr std::uint64_t kTotal = 100 * kBlockBytes;

}  // namespace

TEST_GROUP(BlobStreaming) {
  ArenaSource source{8 << 20};
  const std::vector<std::byte>& content = [] -> const std::vector<std::byte>& {
    static const std::vector<std::byte> bytes = bytes_of(1, 0, kTotal);
    return bytes;
  }();
  Ref<CountingSignal> space = make_ref<CountingSignal>();

  Ref<Blob> make(Blob::Kind kind) {
    auto blob = Blob::create(source, kind, kTotal, kWindow);
    blob->set_space_signal(space);
    return blob;
  }
  // Writes until there is no room; returns where it stopped.
  std::uint64_t write_until_full(Blob & blob, std::uint64_t from) {
    const std::uint64_t ahead = std::min(kTotal - from, 20 * kBlockBytes);
    return from + blob.write(from, std::span(content).subspan(from, ahead));
  }
};

TEST(BlobStreaming, TheWriterStopsAWindowAheadOfTheSlowestReader) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader slow(blob, 0);
  BlobReader fast(blob, 0);
  UNSIGNED_LONGS_EQUAL(kWindow, write_until_full(*blob, 0));
  fast.release_before(kWindow);
  UNSIGNED_LONGS_EQUAL(0, blob->writable(kWindow).size());
  CHECK_FALSE(space->consume());
  slow.release_before(kBlockBytes);
  CHECK_TRUE(space->consume());
  UNSIGNED_LONGS_EQUAL(kWindow + kBlockBytes, write_until_full(*blob, kWindow));
}

TEST(BlobStreaming, TheWriterIsNotWokenForCrumbs) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader reader(blob, 0);
  write_until_full(*blob, 0);
  for (std::uint64_t offset = 100; offset < kBlockBytes; offset += 100)
    reader.release_before(offset);
  CHECK_FALSE(space->consume());
  reader.release_before(kBlockBytes);
  CHECK_TRUE(space->consume());
}

TEST(BlobStreaming, MemoryGoesBackInWholeExtentsBehindTheSlowest) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader first(blob, 0);
  BlobReader second(blob, 0);
  write_until_full(*blob, 0);
  first.release_before(3 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(4 * kBlockBytes, source.arena->used_bytes());
  second.release_before(2 * kBlockBytes - 1);
  UNSIGNED_LONGS_EQUAL(3 * kBlockBytes, source.arena->used_bytes());
  second.detach();
  UNSIGNED_LONGS_EQUAL(1 * kBlockBytes, source.arena->used_bytes());
  UNSIGNED_LONGS_EQUAL(kBlockBytes, blob->charged_bytes());
  UNSIGNED_LONGS_EQUAL(kBlockBytes, blob->readable_from(3 * kBlockBytes));
}

TEST(BlobStreaming, ALargeBodyPassesThroughASmallWindow) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader reader(blob, 0);
  std::uint64_t written = 0;
  std::uint64_t read_to = 0;
  while (read_to < kTotal) {
    written = write_until_full(*blob, written);
    if (written == kTotal && blob->state() == Blob::State::growing) blob->complete();
    const std::uint64_t piece = std::min<std::uint64_t>(blob->readable_from(read_to), 50000);
    CHECK_TRUE(piece > 0);
    CHECK_TRUE(std::ranges::equal(read(*blob, read_to, piece),
                                  std::span(content).subspan(read_to, piece)));
    read_to += piece;
    reader.release_before(read_to);
    CHECK_TRUE(source.arena->used_bytes() <= kWindow + kBlockBytes);
  }
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
}

TEST(BlobStreaming, WhoComesTooLateIsTold) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader reader(blob, 0);
  write_until_full(*blob, 0);
  reader.release_before(2 * kBlockBytes);
  const BlobReader late(blob, 2 * kBlockBytes - 1);
  CHECK_TRUE(late.too_late());
  UNSIGNED_LONGS_EQUAL(0, blob->readable_from(2 * kBlockBytes - 1));
  const BlobReader in_time(blob, 2 * kBlockBytes);
  CHECK_FALSE(in_time.too_late());
  // One who is too late holds nothing back.
  reader.release_before(3 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(2 * kBlockBytes, source.arena->used_bytes());
}

TEST(BlobStreaming, WithoutReadersItHoldsAWindowAndNoMore) {
  const auto blob = make(Blob::Kind::streaming);
  CHECK_FALSE(blob->has_readers());
  UNSIGNED_LONGS_EQUAL(kWindow, write_until_full(*blob, 0));
  BlobReader reader(blob, 0);
  CHECK_TRUE(blob->has_readers());
  CHECK_FALSE(reader.too_late());
  reader.detach();
  CHECK_TRUE(space->consume());  // the fill asks itself whether to go on
  CHECK_FALSE(blob->has_readers());
}

TEST(BlobStreaming, ReadersMayBeginInTheMiddle) {
  // The origin ignored the range and sends all of it: what lies before the reader is dropped as it
  // passes.
  const auto blob = make(Blob::Kind::streaming);
  BlobReader reader(blob, 10 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(10 * kBlockBytes + kWindow, write_until_full(*blob, 0));
  UNSIGNED_LONGS_EQUAL(kWindow, source.arena->used_bytes());
  CHECK_TRUE(read(*blob, 10 * kBlockBytes, kWindow) == bytes_of(1, 10 * kBlockBytes, kWindow));
}

TEST(BlobStreaming, MemoryBeingReceivedIntoStays) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader reader(blob, 0);
  const auto room = blob->writable(0);
  std::memset(room.data(), 1, 100);
  blob->publish(0, 100);
  const auto under_way = blob->writable(100);  // an asynchronous receive goes on into this
  reader.release_before(2 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(kBlockBytes, source.arena->used_bytes());
  std::memset(under_way.data(), 2, under_way.size());
  blob->publish(100, under_way.size());
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
}

TEST(BlobStreaming, StoppingToKeepFreesWhatReadersHavePassed) {
  const auto blob = make(Blob::Kind::kept);
  BlobReader ahead(blob, 0);
  BlobReader behind(blob, 0);
  write_all(*blob, 1, 0, 20 * kBlockBytes);
  ahead.release_before(15 * kBlockBytes);
  behind.release_before(10 * kBlockBytes + 5);
  UNSIGNED_LONGS_EQUAL(20 * kBlockBytes, source.arena->used_bytes());
  blob->stop_keeping();
  CHECK_TRUE(blob->kind() == Blob::Kind::streaming);
  UNSIGNED_LONGS_EQUAL(1, source.not_kept);
  // While it was kept nobody asked where its readers are; woken by the change they say it again.
  ahead.release_before(15 * kBlockBytes);
  behind.release_before(10 * kBlockBytes + 5);
  UNSIGNED_LONGS_EQUAL(10 * kBlockBytes, source.arena->used_bytes());
  CHECK_TRUE(read(*blob, 10 * kBlockBytes + 5, 1000) == bytes_of(1, 10 * kBlockBytes + 5, 1000));
  // The writer is ten blocks ahead with a window of four.
  UNSIGNED_LONGS_EQUAL(0, blob->writable(20 * kBlockBytes).size());
  behind.release_before(17 * kBlockBytes);
  ahead.release_before(17 * kBlockBytes);
  CHECK_TRUE(space->consume());
  UNSIGNED_LONGS_EQUAL(21 * kBlockBytes, write_until_full(*blob, 20 * kBlockBytes));
}

// A hang seen with real threads: the reader found the blob kept and so said nothing, the blob
// stopped being kept, the reader went to sleep; the window waited for its old place.
TEST(BlobStreaming, WhoWaitsForMoreSaysWhereItIsEvenIfTheBlobWasKeptWhenItMoved) {
  const auto blob = make(Blob::Kind::kept);
  BlobReader reader(blob, 0);
  write_all(*blob, 1, 0, 6 * kBlockBytes);
  reader.release_before(6 * kBlockBytes);
  blob->stop_keeping();
  UNSIGNED_LONGS_EQUAL(0, blob->writable(6 * kBlockBytes).size());
  const auto signal = make_ref<CountingSignal>();
  CHECK_TRUE(reader.subscribe(6 * kBlockBytes, signal));
  CHECK_TRUE(space->consume());
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
  UNSIGNED_LONGS_EQUAL(10 * kBlockBytes, write_until_full(*blob, 6 * kBlockBytes));
  CHECK_TRUE(signal->consume());
}

TEST(BlobStreaming, StoppingToKeepWithoutReadersFreesEverything) {
  const auto blob = make(Blob::Kind::kept);
  write_all(*blob, 1, 0, 70 * kBlockBytes);
  blob->stop_keeping();
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
  CHECK_TRUE(BlobReader(blob, 0).too_late());
  UNSIGNED_LONGS_EQUAL(70 * kBlockBytes, blob->first_gap(0)->begin);
  const BlobReader reader(blob, 70 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(70 * kBlockBytes + kWindow, write_until_full(*blob, 70 * kBlockBytes));
}

TEST(BlobStreaming, StoppingToKeepWakesWaiters) {
  const auto blob = make(Blob::Kind::kept);
  const auto signal = make_ref<CountingSignal>();
  CHECK_TRUE(blob->subscribe(0, signal));
  blob->stop_keeping();
  CHECK_TRUE(signal->consume());
}

TEST(BlobStreaming, ACompleteOneGivesBackAsItIsRead) {
  const auto blob = Blob::create(source, Blob::Kind::streaming, {}, kWindow);
  BlobReader reader(blob, 0);
  write_all(*blob, 1, 0, 2 * kBlockBytes + 100);
  blob->complete();
  UNSIGNED_LONGS_EQUAL(2 * kBlockBytes + 100, blob->total_bytes().value());
  UNSIGNED_LONGS_EQUAL(2 * kBlockBytes + kPageBytes, source.arena->used_bytes());
  reader.release_before(2 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(kPageBytes, source.arena->used_bytes());
  CHECK_TRUE(read(*blob, 2 * kBlockBytes, 100) == bytes_of(1, 2 * kBlockBytes, 100));
  reader.release_before(2 * kBlockBytes + 100);
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
  CHECK_FALSE(blob->advance_digest(1 << 20));
}

TEST(BlobStreaming, AMovedReaderHoldsItsPlace) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader first(blob, 0);
  write_until_full(*blob, 0);
  BlobReader second(std::move(first));
  BlobReader third;
  third = std::move(second);
  CHECK_TRUE(static_cast<bool>(third));
  CHECK_FALSE(static_cast<bool>(second));
  UNSIGNED_LONGS_EQUAL(kWindow, source.arena->used_bytes());
  third.release_before(kBlockBytes);
  UNSIGNED_LONGS_EQUAL(kWindow - kBlockBytes, source.arena->used_bytes());
}

TEST(BlobStreaming, ReadersOfACompleteKeptBlobHoldNothing) {
  const auto blob = Blob::create(source, Blob::Kind::kept, 5000, kWindow);
  BlobReader early(blob, 0);
  write_all(*blob, 1, 0, 5000);
  blob->complete();
  BlobReader late(blob, 0);
  CHECK_FALSE(blob->has_readers());
  early.release_before(4000);
  late.release_before(4000);
  CHECK_TRUE(read(*blob, 0, 5000) == bytes_of(1, 0, 5000));
}

TEST(BlobStreaming, WhoHoldsUpOthersIsSeenAndCutLoose) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader slow(blob, 0);
  BlobReader fast(blob, 0);
  write_until_full(*blob, 0);
  CHECK_FALSE(blob->held_back());  // nobody has read it all yet
  fast.release_before(kWindow - kBlockBytes + 1);
  CHECK_TRUE(blob->held_back());
  slow.release_before(1000);
  UNSIGNED_LONGS_EQUAL(1, blob->cut_laggards());
  CHECK_FALSE(blob->held_back());
  CHECK_TRUE(slow.too_late());
  CHECK_FALSE(fast.too_late());
  // The writer goes on, and memory behind the fast reader goes back, but for what the slow one has.
  const std::uint64_t written = write_until_full(*blob, kWindow);
  UNSIGNED_LONGS_EQUAL(2 * kWindow, written);
  fast.release_before(written);
  UNSIGNED_LONGS_EQUAL(kWindow, source.arena->used_bytes());
  UNSIGNED_LONGS_EQUAL(0, blob->readable_from(1000));
  UNSIGNED_LONGS_EQUAL(kWindow - 1000, slow.readable_from(1000));
  CHECK_TRUE(read(*blob, 1000, kWindow - 1000) == bytes_of(1, 1000, kWindow - 1000));
  slow.release_before(2 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(kWindow - 2 * kBlockBytes, source.arena->used_bytes());
  slow.release_before(kWindow);
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
  UNSIGNED_LONGS_EQUAL(0, slow.readable_from(kWindow));
}

TEST(BlobStreaming, WhoLagsLessThanHalfAWindowStays) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader slow(blob, 0);
  BlobReader middling(blob, 0);
  BlobReader fast(blob, 0);
  write_until_full(*blob, 0);
  middling.release_before(2 * kBlockBytes);
  fast.release_before(kWindow);
  UNSIGNED_LONGS_EQUAL(1, blob->cut_laggards());
  CHECK_FALSE(middling.too_late());
  UNSIGNED_LONGS_EQUAL(2, blob->reader_count());
  UNSIGNED_LONGS_EQUAL(2 * kBlockBytes + kWindow, write_until_full(*blob, kWindow));
}

TEST(BlobStreaming, AloneNobodyHoldsUpOthers) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader alone(blob, 0);
  write_until_full(*blob, 0);
  CHECK_FALSE(blob->held_back());
}

TEST(BlobStreaming, ACutWakesWhoWaitsAndWhatItHoldsGoesWithIt) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader slow(blob, 0);
  BlobReader fast(blob, 0);
  write_until_full(*blob, 0);
  const auto signal = make_ref<CountingSignal>();
  CHECK_TRUE(blob->subscribe(kWindow, signal));  // all in its plan, nothing of it sent
  fast.release_before(kWindow);
  UNSIGNED_LONGS_EQUAL(1, blob->cut_laggards());
  CHECK_TRUE(signal->consume());
  UNSIGNED_LONGS_EQUAL(kWindow, source.arena->used_bytes());
  slow.detach();
  UNSIGNED_LONGS_EQUAL(0, source.arena->used_bytes());
  CHECK_TRUE(blob->has_readers());
  fast.detach();
  CHECK_FALSE(blob->has_readers());
}

TEST(BlobStreaming, WhoHasAllItWantsHoldsUpNobody) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader part(blob, 0);
  BlobReader whole(blob, 0);
  write_until_full(*blob, 0);
  whole.release_before(kWindow);
  part.end_at(kBlockBytes + 1);  // has not sent it yet
  CHECK_TRUE(space->consume());
  UNSIGNED_LONGS_EQUAL(1, blob->reader_count());
  UNSIGNED_LONGS_EQUAL(2 * kWindow, write_until_full(*blob, kWindow));
  UNSIGNED_LONGS_EQUAL(2 * kBlockBytes + kWindow, source.arena->used_bytes());
  CHECK_TRUE(read(*blob, 0, kBlockBytes + 1) == bytes_of(1, 0, kBlockBytes + 1));
  part.release_before(kBlockBytes + 1);
  UNSIGNED_LONGS_EQUAL(kWindow, source.arena->used_bytes());
}

TEST(BlobStreaming, WhatAPartWaitsToSendStaysWhenTheBodyStopsBeingKept) {
  const auto blob = make(Blob::Kind::kept);
  BlobReader part(blob, 0);
  write_all(*blob, 1, 0, 10 * kBlockBytes);
  part.release_before(kBlockBytes);
  part.end_at(2 * kBlockBytes);
  CHECK_FALSE(blob->has_readers());
  blob->stop_keeping();
  UNSIGNED_LONGS_EQUAL(kBlockBytes, source.arena->used_bytes());
  CHECK_TRUE(read(*blob, kBlockBytes, 1000) == bytes_of(1, kBlockBytes, 1000));
}

TEST(BlobStreaming, CutsAreBounded) {
  const auto blob = make(Blob::Kind::streaming);
  BlobReader fast(blob, 0);
  std::vector<BlobReader> slow;
  std::uint64_t written = 0;
  for (std::size_t each = 0; each < ReaderTable::kMaximumCuts; ++each) {
    slow.emplace_back(blob, written);
    written = write_until_full(*blob, written);
    fast.release_before(written);
    UNSIGNED_LONGS_EQUAL(1, blob->cut_laggards());
  }
  slow.emplace_back(blob, written);
  write_until_full(*blob, written);
  fast.release_before(written + kWindow);
  CHECK_TRUE(blob->held_back());
  UNSIGNED_LONGS_EQUAL(0, blob->cut_laggards());
  slow.erase(slow.begin());
  UNSIGNED_LONGS_EQUAL(1, blob->cut_laggards());
}

TEST(BlobStreaming, ABodyMayBeginInItsMiddle) {
  const auto blob = make(Blob::Kind::streaming);
  const std::uint64_t begin = 10 * kBlockBytes + 77;
  blob->begin_at(begin);
  UNSIGNED_LONGS_EQUAL(begin, blob->first_gap(0)->begin);
  CHECK_TRUE(BlobReader(blob, begin - 1).too_late());
  const BlobReader reader(blob, begin);
  CHECK_FALSE(reader.too_late());
  // To the end of the block in which the window ends.
  UNSIGNED_LONGS_EQUAL(11 * kBlockBytes + kWindow, write_until_full(*blob, begin));
}

TEST(BlobStreaming, ADisbandedOneIsReadToItsEndAndSaysThatMoreMustComeFromElsewhere) {
  const auto blob = make(Blob::Kind::kept);
  BlobReader reader(blob, 0);
  write_all(*blob, 1, 0, 1000);
  const auto signal = make_ref<CountingSignal>();
  CHECK_TRUE(blob->subscribe(1000, signal));
  blob->stop_keeping();
  signal->consume();
  CHECK_FALSE(reader.too_late());
  blob->disband();
  CHECK_TRUE(signal->consume() || !blob->subscribe(1000, signal));
  UNSIGNED_LONGS_EQUAL(1000, reader.readable_from(0));
  CHECK_TRUE(reader.too_late());
  CHECK_TRUE(blob->state() == Blob::State::broken);
}
