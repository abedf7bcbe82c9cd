// PeerOffer: what a peer's SYN says about the connection it wants, read once and carried from the
// SYN cache or out of a SYN cookie into the connection.
//
// Invariant: an offer from read_offer() is within the bounds a connection may rely on: a segment
// size of at least kMinimumSegmentBytes, a window shift of at most 14.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "dataplane/net/tcp/segment.h"

namespace nearfield::net::tcp {

// What a peer takes that does not say (RFC 9293 3.7.1): the smallest datagram each host must accept
// (v4) or link must carry (v6), without headers.
inline constexpr std::uint16_t kDefaultSegmentBytesV4 = 536;
inline constexpr std::uint16_t kDefaultSegmentBytesV6 = 1220;
// A smaller offer is read as this. Every packet costs the same whatever it carries, so a peer that
// asks for tiny segments makes this node work for nothing (CVE-2019-11479); 88 bytes leave 48 of
// payload beside the longest options, and no link has been that narrow for decades.
inline constexpr std::uint16_t kMinimumSegmentBytes = 88;
// RFC 7323 2.3: a larger shift is to be used as 14.
inline constexpr std::uint8_t kMaximumWindowShift = 14;

struct PeerOffer {
  std::uint16_t maximum_segment_bytes = kDefaultSegmentBytesV4;  // without options (RFC 6691)
  std::optional<std::uint8_t> window_shift;  // none: neither side may scale (RFC 7323 2.2)
  bool sack_permitted = false;
  bool timestamps = false;
  bool ecn = false;                   // an ECN-setup SYN (RFC 3168 6.1.1)
  std::uint32_t timestamp_value = 0;  // TSval, to be echoed
  SequenceNumber initial;
  // As on the wire. A SYN's is never shifted (RFC 7323 2.2); that of an offer read out of a cookie
  // is the acknowledgment's, which is.
  std::uint16_t window = 0;
};

inline PeerOffer read_offer(const Header& syn, bool is_v4) {
  PeerOffer offer;
  offer.maximum_segment_bytes =
      std::max(kMinimumSegmentBytes, syn.options.maximum_segment_bytes.value_or(
                                         is_v4 ? kDefaultSegmentBytesV4 : kDefaultSegmentBytesV6));
  if (syn.options.window_shift) {
    offer.window_shift = std::min(*syn.options.window_shift, kMaximumWindowShift);
  }
  offer.sack_permitted = syn.options.sack_permitted;
  if (syn.options.timestamps) {
    offer.timestamps = true;
    offer.timestamp_value = syn.options.timestamps->value;
  }
  offer.ecn = syn.flags.ece && syn.flags.cwr;
  offer.initial = syn.sequence;
  offer.window = syn.window;
  return offer;
}

}  // namespace nearfield::net::tcp
