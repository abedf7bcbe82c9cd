// NeighbourTable: which MAC address an IP address on the link has: ARP for IPv4 (RFC 826, RFC 5227
// 2.3, 2.4 and 3) and neighbour discovery for IPv6 (RFC 4861 7.2 and 7.3), one table and the same
// states for both.
//
// Invariant: bounded. Only resolve() and requests to us from addresses on our link make entries;
// answers nobody asked for change what is there at most. At most half of the table waits for
// answers, so that a scan of a link's prefix does not push out neighbours that answered. What we
// send is limited in rate. No timers: next_deadline() says when advance() wants to be called.
//
// The awkward part is what is not here. Packets do not wait in the table: resolve() gives nothing
// until the neighbour has answered, and who holds packets for it (RFC 4861 7.2.2) looks when
// settled() has grown. Duplicate address detection of our own
// addresses is the operator's (addresses are configured, RFC 4862 5.4 is not done); we defend ours
// against others (RFC 5227 2.4 c, RFC 4861 7.2.6). Routers' and redirect messages are not listened
// to: routes are static.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/packet.h"
#include "dataplane/net/ip/routes.h"
#include "dataplane/net/rate_limit.h"

namespace nearfield::net::ip {

// RFC 4861 7.3.2. A neighbour that does not answer is removed.
enum class NeighbourState : std::uint8_t { kIncomplete, kReachable, kStale, kDelay, kProbe };

class NeighbourTable {
 public:
  struct Settings {
    MacAddress mac;                        // ours
    std::optional<std::uint16_t> vlan_id;  // of the frames we send
    std::uint32_t capacity = 1024;         // neighbours, 8 to 65536
    SipHashKey key;                        // secret
  };

  struct Counters {
    std::uint64_t solicitations_sent = 0;
    std::uint64_t answers_sent = 0;  // replies and advertisements
    std::uint64_t announcements_sent = 0;
    std::uint64_t frames_lost = 0;  // the sink had no room
    std::uint64_t malformed = 0;    // ARP and ND messages that break their rules
    std::uint64_t moved = 0;        // neighbours with a new MAC address
    std::uint64_t unreachable = 0;  // neighbours that did not answer
    std::uint64_t conflicts = 0;    // others that claimed an address of ours
    std::uint64_t evicted = 0;
    std::uint64_t table_full = 0;  // no room for a new neighbour
    std::uint64_t limited = 0;     // answers not sent for their rate
  };

  // `routes` must outlive the table.
  NeighbourTable(const Settings& settings, const Routes& routes);

  // The MAC address to send to, also while it is being verified. When there is none yet a
  // resolution is started, whose solicitation the next advance() sends. `next_hop` as from
  // Routes::next_hop().
  std::optional<MacAddress> resolve(const Address& next_hop, MonotonicTime now);
  // Something above made progress through this neighbour just now (RFC 4861 7.3.1): saves probes.
  void confirm(const Address& next_hop, MonotonicTime now);
  // Whether there is a neighbour that would be spared a probe, so that one needs not ask for each
  // segment whether it made progress.
  bool is_verifying() const { return verifying_ > 0; }
  // Grows whenever a neighbour that was waited for has answered or been given up.
  std::uint64_t settled() const { return settled_; }

  // A frame with EtherType ARP.
  void receive_arp(const Frame& frame, MonotonicTime now, FrameSink& sink);
  // An ICMPv6 packet. False when it is not neighbour discovery's (types 133 to 137) and is still to
  // be dealt with.
  bool receive_neighbour_discovery(const Packet& packet, MonotonicTime now, FrameSink& sink);

  // Tells the link our addresses, twice (RFC 5227 2.3, RFC 4861 7.2.6): at start, after link up.
  void announce(MonotonicTime now);

  // When to call advance(); MonotonicTime::max() when there is nothing to wait for.
  MonotonicTime next_deadline() const { return next_deadline_; }
  // Cheap when called before the deadline.
  void advance(MonotonicTime now, FrameSink& sink);

  // Link down: nothing known is worth keeping.
  void clear();

  std::optional<NeighbourState> state(const Address& neighbour) const;
  std::size_t size() const { return size_; }
  const Counters& counters() const { return counters_; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;

  struct Entry {
    Address address;
    MacAddress mac;
    NeighbourState state = NeighbourState::kIncomplete;
    std::uint8_t solicitations = 0;  // sent in this state
    bool is_used = false;
    std::uint32_t next = kNone;  // in its chain, or in the list of free entries
    MonotonicTime deadline{};    // of the state; of kReachable: when it becomes stale, seen lazily
    MonotonicTime used_at{};
  };

  std::uint32_t bucket_of(const Address& address) const;
  Entry* find(const Address& address);
  const Entry* find(const Address& address) const;
  // Null when there is no room.
  Entry* insert(const Address& address, MonotonicTime now);
  void remove(Entry& entry);
  // The entry to give up for a new one; null when all are worth more.
  Entry* victim();
  void wake_at(MonotonicTime deadline);
  void count(const Entry& entry, std::size_t change);
  void set_state(Entry& entry, NeighbourState state);
  void set_reachable(Entry& entry, MonotonicTime now);
  // What is known from the neighbour's own request.
  void learn(const Address& address, const MacAddress& mac, MonotonicTime now);
  void receive_solicitation(const Packet& packet, MonotonicTime now, FrameSink& sink);
  void receive_advertisement(const Packet& packet, MonotonicTime now, FrameSink& sink);
  void advance_entry(Entry& entry, MonotonicTime now, FrameSink& sink);
  void advance_announcements(MonotonicTime now, FrameSink& sink);
  void announce_address(const Address& address, FrameSink& sink);
  void defend(const Address& address, MonotonicTime now, FrameSink& sink);
  bool send(std::span<const std::byte> frame, FrameSink& sink, std::uint64_t& counter);
  // `to`: null for a question to all, else the neighbour that is probed.
  bool send_solicitation(const Address& target, const MacAddress* to, FrameSink& sink);

  MacAddress mac_;
  std::optional<std::uint16_t> vlan_id_;
  SipHashKey key_;
  const Routes* routes_;
  std::vector<Entry> entries_;        // `capacity` of them, for good
  std::vector<std::uint32_t> heads_;  // a power of two of chains
  std::uint32_t free_ = kNone;
  std::size_t size_ = 0;
  std::size_t incomplete_ = 0;
  std::size_t verifying_ = 0;  // kDelay and kProbe
  std::uint64_t draws_ = 0;    // of reachable times
  std::uint64_t settled_ = 0;
  MonotonicTime next_deadline_ = MonotonicTime::max();
  MonotonicTime announce_at_ = MonotonicTime::max();
  MonotonicTime defended_until_{};
  unsigned announcements_left_ = 0;
  RateLimit solicitation_limit_;
  RateLimit answer_limit_;
  Counters counters_;
};

}  // namespace nearfield::net::ip
