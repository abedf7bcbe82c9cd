// RecordLayout: how the clear text a connection owes its peer is cut into records, from the oldest
// byte the peer may still need to the newest that was promised.
//
// Invariant: a record's place, length, type and number never change once they were appended, so
// sealing it again, for a segment that was lost, makes the same bytes. Records of one length follow
// each other by the thousand, so they are kept as runs. What the protocol itself says (alerts,
// KeyUpdate) is a few bytes and kept here; application data stays in its plan. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/tls/record.h"

namespace nearfield::tls {

class RecordLayout {
 public:
  static constexpr std::size_t kMaximumRuns = 32;
  static constexpr std::size_t kMaximumMessageBytes = 8;
  // An alert of each kind, three refusals to renegotiate, two KeyUpdates.
  static constexpr std::size_t kMessagesAtOnce = 8;

  struct Record {
    std::uint64_t sequence = 0;
    std::uint32_t generation = 0;  // of keys: KeyUpdates before it
    ContentType type{};
    std::uint64_t plain_offset = 0;  // of application data, from the first byte not released
    std::uint32_t plain_bytes = 0;
    std::span<const std::byte> message;  // the clear text of all other types
    std::uint64_t sealed_offset = 0;  // from the beginning of the first record not wholly released
  };
  // `overhead_bytes`: what a record is longer than its clear text.
  void begin(std::uint32_t overhead_bytes);

  bool is_empty() const { return count_ == 0; }
  // Whether append() may be called. Messages have places of their own.
  bool has_room() const { return count_ < kMaximumRuns - kMessagesAtOnce; }
  // Cuts `plain_bytes` (not 0) of application data into records of `record_bytes`, the last may be
  // shorter; `sequence` is the first one's. Returns their length on the wire.
  std::uint64_t append(std::uint32_t generation, std::uint64_t sequence, std::uint64_t plain_bytes,
                       std::uint32_t record_bytes);
  // One record with a message of the protocol, at most kMaximumMessageBytes.
  std::uint64_t append_message(ContentType type, std::uint32_t generation, std::uint64_t sequence,
                               std::span<const std::byte> message);
  // Records that append() would make.
  static std::uint64_t records_of(std::uint64_t plain_bytes, std::uint32_t record_bytes) {
    return (plain_bytes + record_bytes - 1) / record_bytes;
  }

  // The record that holds the byte `sealed_offset` after the first unreleased one.
  Record find(std::uint64_t sealed_offset) const;
  // Of the first record; the caller's offsets count from its end.
  std::uint32_t released_of_first() const { return released_of_first_; }
  // The peer has these bytes. Returns how much application data it has in whole records by that.
  std::uint64_t release(std::uint64_t sealed_bytes);
  // The oldest record; not when empty.
  std::uint64_t oldest_sequence() const { return at(0).sequence; }
  // The keys that the oldest record needs; not when empty.
  std::uint32_t oldest_generation() const { return at(0).generation; }

 private:
  struct Run {
    std::uint64_t sequence = 0;  // of its first record
    std::uint64_t records = 0;
    std::uint32_t record_bytes = 0;
    std::uint32_t last_bytes = 0;
    std::uint32_t generation = 0;
    ContentType type = ContentType::application_data;
    std::array<std::byte, kMaximumMessageBytes> message;  // of the other types

    std::uint64_t application_bytes() const {
      return type == ContentType::application_data ? plain_bytes() : 0;
    }
    std::uint64_t plain_bytes() const { return (records - 1) * record_bytes + last_bytes; }
  };
  Run& at(std::size_t index) { return runs_[(first_ + index) % kMaximumRuns]; }
  const Run& at(std::size_t index) const { return runs_[(first_ + index) % kMaximumRuns]; }
  std::uint64_t sealed_bytes(const Run& run) const {
    return run.plain_bytes() + run.records * overhead_bytes_;
  }

  void push(const Run& run);

  std::array<Run, kMaximumRuns> runs_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::uint32_t overhead_bytes_ = 0;
  std::uint32_t released_of_first_ = 0;  // bytes of the first record
};

}  // namespace nearfield::tls
