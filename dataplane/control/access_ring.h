// AccessRing: the access records of one worker on their way to the writer: a byte ring with one
// producer and one consumer, without locks.
//
// Invariant: the worker never waits. A record that finds no room is dropped and counted; texts that
// a peer chose are cut to a bound, so that one record is at most kMaximumRecordBytes. A record is
// invisible to the reader until it is whole (release on tail_). The address is truncated here once
// more, whatever came in.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dataplane/proxy/access_record.h"

namespace nearfield::control {

class AccessRing final : public proxy::AccessSink {
 public:
  static constexpr std::size_t kMaximumMethodBytes = 32;
  static constexpr std::size_t kMaximumAuthorityBytes = 256;
  static constexpr std::size_t kMaximumPathBytes = 2048;
  static constexpr std::size_t kMaximumCacheBytes = 256;
  static constexpr std::size_t kMaximumRangeBytes = 256;
  static constexpr std::size_t kMaximumVersionBytes = 16;
  static constexpr std::size_t kMaximumRecordBytes = 4096;

  // `capacity_bytes`: a power of two, at least 2 * kMaximumRecordBytes. `wake_descriptor`: an
  // eventfd that is written to once when the ring gets half full, so that a calm writer can sleep;
  // -1 for none. Not owned.
  AccessRing(std::size_t capacity_bytes, int wake_descriptor);

  // --- producer: the worker's thread ---
  void record(const proxy::AccessRecord& record) override;
  // Nobody reads while off: records are neither kept nor counted as dropped. Any thread.
  void set_enabled(bool enabled) { enabled_.store(enabled, std::memory_order_relaxed); }

  // --- consumer: one thread ---
  // The oldest record; its texts point into `storage` and live until it is used again. False when
  // there is none.
  bool take(proxy::AccessRecord& record, std::string& storage);

  // --- anyone ---
  std::uint64_t recorded() const { return recorded_.load(std::memory_order_relaxed); }
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Header;
  void put(std::uint64_t position, const void* bytes, std::size_t size);
  void get(std::uint64_t position, void* bytes, std::size_t size) const;

  const std::size_t capacity_;
  const int wake_descriptor_;
  std::unique_ptr<std::byte[]> bytes_;
  std::atomic<bool> enabled_{true};
  alignas(64) std::atomic<std::uint64_t> tail_{0};  // written up to here
  std::uint64_t seen_head_ = 0;                     // the producer's last look at head_
  std::atomic<std::uint64_t> recorded_{0};
  std::atomic<std::uint64_t> dropped_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};  // read up to here
};

}  // namespace nearfield::control
