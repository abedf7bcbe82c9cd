// Records lie in the ring as a fixed header and the bytes of their texts; both may wrap around its
// end.
#include "dataplane/control/access_ring.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::control {

struct AccessRing::Header {
  std::int64_t time_ms;
  std::int64_t first_byte_us;
  std::int64_t duration_us;
  std::uint64_t body_bytes;
  net::Address client_prefix;
  // method, authority, path, cache, range, protocol, tls
  std::array<std::uint16_t, 7> text_sizes;
  std::uint16_t status;
  bool broken;
};

namespace {

void add(std::atomic<std::uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

AccessRing::AccessRing(std::size_t capacity_bytes, int wake_descriptor)
    : capacity_(capacity_bytes),
      wake_descriptor_(wake_descriptor),
      bytes_(std::make_unique<std::byte[]>(capacity_bytes)) {
  static_assert(sizeof(Header) + kMaximumMethodBytes + kMaximumAuthorityBytes + kMaximumPathBytes +
                    kMaximumCacheBytes + kMaximumRangeBytes + 2 * kMaximumVersionBytes <=
                kMaximumRecordBytes);
  NEARFIELD_ASSERT(std::has_single_bit(capacity_bytes) &&
                   capacity_bytes >= 2 * kMaximumRecordBytes);
}

void AccessRing::put(std::uint64_t position, const void* bytes, std::size_t size) {
  if (size == 0) return;
  const std::size_t start = position & (capacity_ - 1);
  const std::size_t first = std::min(size, capacity_ - start);
  std::memcpy(bytes_.get() + start, bytes, first);
  std::memcpy(bytes_.get(), static_cast<const std::byte*>(bytes) + first, size - first);
}

void AccessRing::get(std::uint64_t position, void* bytes, std::size_t size) const {
  if (size == 0) return;
  const std::size_t start = position & (capacity_ - 1);
  const std::size_t first = std::min(size, capacity_ - start);
  std::memcpy(bytes, bytes_.get() + start, first);
  std::memcpy(static_cast<std::byte*>(bytes) + first, bytes_.get(), size - first);
}

void AccessRing::record(const proxy::AccessRecord& record) {
  if (!enabled_.load(std::memory_order_relaxed)) return;
  const std::array<std::string_view, 7> texts = {
      record.method.substr(0, kMaximumMethodBytes),
      record.authority.substr(0, kMaximumAuthorityBytes),
      record.path.substr(0, std::min(record.path.find('?'), kMaximumPathBytes)),
      record.cache.substr(0, kMaximumCacheBytes),
      record.range.substr(0, kMaximumRangeBytes),
      record.protocol.substr(0, kMaximumVersionBytes),
      record.tls.substr(0, kMaximumVersionBytes)};
  Header header{.time_ms = record.time.count(),
                .first_byte_us = record.first_byte.count(),
                .duration_us = record.duration.count(),
                .body_bytes = record.body_bytes,
                .client_prefix = record.client_prefix.truncated(24, 48),
                .text_sizes = {},
                .status = record.status,
                .broken = record.broken};
  std::size_t size = sizeof(header);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    header.text_sizes[i] = static_cast<std::uint16_t>(texts[i].size());
    size += texts[i].size();
  }

  const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  if (tail + size - seen_head_ > capacity_) {
    seen_head_ = head_.load(std::memory_order_acquire);
    if (tail + size - seen_head_ > capacity_) {
      add(dropped_);
      return;
    }
  }
  std::uint64_t position = tail;
  put(position, &header, sizeof(header));
  position += sizeof(header);
  for (const std::string_view text : texts) {
    put(position, text.data(), text.size());
    position += text.size();
  }
  tail_.store(position, std::memory_order_release);
  add(recorded_);

  // Half full by the last look at the reader: look again, and knock when it is so.
  if (wake_descriptor_ >= 0 && tail - seen_head_ < capacity_ / 2 &&
      position - seen_head_ >= capacity_ / 2) {
    seen_head_ = head_.load(std::memory_order_acquire);
    if (position - seen_head_ >= capacity_ / 2) {
      const std::uint64_t one = 1;
      // Can only fail when the counter is about to overflow, and then the reader is awake anyway.
      [[maybe_unused]] const ssize_t written = ::write(wake_descriptor_, &one, sizeof(one));
    }
  }
}

bool AccessRing::take(proxy::AccessRecord& record, std::string& storage) {
  const std::uint64_t head = head_.load(std::memory_order_relaxed);
  if (tail_.load(std::memory_order_acquire) == head) return false;
  Header header;
  get(head, &header, sizeof(header));
  std::size_t texts_size = 0;
  for (const std::uint16_t size : header.text_sizes) texts_size += size;
  storage.resize(texts_size);
  get(head + sizeof(header), storage.data(), texts_size);
  head_.store(head + sizeof(header) + texts_size, std::memory_order_release);

  std::string_view rest = storage;
  std::array<std::string_view*, 7> texts = {&record.method, &record.authority, &record.path,
                                            &record.cache,  &record.range,     &record.protocol,
                                            &record.tls};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    *texts[i] = rest.substr(0, header.text_sizes[i]);
    rest.remove_prefix(header.text_sizes[i]);
  }
  record.time = std::chrono::milliseconds(header.time_ms);
  record.first_byte = std::chrono::microseconds(header.first_byte_us);
  record.duration = std::chrono::microseconds(header.duration_us);
  record.body_bytes = header.body_bytes;
  record.client_prefix = header.client_prefix;
  record.status = header.status;
  record.broken = header.broken;
  return true;
}

}  // namespace nearfield::control
