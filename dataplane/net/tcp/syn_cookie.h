// SynCookies: accepting connections without remembering that they were asked for (RFC 4987 appendix
// A), for when the SYN cache is full. What has to be remembered travels in the SYN-ACK and comes
// back in the acknowledgment: the initial sequence number is
//
//   bit 31      lowest bit of a counter of 64-second steps
//   bits 30-28  index into a table of eight segment sizes
//   bits 27-0   keyed hash of the flow, the peer's initial number, counter, index and options
//
// and, with a peer that does timestamps, the low six bits of our TSval hold the window shift (15:
// none), SACK and ECN. A peer without timestamps gets neither scaling nor SACK nor ECN.
//
// Invariant: check() accepts what make() gave for the same flow and offer during this counter step
// or the one before (64 to 128 seconds), and anything else with a chance of 2^-28 a guess: a
// million forged acknowledgments a second need four and a half minutes on average for one
// connection, which then is only as good as a real one. The awkward part: cookies of one flow do
// not grow with time, unlike InitialSequence; they are for when there is no choice.
// Values, no state; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/tcp/handshake.h"
#include "dataplane/net/tcp/output.h"

namespace nearfield::net::tcp {

class SynCookies {
 public:
  static constexpr Duration kStep = std::chrono::seconds(64);

  explicit SynCookies(const SipHashKey& secret);

  // Our initial sequence number for the SYN-ACK.
  SequenceNumber make(const Flow& flow, const PeerOffer& offer, MonotonicTime now) const;

  // The TSval of that SYN-ACK when the offer has timestamps. `timestamp`: timestamp_now() plus the
  // flow's offset. The result is at most 63 behind it and never ahead: a later true TSval is never
  // smaller.
  std::uint32_t timestamp_value(const Flow& flow, const PeerOffer& offer,
                                std::uint32_t timestamp) const;

  // The offer a cookie was made for, when `ack` acknowledges exactly one (ACK, no SYN, no RST; data
  // and FIN do not matter). Segment size: the largest of the table not above the one offered. The
  // window is the acknowledgment's (shifted), the timestamp value too. `timestamp_offset`: of the
  // flow; an echo that is ahead of our clock or older than two steps is refused.
  std::optional<PeerOffer> check(const Flow& flow, const Header& ack,
                                 std::uint32_t timestamp_offset, MonotonicTime now) const;

 private:
  SequenceNumber cookie(const Flow& flow, SequenceNumber peer_initial, std::uint64_t counter,
                        std::uint32_t size_index, std::uint32_t options) const;

  SipHashKey key_;
};

}  // namespace nearfield::net::tcp
