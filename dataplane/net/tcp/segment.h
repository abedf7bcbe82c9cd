// Segment: a TCP segment as values, read from and written to the wire (RFC 9293 3.1, options of RFC
// 9293 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3).
//
// Invariant: whatever parse_segment() accepts lies within the bytes given to it, and what
// write_header() writes parse_segment() reads back equal. The awkward part is the options: a
// stranger's may be cut short, repeated, of impossible length or unknown; unknown ones are skipped,
// a known one of the wrong length is ignored, and a length that leaves the header ends the options
// (all as Linux and the BSDs do, so that no odd middlebox breaks a connection).
//
// Checksums are not looked at here: they need the IP header and are often the NIC's (net/ip).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/net/tcp/sequence.h"

namespace nearfield::net::tcp {

inline constexpr std::size_t kMinimumHeaderBytes = 20;
inline constexpr std::size_t kMaximumHeaderBytes = 60;

struct Flags {
  bool fin = false;
  bool syn = false;
  bool rst = false;
  bool psh = false;
  bool ack = false;
  bool urg = false;  // urgent data is read as ordinary data (RFC 6093)
  bool ece = false;
  bool cwr = false;

  friend bool operator==(const Flags&, const Flags&) = default;
};

struct SackBlock {
  SequenceNumber begin;  // first octet of the block
  SequenceNumber end;    // the octet behind its last

  friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

struct Timestamps {
  std::uint32_t value = 0;  // TSval
  std::uint32_t echo = 0;   // TSecr

  friend bool operator==(const Timestamps&, const Timestamps&) = default;
};

// At most four fit in 40 bytes of options, three beside timestamps.
struct SackBlocks {
  static constexpr std::size_t kMaximum = 4;
  std::array<SackBlock, kMaximum> blocks{};
  std::uint8_t count = 0;

  std::span<const SackBlock> span() const { return {blocks.data(), count}; }
  void add(const SackBlock& block) {
    if (count < kMaximum) blocks[count++] = block;
  }
};

struct Options {
  std::optional<std::uint16_t> maximum_segment_bytes;  // on a SYN only
  std::optional<std::uint8_t> window_shift;            // on a SYN only; as sent, may exceed 14
  bool sack_permitted = false;                         // on a SYN only
  std::optional<Timestamps> timestamps;
  SackBlocks sack;
};

struct Header {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  SequenceNumber sequence;
  SequenceNumber acknowledgment;  // means something only with flags.ack
  Flags flags;
  std::uint16_t window = 0;  // as on the wire, not yet shifted
  Options options;
};

struct Segment {
  Header header;
  std::span<const std::byte> payload;  // within the bytes that were parsed

  // SYN and FIN each take one number.
  std::uint32_t sequence_length() const {
    return static_cast<std::uint32_t>(payload.size()) + header.flags.syn + header.flags.fin;
  }
};

// `bytes`: from the first byte of the TCP header to the end of the IP payload. Nothing when it is
// shorter than its header says or its data offset is below five words.
std::optional<Segment> parse_segment(std::span<const std::byte> bytes);

// How long write_header() makes it: a multiple of four, at most kMaximumHeaderBytes. SACK blocks
// that do not fit beside the other options are left out.
std::size_t header_bytes(const Options& options);

// Writes ports, numbers, flags, window and options, with a checksum and an urgent pointer of zero.
// `out` must hold header_bytes(). Returns the length.
std::size_t write_header(const Header& header, std::span<std::byte> out);

}  // namespace nearfield::net::tcp
