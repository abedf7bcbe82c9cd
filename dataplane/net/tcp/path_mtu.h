// PathMtu: how long the IP packets of one connection may be: what routers say (RFC 1191, 8201),
// what their silence says (black holes, RFC 2923 2.1, RFC 8899 4.3), and trying again later.
// PathMtuCache: the same per peer, so that its next connection need not find out again.
//
// Invariant: floor <= packet_bytes() <= the device's size (where the device is below the floor, it
// is the device's). A message from the network only ever lowers. Sizes are whole IP packets, header
// and all. The awkward part is who may speak: an ICMP message is easily forged, so the connection
// passes on only what quotes a sequence number it has in flight (RFC 5927 section 4), and the floor
// bounds the harm of a forgery that gets that right. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/tcp/keyed_slots.h"

namespace nearfield::net::tcp {

class PathMtu {
 public:
  // IPv6 has a smallest link (RFC 8200 5). IPv4's is 68, at which a forged message would make this
  // node send fifty times the packets; 552 is the usual default segment of 512 and its headers.
  static constexpr std::uint16_t kFloorV4 = 552;
  static constexpr std::uint16_t kFloorV6 = 1280;
  // Where a suspected black hole puts us, in both families: IPv6 is carried everywhere today, so
  // nearly each tunnel that IPv4 meets takes 1280 as well; going to 1024 (RFC 4821 7.2) or 576 at
  // once would cost every falsely suspected connection more packets. IPv4 goes on to its floor when
  // that was not it.
  static constexpr std::uint16_t kBase = 1280;
  // Consecutive time-outs of one packet until it counts as swallowed: one is an ordinary tail loss.
  static constexpr std::uint32_t kTimeoutsToBase = 2;
  static constexpr std::uint32_t kTimeoutsToFloor = 5;
  // RFC 8201 5.3, RFC 1191 6.3: how long a reduction is believed.
  static constexpr Duration kRetryAfter = std::chrono::minutes(10);

  enum class Change : std::uint8_t { none, smaller, larger };

  PathMtu() = default;

  // `packet_bytes`: what the device takes. A cached smaller size is told right after, with
  // on_packet_too_big(), and is then tried to exceed after ten minutes like any.
  void start(std::uint16_t packet_bytes, bool is_v4);

  std::uint16_t packet_bytes() const { return packet_bytes_; }
  // IPv4 only: the path is narrower than the floor; clear DF and let routers cut.
  bool may_fragment() const { return may_fragment_; }

  // A router's next-hop MTU. IPv4's 0 (a router older than RFC 1191) is read as the next plateau
  // below `quoted_bytes`, the length of the packet the message is about (RFC 1191 5, 7); one longer
  // than the present size was sent before that was lowered and says nothing new (6.4), else the
  // messages about one burst would take it down a plateau each. The four header lengths of RFC 1191
  // 5 are not taken off: the systems that had added them to the quoted length are extinct. What no
  // link can have (below 68, or 1280 for IPv6: RFC 8201 4) is ignored. `none` when nothing got
  // smaller; may_fragment() may have changed all the same.
  Change on_packet_too_big(std::uint32_t mtu, std::uint16_t quoted_bytes, MonotonicTime now);

  // The retransmission timer ran out. `consecutive_timeouts`: of the first unacknowledged packet,
  // this one included; `packet_bytes_sent`: its size as last sent.
  Change on_timeout(std::uint32_t consecutive_timeouts, std::uint32_t packet_bytes_sent,
                    MonotonicTime now);

  // A packet of this size arrived. The caller must be sure of it: sent once, or always at that
  // size. A size tried anew is confirmed by it; a black hole that was none is taken back.
  Change on_acknowledged(std::uint32_t packet_bytes, MonotonicTime now);

  // To be called now and then, say with each burst after idleness: `larger` when it is time to try
  // the device's size again. Until a packet of that size is acknowledged, one time-out is enough to
  // return to the size that worked.
  Change on_time(MonotonicTime now);

 private:
  enum class Reason : std::uint8_t { none, told, silence };

  std::uint16_t floor() const;
  Change lower_to(std::uint32_t packet_bytes, Reason reason, MonotonicTime now);

  MonotonicTime lowered_at_{};
  std::uint16_t device_bytes_ = 0;
  std::uint16_t packet_bytes_ = 0;
  std::uint16_t proven_bytes_ = 0;  // 0, or the size that worked while a larger one is tried
  bool is_v4_ = true;
  bool may_fragment_ = false;
  Reason reason_ = Reason::none;  // of packet_bytes_ < device_bytes_
};

class PathMtuCache {
 public:
  // 1 to 2^30 peers.
  PathMtuCache(std::size_t capacity, const SipHashKey& secret);

  // Remembers the smaller of this and what is known, for PathMtu::kRetryAfter from `now`. Full: the
  // oldest leaves.
  void insert(const Address& peer, std::uint16_t packet_bytes, MonotonicTime now);
  std::optional<std::uint16_t> find(const Address& peer, MonotonicTime now);
  // A larger size was found to work.
  void erase(const Address& peer);

  std::size_t size() const { return slots_.size(); }

 private:
  struct Slot : SlotLinks {
    Address peer;
    std::uint16_t packet_bytes = 0;
    MonotonicTime deadline{};
  };

  std::uint64_t hash(const Address& peer) const;
  Slot* slot_of(const Address& peer, std::uint64_t hash);
  void remove(Slot& slot);

  SipHashKey key_;
  KeyedSlots<Slot> slots_;
  SlotQueue queue_;
};

}  // namespace nearfield::net::tcp
