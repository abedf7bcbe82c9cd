// What the tests of the cache share: a seeded generator, bytes that follow from their offset, a
// source of extents, a signal.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "cache/arena.h"
#include "cache/blob.h"
#include "cache/metadata.h"

namespace nearfield::cache::test {

// SplitMix64: one word of state, good enough to choose operations, the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t times) { return below(times) == 0; }

 private:
  std::uint64_t state_;
};

// The byte of body `content` at `offset`: different for neighbouring offsets, blocks and contents.
inline std::byte byte_at(std::uint64_t content, std::uint64_t offset) {
  return static_cast<std::byte>(content * 131 + offset * (7 + 2 * (content >> 8)) +
                                (offset >> 8) * 3 + (offset >> 16) * 11);
}

inline std::vector<std::byte> bytes_of(std::uint64_t content, std::uint64_t offset,
                                       std::uint64_t count) {
  std::vector<std::byte> bytes(count);
  for (std::uint64_t i = 0; i < count; ++i) bytes[i] = byte_at(content, offset + i);
  return bytes;
}

// Reads [offset, offset + length) of a blob through its addresses, a few vectors at a time.
inline std::vector<std::byte> read(const Blob& blob, std::uint64_t offset, std::uint64_t length) {
  std::vector<std::byte> bytes;
  while (bytes.size() < length) {
    std::array<iovec, 3> vectors;
    std::uint64_t covered = 0;
    const std::size_t used =
        blob.addresses(offset + bytes.size(), length - bytes.size(), vectors, &covered);
    std::uint64_t sum = 0;
    for (const iovec& vector : std::span(vectors).first(used)) {
      const auto* const data = static_cast<const std::byte*>(vector.iov_base);
      bytes.insert(bytes.end(), data, data + vector.iov_len);
      sum += vector.iov_len;
    }
    CHECK_TRUE(sum == covered && covered > 0);
  }
  return bytes;
}

inline void write_all(Blob& blob, std::uint64_t content, std::uint64_t offset,
                      std::uint64_t count) {
  UNSIGNED_LONGS_EQUAL(count, blob.write(offset, bytes_of(content, offset, count)));
}

inline void fill_and_complete(Blob& blob, std::uint64_t content, std::uint64_t count) {
  write_all(blob, content, 0, count);
  blob.complete();
  while (!blob.advance_digest(100 * 1000)) {
  }
}

class CountingSignal : public Signal {
 public:
  void raise() override { raised.fetch_add(1, std::memory_order_relaxed); }
  // Whether it was raised since the last call.
  bool consume() { return raised.exchange(0, std::memory_order_acquire) > 0; }

  std::atomic<int> raised{0};
};

// Extents straight from an arena, without a store: can run dry and give pieces smaller than asked.
class ArenaSource final : public ExtentSource {
 public:
  explicit ArenaSource(std::uint64_t bytes)
      : arena(std::move(Arena::create({.bytes = bytes, .want_hugepages = false}).value())) {}
  ~ArenaSource() { UNSIGNED_LONGS_EQUAL(0, arena->used_bytes()); }

  std::optional<Extent> take_extent(std::size_t bytes) override {
    if (dry) return std::nullopt;
    return arena->allocate_up_to(std::min(bytes, largest_bytes));
  }
  void give_extent(Extent extent) override {
    arena->free(extent);
    if (starved) std::exchange(starved, nullptr)->raise();
  }
  void await_extent(const Ref<Signal>& signal) override { starved = signal; }
  void note_not_kept() override { ++not_kept; }

  std::unique_ptr<Arena> arena;
  bool dry = false;
  std::size_t largest_bytes = kBlockBytes;
  Ref<Signal> starved;
  int not_kept = 0;
};

class TestMetadata : public Metadata {
 public:
  explicit TestMetadata(std::uint64_t metadata_id, std::size_t bytes = 300)
      : id(metadata_id), size(bytes) {}
  std::size_t memory_bytes() const override { return size; }

  const std::uint64_t id;
  const std::size_t size;
};

inline std::uint64_t id_of(const Metadata& metadata) {
  return static_cast<const TestMetadata&>(metadata).id;
}

}  // namespace nearfield::cache::test
