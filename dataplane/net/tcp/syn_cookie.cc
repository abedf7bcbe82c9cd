// The counter's lowest bit in the cookie says which of the two steps that are still good it is of,
// so that one hash decides and the chance of a forgery is not doubled.
#include "dataplane/net/tcp/syn_cookie.h"

#include <array>

#include "dataplane/net/tcp/flow_hash.h"
#include "dataplane/net/tcp/initial_sequence.h"

namespace nearfield::net::tcp {
namespace {

constexpr unsigned kSizeShift = 28;
constexpr unsigned kCounterShift = 31;
constexpr std::uint32_t kHashMask = (1u << kSizeShift) - 1;

constexpr std::uint32_t kOptionMask = 0x3f;
constexpr std::uint32_t kNoWindowShift = 0xf;
constexpr std::uint32_t kSackBit = 0x10;
constexpr std::uint32_t kEcnBit = 0x20;
constexpr std::uint32_t kHasTimestamps = 0x40;  // in the hash only

using Sizes = std::array<std::uint16_t, 8>;

// What links leave for a segment: their MTU less the headers of IP and TCP (40 or 60 bytes).
// Ascending; an offer between two is served with the smaller. The first is the least there is.
constexpr Sizes kSizesV4{
    kMinimumSegmentBytes,
    kDefaultSegmentBytesV4,  // no option sent, RFC 9293 3.7.1
    1220,                    // IPv4 where 1260 pass: mobile networks and VPNs inside them
    1360,                    // the usual clamp of IPsec and of several tunnels in one
    1400,                    // L2TP and OpenVPN (1440); WireGuard's 1380 takes the one before
    1440,                    // a tunnel over IPv6, or a peer that clamps for both families
    1452,                    // PPPoE, 1492 (RFC 2516)
    1460,                    // Ethernet
};
constexpr Sizes kSizesV6{
    kMinimumSegmentBytes,
    kDefaultSegmentBytesV4,  // a peer that says the same over both families
    kDefaultSegmentBytesV6,  // the smallest link, 1280
    1360,                    // WireGuard over IPv6, 1420
    1420,                    // IPv6 in IPv4, 1480 (RFC 4213)
    1432,                    // PPPoE, 1492
    1440,                    // Ethernet
    8940,                    // jumbo frames, 9000
};

const Sizes& sizes_for(const Flow& flow) { return flow.peer.address.is_v4() ? kSizesV4 : kSizesV6; }

std::uint32_t size_index(const Sizes& sizes, std::uint16_t offered) {
  std::uint32_t index = static_cast<std::uint32_t>(sizes.size()) - 1;
  while (index > 0 && sizes[index] > offered) --index;
  return index;
}

// The six bits of a TSval; what a peer without timestamps wants besides is forgotten.
std::uint32_t option_bits(const PeerOffer& offer) {
  return std::uint32_t{offer.window_shift.value_or(kNoWindowShift)} |
         (offer.sack_permitted ? kSackBit : 0) | (offer.ecn ? kEcnBit : 0);
}

std::uint64_t counter_at(MonotonicTime now) {
  return static_cast<std::uint64_t>(now.time_since_epoch() / SynCookies::kStep);
}

}  // namespace

SynCookies::SynCookies(const SipHashKey& secret) : key_(derive_key(secret, "syn cookie")) {}

SequenceNumber SynCookies::cookie(const Flow& flow, SequenceNumber peer_initial,
                                  std::uint64_t counter, std::uint32_t index,
                                  std::uint32_t options) const {
  FlowMessage message(flow);
  message.add(peer_initial.value);
  message.add(counter);
  message.add(index << 8 | options);
  const auto hash = static_cast<std::uint32_t>(siphash(key_, message.span())) & kHashMask;
  return {static_cast<std::uint32_t>(counter & 1) << kCounterShift | index << kSizeShift | hash};
}

SequenceNumber SynCookies::make(const Flow& flow, const PeerOffer& offer, MonotonicTime now) const {
  return cookie(flow, offer.initial, counter_at(now),
                size_index(sizes_for(flow), offer.maximum_segment_bytes),
                offer.timestamps ? kHasTimestamps | option_bits(offer) : 0);
}

std::uint32_t SynCookies::timestamp_value(const Flow& /*flow*/, const PeerOffer& offer,
                                          std::uint32_t timestamp) const {
  const std::uint32_t bits = option_bits(offer);
  const std::uint32_t value = (timestamp & ~kOptionMask) | bits;
  return bits > (timestamp & kOptionMask) ? value - (kOptionMask + 1) : value;
}

std::optional<PeerOffer> SynCookies::check(const Flow& flow, const Header& ack,
                                           std::uint32_t timestamp_offset,
                                           MonotonicTime now) const {
  if (!ack.flags.ack || ack.flags.syn || ack.flags.rst) return std::nullopt;
  const SequenceNumber claimed = ack.acknowledgment - 1;

  PeerOffer offer;
  offer.initial = ack.sequence - 1;
  offer.window = ack.window;
  std::uint32_t options = 0;
  if (ack.options.timestamps) {
    const std::uint32_t echo = ack.options.timestamps->echo;
    const std::uint32_t age_ms = timestamp_now(now) + timestamp_offset - echo;
    // Two steps, and up to 63 that timestamp_value() set it back.
    if (age_ms > 2 * (kStep / std::chrono::milliseconds(1)) + kOptionMask) return std::nullopt;
    options = kHasTimestamps | (echo & kOptionMask);
    offer.timestamps = true;
    offer.timestamp_value = ack.options.timestamps->value;
    const auto shift = static_cast<std::uint8_t>(echo & kNoWindowShift);
    if (shift <= kMaximumWindowShift) offer.window_shift = shift;
    offer.sack_permitted = (echo & kSackBit) != 0;
    offer.ecn = (echo & kEcnBit) != 0;
  }

  std::uint64_t counter = counter_at(now);
  if ((counter & 1) != claimed.value >> kCounterShift) {
    if (counter == 0) return std::nullopt;
    --counter;
  }
  const std::uint32_t index = claimed.value >> kSizeShift & 7;
  if (cookie(flow, offer.initial, counter, index, options) != claimed) return std::nullopt;
  offer.maximum_segment_bytes = sizes_for(flow)[index];
  return offer;
}

}  // namespace nearfield::net::tcp
