// See record_layout.h.
#include "dataplane/tls/record_layout.h"

#include <algorithm>

#include "cache/base/assert.h"

namespace nearfield::tls {

void RecordLayout::begin(std::uint32_t overhead_bytes) {
  first_ = 0;
  count_ = 0;
  overhead_bytes_ = overhead_bytes;
  released_of_first_ = 0;
}

void RecordLayout::push(const Run& run) {
  NEARFIELD_ASSERT(count_ < kMaximumRuns);
  at(count_++) = run;
}

std::uint64_t RecordLayout::append(std::uint32_t generation, std::uint64_t sequence,
                                   std::uint64_t plain_bytes, std::uint32_t record_bytes) {
  NEARFIELD_ASSERT(plain_bytes > 0 && record_bytes > 0 && record_bytes <= kMaximumPlaintext);
  Run run;
  run.sequence = sequence;
  run.records = records_of(plain_bytes, record_bytes);
  run.record_bytes = record_bytes;
  run.last_bytes = static_cast<std::uint32_t>(plain_bytes - (run.records - 1) * record_bytes);
  run.generation = generation;
  if (count_ > 0) {
    Run& last = at(count_ - 1);
    NEARFIELD_ASSERT(last.generation != generation || last.sequence + last.records == sequence);
    if (last.type == run.type && last.generation == generation &&
        last.record_bytes == record_bytes && last.last_bytes == record_bytes) {
      last.records += run.records;
      last.last_bytes = run.last_bytes;
      return sealed_bytes(run);
    }
  }
  push(run);
  return sealed_bytes(run);
}

std::uint64_t RecordLayout::append_message(ContentType type, std::uint32_t generation,
                                           std::uint64_t sequence,
                                           std::span<const std::byte> message) {
  NEARFIELD_ASSERT(type != ContentType::application_data);
  NEARFIELD_ASSERT(!message.empty() && message.size() <= kMaximumMessageBytes);
  Run run;
  run.sequence = sequence;
  run.records = 1;
  run.record_bytes = run.last_bytes = static_cast<std::uint32_t>(message.size());
  run.generation = generation;
  run.type = type;
  std::ranges::copy(message, run.message.begin());
  push(run);
  return sealed_bytes(run);
}

RecordLayout::Record RecordLayout::find(std::uint64_t sealed_offset) const {
  std::uint64_t offset = sealed_offset + released_of_first_;
  std::uint64_t sealed_before = 0;
  std::uint64_t plain_before = 0;
  for (std::size_t index = 0; index < count_; ++index) {
    const Run& run = at(index);
    const std::uint64_t sealed = sealed_bytes(run);
    if (offset >= sealed) {
      offset -= sealed;
      sealed_before += sealed;
      plain_before += run.application_bytes();
      continue;
    }
    const std::uint64_t number =
        std::min<std::uint64_t>(offset / (run.record_bytes + overhead_bytes_), run.records - 1);
    const std::uint32_t plain_bytes = number + 1 == run.records ? run.last_bytes : run.record_bytes;
    std::span<const std::byte> message;
    if (run.type != ContentType::application_data)
      message = std::span(run.message).first(plain_bytes);
    return {.sequence = run.sequence + number,
            .generation = run.generation,
            .type = run.type,
            .plain_offset = plain_before + number * run.record_bytes,
            .plain_bytes = plain_bytes,
            .message = message,
            .sealed_offset = sealed_before + number * (run.record_bytes + overhead_bytes_)};
  }
  NEARFIELD_ASSERT(false);  // beyond what was promised
}

std::uint64_t RecordLayout::release(std::uint64_t sealed_bytes_released) {
  std::uint64_t application_bytes = 0;
  std::uint64_t bytes = sealed_bytes_released + released_of_first_;
  while (count_ > 0 && bytes >= sealed_bytes(at(0))) {
    bytes -= sealed_bytes(at(0));
    application_bytes += at(0).application_bytes();
    first_ = (first_ + 1) % kMaximumRuns;
    --count_;
  }
  if (count_ > 0) {
    Run& run = at(0);
    const std::uint64_t full_bytes = run.record_bytes + overhead_bytes_;
    const std::uint64_t records = std::min(bytes / full_bytes, run.records - 1);
    application_bytes += records * run.record_bytes;  // a run of more than one is of this type
    bytes -= records * full_bytes;
    run.records -= records;
    run.sequence += records;
  }
  released_of_first_ = static_cast<std::uint32_t>(bytes);
  NEARFIELD_ASSERT(count_ > 0 || released_of_first_ == 0);
  return application_bytes;
}

}  // namespace nearfield::tls
