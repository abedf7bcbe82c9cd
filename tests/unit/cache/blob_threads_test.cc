// Real threads on one growing blob, meant for the thread sanitizer: every reader gets every byte,
// and nobody sleeps through a wake-up. A waiter here blocks on its signal and nothing else, so a
// lost wake-up shows as a hang, which the test's time limit ends.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "cache/blob.h"
#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

// Few enough that the thread sanitizer's machine of two cores is done in seconds.
constexpr std::uint64_t kTotal = 30 * kBlockBytes + 123;

class BlockingSignal : public Signal {
 public:
  void raise() override {
    const std::lock_guard lock(mutex_);
    raised_ = true;
    changed_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return raised_; });
    raised_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool raised_ = false;
};

// Reads from `offset` to the end as a session does. Returns how far it came with right bytes; the
// end as well if it was cut loose.
std::uint64_t read_to_end(BlobReader reader, std::uint64_t content, std::uint64_t offset) {
  const auto signal = make_ref<BlockingSignal>();
  Blob& blob = reader.blob();
  for (;;) {
    const std::uint64_t readable = std::min<std::uint64_t>(reader.readable_from(offset), 30000);
    if (readable > 0) {
      std::array<iovec, 4> vectors;
      std::uint64_t covered = 0;
      const std::size_t used = blob.addresses(offset, readable, vectors, &covered);
      for (const iovec& vector : std::span(vectors).first(used)) {
        const auto* const data = static_cast<const std::byte*>(vector.iov_base);
        for (std::size_t i = 0; i < vector.iov_len; ++i) {
          if (data[i] != byte_at(content, offset + i)) return offset + i;
        }
        offset += vector.iov_len;
      }
      reader.release_before(offset);
      continue;
    }
    if (reader.too_late()) return blob.total_bytes().value_or(kTotal);
    if (reader.subscribe(offset, signal)) {
      signal->wait();
    } else if (reader.readable_from(offset) == 0 && blob.state() != Blob::State::growing) {
      return offset;
    }
  }
}

void fill(Blob& blob, std::uint64_t content, std::uint64_t total, const Ref<BlockingSignal>& space,
          std::uint64_t stop_keeping_at, bool cut_eagerly) {
  std::uint64_t at = 0;
  while (at < total) {
    std::span<std::byte> room = blob.writable(at);
    if (room.empty()) {
      if (cut_eagerly && blob.held_back() && blob.cut_laggards() > 0) continue;
      space->wait();
      continue;
    }
    room = room.first(std::min<std::uint64_t>({room.size(), total - at, 9000}));
    for (std::size_t i = 0; i < room.size(); ++i) room[i] = byte_at(content, at + i);
    blob.publish(at, room.size());
    at += room.size();
    if (at >= stop_keeping_at) blob.stop_keeping();
    blob.advance_digest(9000);
  }
  blob.complete();
}

}  // namespace

TEST_GROUP(BlobThreads) {
  static constexpr int kReaders = 8;
  bool cut_eagerly = false;

  void fill_and_read(Blob::Kind kind, bool announce, std::uint64_t stop_keeping_at) {
    auto arena = std::move(Arena::create({.bytes = 4 << 20, .want_hugepages = false}).value());
    struct Source final : ExtentSource {
      explicit Source(Arena& its_arena) : arena(its_arena) {}
      std::optional<Extent> take_extent(std::size_t bytes) override {
        return arena.allocate(bytes);
      }
      void give_extent(Extent extent) override { arena.free(extent); }
      Arena& arena;
    } source(*arena);
    {
      const auto blob = Blob::create(source, kind, announce ? std::optional(kTotal) : std::nullopt,
                                     2 * kBlockBytes);
      const auto space = make_ref<BlockingSignal>();
      blob->set_space_signal(space);
      std::vector<std::uint64_t> reached(kReaders);
      std::vector<std::thread> threads;
      for (int i = 0; i < kReaders; ++i) {
        // Attached before the writer starts, so that nobody is too late.
        threads.emplace_back(
            [&reached, i, offset = static_cast<std::uint64_t>(i) * 1000,
             reader = BlobReader(blob, static_cast<std::uint64_t>(i) * 1000)]() mutable {
              reached[static_cast<std::size_t>(i)] = read_to_end(std::move(reader), 9, offset);
            });
      }
      fill(*blob, 9, kTotal, space, stop_keeping_at, cut_eagerly);
      for (std::thread& thread : threads) thread.join();
      for (const std::uint64_t offset : reached) UNSIGNED_LONGS_EQUAL(kTotal, offset);
    }
    UNSIGNED_LONGS_EQUAL(0, arena->used_bytes());
  }
};

TEST(BlobThreads, ReadersFollowAKeptBlob) {
  fill_and_read(Blob::Kind::kept, true, UINT64_MAX);
  fill_and_read(Blob::Kind::kept, false, UINT64_MAX);
}

TEST(BlobThreads, ReadersFollowAStreamingBlobThroughItsWindow) {
  fill_and_read(Blob::Kind::streaming, true, UINT64_MAX);
  fill_and_read(Blob::Kind::streaming, false, UINT64_MAX);
}

// Laggards are cut whenever the writer waits: whoever is not cut gets all, whoever is gets right
// bytes up to where it was cut, and nobody waits in vain.
TEST(BlobThreads, ReadersAreCutLooseWhileTheyRead) {
  cut_eagerly = true;
  fill_and_read(Blob::Kind::streaming, true, UINT64_MAX);
  fill_and_read(Blob::Kind::kept, false, 10 * kBlockBytes);
}

TEST(BlobThreads, ReadersFollowABlobThatStopsBeingKept) {
  fill_and_read(Blob::Kind::kept, true, 10 * kBlockBytes);
}
