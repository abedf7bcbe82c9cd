// Real threads on one small store, meant for the thread sanitizer: each fills, finds, reads, purges
// and pins at random while the arena turns over under all of them. What anyone reads must be what
// was put there; the bounds must hold; nothing may be left.
#include <format>
#include <thread>

#include "cache/store.h"
#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

constexpr std::uint64_t kNames = 40;
constexpr std::uint64_t kContents = 25;

std::uint64_t length_of(std::uint64_t content) { return 1000 + content * 5000; }

// One thread's work. Returns how many reads were wrong.
std::uint64_t work(Store& store, std::uint64_t seed) {
  Random random(seed);
  std::uint64_t wrong = 0;
  for (int step = 0; step < 600; ++step) {
    const std::string name = std::format("/{}", random.below(kNames));
    if (const auto found = store.find(name, {}, true)) {
      const std::uint64_t content = id_of(*found->metadata);
      BlobReader reader(found->blob, 0);
      const std::uint64_t readable = found->blob->readable_from(0);
      if (reader.too_late() || readable == 0) continue;
      const std::uint64_t piece = 1 + random.below(readable);
      std::array<iovec, 4> vectors;
      std::uint64_t covered = 0;
      const std::size_t used = found->blob->addresses(0, piece, vectors, &covered);
      std::uint64_t offset = 0;
      for (const iovec& vector : std::span(vectors).first(used)) {
        const auto* const data = static_cast<const std::byte*>(vector.iov_base);
        wrong += data[0] != byte_at(content, offset);
        offset += vector.iov_len;
        wrong += data[vector.iov_len - 1] != byte_at(content, offset - 1);
      }
      if (random.one_in(10)) store.set_pinned(found->object, random.one_in(2));
      if (random.one_in(10)) store.replace_metadata(found->object, make_ref<TestMetadata>(content));
      if (random.one_in(20)) store.remove(found->object);
      continue;
    }
    const std::uint64_t content = random.below(kContents);
    const std::uint64_t bytes = length_of(content);
    const auto blob =
        store.make_blob(Blob::Kind::kept, random.one_in(2) ? std::optional(bytes) : std::nullopt);
    const auto inserted = store.insert(name, make_ref<TestMetadata>(content), blob,
                                       [](const Metadata&) { return true; });
    if (!inserted) continue;
    const std::vector<std::byte> source = bytes_of(content, 0, bytes);
    std::size_t written = 0;
    while (written < bytes) {
      const std::size_t taken = blob->write(
          written,
          std::span(source).subspan(written, std::min<std::size_t>(20000, bytes - written)));
      if (taken == 0) break;
      written += taken;
    }
    if (written < bytes || random.one_in(30)) {
      blob->break_off();
      store.remove(inserted->object);
      continue;
    }
    blob->complete();
    while (!blob->advance_digest(50000)) {
    }
    store.settle(inserted->object);
    if (random.one_in(40)) store.purge_prefix("/1");
    const auto now = store.statistics();
    wrong += now.arena_used_bytes > now.arena_capacity_bytes ||
             now.index_used_bytes > now.index_capacity_bytes;
  }
  return wrong;
}

}  // namespace

TEST_GROUP(StoreThreads){};

TEST(StoreThreads, ManyThreadsShareASmallStore) {
  const auto store = std::move(Store::create({.arena = {.bytes = 1 << 20, .want_hugepages = false},
                                              .maximum_object_bytes = 200000,
                                              .hash_key = SipHashKey{5, 6}})
                                   .value());
  std::vector<std::uint64_t> wrong(6);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&, i] { wrong[i] = work(*store, i + 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::uint64_t count : wrong) UNSIGNED_LONGS_EQUAL(0, count);
  CHECK_TRUE(store->statistics().evictions > 0);
  store->purge_prefix("");
  UNSIGNED_LONGS_EQUAL(0, store->statistics().arena_used_bytes);
}
