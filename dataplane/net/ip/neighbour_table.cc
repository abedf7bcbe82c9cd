#include "dataplane/net/ip/neighbour_table.h"

#include <algorithm>
#include <array>
#include <bit>

#include "cache/base/assert.h"
#include "dataplane/net/ip/address_kind.h"
#include "dataplane/net/ip/neighbour_message.h"

namespace nearfield::net::ip {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// RFC 4861 10; RFC 1122 2.3.2.1 asks for the same rate of ARP requests.
constexpr unsigned kMaximumSolicitations = 3;  // MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT
constexpr Duration kRetransmitTime = seconds(1);
constexpr Duration kReachableTime = seconds(30);  // times 0.5 to 1.5
constexpr Duration kDelayTime = seconds(5);       // DELAY_FIRST_PROBE_TIME
// RFC 5227 1.1.
constexpr unsigned kAnnouncements = 2;
constexpr Duration kAnnounceInterval = seconds(2);
constexpr Duration kDefendInterval = seconds(10);
// Of ours, over all neighbours: enough for a rack that comes back at once, little for a scan.
constexpr std::uint32_t kSolicitationsPerSecond = 200;
constexpr std::uint32_t kSolicitationBurst = 64;
constexpr std::uint32_t kAnswersPerSecond = 1000;
constexpr std::uint32_t kAnswerBurst = 200;
// How soon a solicitation is tried again that the rate or the sink had no room for.
constexpr Duration kCrowdedRetryTime = milliseconds(20);

}  // namespace

NeighbourTable::NeighbourTable(const Settings& settings, const Routes& routes)
    : mac_(settings.mac),
      vlan_id_(settings.vlan_id),
      key_(settings.key),
      routes_(&routes),
      solicitation_limit_(kSolicitationsPerSecond, kSolicitationBurst),
      answer_limit_(kAnswersPerSecond, kAnswerBurst) {
  NEARFIELD_ASSERT(settings.capacity >= 8 && settings.capacity <= 65536);
  entries_.resize(settings.capacity);
  heads_.resize(std::bit_ceil(settings.capacity));
  clear();
}

void NeighbourTable::clear() {
  std::ranges::fill(heads_, kNone);
  free_ = kNone;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    entries_[i] = Entry{};
    entries_[i].next = free_;
    free_ = i;
  }
  size_ = 0;
  ++settled_;
  incomplete_ = 0;
  verifying_ = 0;
  next_deadline_ = announce_at_;
}

// --- the table

std::uint32_t NeighbourTable::bucket_of(const Address& address) const {
  return static_cast<std::uint32_t>(siphash(key_, std::as_bytes(std::span(address.bytes))) &
                                    (heads_.size() - 1));
}

const NeighbourTable::Entry* NeighbourTable::find(const Address& address) const {
  for (std::uint32_t i = heads_[bucket_of(address)]; i != kNone; i = entries_[i].next) {
    if (entries_[i].address == address) return &entries_[i];
  }
  return nullptr;
}

NeighbourTable::Entry* NeighbourTable::find(const Address& address) {
  return const_cast<Entry*>(std::as_const(*this).find(address));
}

NeighbourTable::Entry* NeighbourTable::victim() {
  // Waiting ones give way to each other once they hold half of the table.
  const bool take_incomplete = incomplete_ >= entries_.size() / 2;
  Entry* stale = nullptr;
  Entry* incomplete = nullptr;
  for (Entry& entry : entries_) {
    if (!entry.is_used) continue;
    Entry** best = entry.state == NeighbourState::kStale        ? &stale
                   : entry.state == NeighbourState::kIncomplete ? &incomplete
                                                                : nullptr;
    if (best != nullptr && (*best == nullptr || entry.used_at < (*best)->used_at)) *best = &entry;
  }
  if (take_incomplete || stale == nullptr) return incomplete;
  return stale;
}

NeighbourTable::Entry* NeighbourTable::insert(const Address& address, MonotonicTime now) {
  if (free_ == kNone || incomplete_ >= entries_.size() / 2) {
    // What became stale in the meantime shows only now.
    for (Entry& entry : entries_) {
      if (entry.is_used && entry.state == NeighbourState::kReachable && now >= entry.deadline) {
        set_state(entry, NeighbourState::kStale);
      }
    }
    Entry* given_up = victim();
    if (given_up == nullptr) {
      ++counters_.table_full;
      return nullptr;
    }
    remove(*given_up);
    ++counters_.evicted;
  }
  const std::uint32_t index = free_;
  Entry& entry = entries_[index];
  free_ = entry.next;
  std::uint32_t& head = heads_[bucket_of(address)];
  entry = Entry{};
  entry.address = address;
  entry.is_used = true;
  entry.next = head;
  entry.used_at = now;
  head = index;
  ++size_;
  count(entry, 1);
  return &entry;
}

void NeighbourTable::remove(Entry& entry) {
  settled_ += entry.state == NeighbourState::kIncomplete;
  count(entry, std::size_t(-1));
  const auto index = static_cast<std::uint32_t>(&entry - entries_.data());
  std::uint32_t* link = &heads_[bucket_of(entry.address)];
  while (*link != index) link = &entries_[*link].next;
  *link = entry.next;
  entry = Entry{};
  entry.next = free_;
  free_ = index;
  --size_;
}

// `change`: 1, or its opposite.
void NeighbourTable::count(const Entry& entry, std::size_t change) {
  if (entry.state == NeighbourState::kIncomplete) incomplete_ += change;
  if (entry.state == NeighbourState::kDelay || entry.state == NeighbourState::kProbe)
    verifying_ += change;
}

void NeighbourTable::set_state(Entry& entry, NeighbourState state) {
  settled_ += entry.state == NeighbourState::kIncomplete;
  count(entry, std::size_t(-1));
  entry.state = state;
  count(entry, 1);
  entry.solicitations = 0;
  entry.deadline = MonotonicTime::max();
}

void NeighbourTable::set_reachable(Entry& entry, MonotonicTime now) {
  set_state(entry, NeighbourState::kReachable);
  // Spread (RFC 4861 6.3.2), so that neighbours learnt together are not verified together.
  const std::uint64_t draw = siphash(key_, std::as_bytes(std::span(&++draws_, 1)));
  entry.deadline = now + kReachableTime / 2 + kReachableTime / 1024 * (draw & 1023);
}

void NeighbourTable::wake_at(MonotonicTime deadline) {
  next_deadline_ = std::min(next_deadline_, deadline);
}

// --- from above

std::optional<MacAddress> NeighbourTable::resolve(const Address& next_hop, MonotonicTime now) {
  Entry* entry = find(next_hop);
  if (entry == nullptr) {
    if (!is_unicast(next_hop) || routes_->is_local(next_hop)) return std::nullopt;
    entry = insert(next_hop, now);
    if (entry == nullptr) return std::nullopt;
    entry->deadline = now;
    wake_at(now);
    return std::nullopt;
  }
  entry->used_at = now;
  if (entry->state == NeighbourState::kIncomplete) return std::nullopt;
  const bool is_stale = entry->state == NeighbourState::kStale ||
                        (entry->state == NeighbourState::kReachable && now >= entry->deadline);
  if (is_stale) {
    set_state(*entry, NeighbourState::kDelay);
    entry->deadline = now + kDelayTime;
    wake_at(entry->deadline);
  }
  return entry->mac;
}

void NeighbourTable::confirm(const Address& next_hop, MonotonicTime now) {
  Entry* entry = find(next_hop);
  if (entry == nullptr || entry->state == NeighbourState::kIncomplete) return;
  // Not before half of the shortest time is over.
  if (entry->state == NeighbourState::kReachable && entry->deadline - now > kReachableTime / 4) {
    return;
  }
  set_reachable(*entry, now);
}

std::optional<NeighbourState> NeighbourTable::state(const Address& neighbour) const {
  const Entry* entry = find(neighbour);
  if (entry == nullptr) return std::nullopt;
  return entry->state;
}

// --- from the link

void NeighbourTable::learn(const Address& address, const MacAddress& mac, MonotonicTime now) {
  if (mac.is_group() || mac.is_zero() || mac == mac_ || !is_unicast(address) ||
      !routes_->is_on_link(address) || routes_->is_broadcast(address)) {
    ++counters_.malformed;
    return;
  }
  Entry* entry = find(address);
  if (entry == nullptr) {
    entry = insert(address, now);
    if (entry == nullptr) return;
  } else if (entry->mac == mac && entry->state != NeighbourState::kIncomplete) {
    return;
  } else if (entry->state != NeighbourState::kIncomplete) {
    ++counters_.moved;
  }
  entry->mac = mac;
  set_state(*entry, NeighbourState::kStale);
}

void NeighbourTable::receive_arp(const Frame& frame, MonotonicTime now, FrameSink& sink) {
  const std::optional<ArpMessage> message = parse_arp(frame);
  if (!message) {
    ++counters_.malformed;
    return;
  }
  if (message->sender_mac == mac_) return;  // our own, come back
  if (routes_->is_local(message->sender)) {
    defend(message->sender, now, sink);
    return;
  }
  const bool is_probe = is_unspecified(message->sender);  // RFC 5227 1.1
  const bool asks_us = message->is_request && routes_->is_local(message->target);
  if (Entry* entry = is_probe ? nullptr : find(message->sender); entry != nullptr) {
    const bool is_answer =
        !message->is_request && message->target_mac == mac_ &&
        (entry->state == NeighbourState::kIncomplete || entry->state == NeighbourState::kProbe);
    if (is_answer) {
      if (entry->state == NeighbourState::kProbe && entry->mac != message->sender_mac) {
        ++counters_.moved;
      }
      entry->mac = message->sender_mac;
      set_reachable(*entry, now);
    } else {
      learn(message->sender, message->sender_mac, now);
    }
  } else if (asks_us && !is_probe) {
    learn(message->sender, message->sender_mac, now);
  }
  if (!asks_us) return;
  if (!answer_limit_.allow(now)) {
    ++counters_.limited;
    return;
  }
  std::array<std::byte, kMaximumNeighbourFrameBytes> out;
  const std::size_t length = write_arp({.is_request = false,
                                        .sender_mac = mac_,
                                        .sender = message->target,
                                        .target_mac = message->sender_mac,
                                        .target = message->sender},
                                       message->sender_mac, vlan_id_, out);
  send(std::span(out).first(length), sink, counters_.answers_sent);
}

bool NeighbourTable::receive_neighbour_discovery(const Packet& packet, MonotonicTime now,
                                                 FrameSink& sink) {
  if (!is_neighbour_discovery(packet)) return false;
  if (is_neighbour_solicitation(packet)) {
    receive_solicitation(packet, now, sink);
  } else if (is_neighbour_advertisement(packet)) {
    receive_advertisement(packet, now, sink);
  }
  return true;
}

void NeighbourTable::receive_solicitation(const Packet& packet, MonotonicTime now,
                                          FrameSink& sink) {
  const std::optional<NeighbourMessage> message = parse_neighbour_message(packet);
  if (!message) {
    ++counters_.malformed;
    return;
  }
  if (!routes_->is_local(message->target)) return;
  const bool is_detection = is_unspecified(packet.source);  // duplicate address detection
  if (!is_detection && routes_->is_local(packet.source)) {
    defend(packet.source, now, sink);
    return;
  }
  if (!is_detection && message->mac) learn(packet.source, *message->mac, now);
  const Entry* asker = is_detection ? nullptr : find(packet.source);
  const bool has_mac = asker != nullptr && asker->state != NeighbourState::kIncomplete;
  if (!is_detection && !has_mac) return;  // it will ask again, with its MAC address
  if (!answer_limit_.allow(now)) {
    ++counters_.limited;
    return;
  }
  const Address to = is_detection ? all_nodes_multicast() : packet.source;
  std::array<std::byte, kMaximumNeighbourFrameBytes> out;
  const std::size_t length =
      write_neighbour_message({.is_solicitation = false,
                               .is_solicited = !is_detection,
                               .is_override = true,
                               .target = message->target,
                               .mac = mac_},
                              {.source = message->target,
                               .destination = to,
                               .source_mac = mac_,
                               .destination_mac = is_detection ? multicast_mac(to) : asker->mac,
                               .vlan_id = vlan_id_},
                              out);
  send(std::span(out).first(length), sink, counters_.answers_sent);
}

// RFC 4861 7.2.5.
void NeighbourTable::receive_advertisement(const Packet& packet, MonotonicTime now,
                                           FrameSink& sink) {
  const std::optional<NeighbourMessage> message = parse_neighbour_message(packet);
  if (!message || (message->mac && (message->mac->is_group() || message->mac->is_zero()))) {
    ++counters_.malformed;
    return;
  }
  if (routes_->is_local(message->target)) {
    if (!message->mac || *message->mac != mac_) defend(message->target, now, sink);
    return;
  }
  Entry* entry = find(message->target);
  if (entry == nullptr) return;
  if (entry->state == NeighbourState::kIncomplete) {
    if (!message->mac) return;
    entry->mac = *message->mac;
    if (message->is_solicited) {
      set_reachable(*entry, now);
    } else {
      set_state(*entry, NeighbourState::kStale);
    }
    return;
  }
  const bool differs = message->mac && *message->mac != entry->mac;
  if (differs && !message->is_override) {
    if (entry->state == NeighbourState::kReachable) set_state(*entry, NeighbourState::kStale);
    return;
  }
  if (differs) {
    entry->mac = *message->mac;
    ++counters_.moved;
  }
  if (message->is_solicited) {
    set_reachable(*entry, now);
  } else if (differs) {
    set_state(*entry, NeighbourState::kStale);
  }
}

// --- what we send ourselves

bool NeighbourTable::send(std::span<const std::byte> frame, FrameSink& sink,
                          std::uint64_t& counter) {
  if (!sink.send_frame(frame)) {
    ++counters_.frames_lost;
    return false;
  }
  ++counter;
  return true;
}

bool NeighbourTable::send_solicitation(const Address& target, const MacAddress* to,
                                       FrameSink& sink) {
  const std::optional<Address> source = routes_->source_for(target);
  if (!source) return true;  // nothing to ask from: as good as asked
  std::array<std::byte, kMaximumNeighbourFrameBytes> out;
  std::size_t length = 0;
  if (target.is_v4()) {
    length = write_arp({.is_request = true,
                        .sender_mac = mac_,
                        .sender = *source,
                        .target_mac = {},
                        .target = target},
                       to != nullptr ? *to : MacAddress::broadcast(), vlan_id_, out);
  } else {
    const Address destination = to != nullptr ? target : solicited_node_multicast(target);
    length = write_neighbour_message(
        {.is_solicitation = true, .target = target, .mac = mac_},
        {.source = *source,
         .destination = destination,
         .source_mac = mac_,
         .destination_mac = to != nullptr ? *to : multicast_mac(destination),
         .vlan_id = vlan_id_},
        out);
  }
  return send(std::span(out).first(length), sink, counters_.solicitations_sent);
}

void NeighbourTable::announce_address(const Address& address, FrameSink& sink) {
  std::array<std::byte, kMaximumNeighbourFrameBytes> out;
  std::size_t length = 0;
  if (address.is_v4()) {
    // A request for our own address (RFC 5227 3).
    length = write_arp({.is_request = true,
                        .sender_mac = mac_,
                        .sender = address,
                        .target_mac = {},
                        .target = address},
                       MacAddress::broadcast(), vlan_id_, out);
  } else {
    length = write_neighbour_message(
        {.is_solicitation = false, .is_override = true, .target = address, .mac = mac_},
        {.source = address,
         .destination = all_nodes_multicast(),
         .source_mac = mac_,
         .destination_mac = multicast_mac(all_nodes_multicast()),
         .vlan_id = vlan_id_},
        out);
  }
  send(std::span(out).first(length), sink, counters_.announcements_sent);
}

void NeighbourTable::defend(const Address& address, MonotonicTime now, FrameSink& sink) {
  ++counters_.conflicts;
  if (now < defended_until_) return;
  defended_until_ = now + kDefendInterval;
  announce_address(address, sink);
}

void NeighbourTable::announce(MonotonicTime now) {
  announcements_left_ = kAnnouncements;
  announce_at_ = now;
  wake_at(now);
}

void NeighbourTable::advance_announcements(MonotonicTime now, FrameSink& sink) {
  if (now < announce_at_) return;
  for (const LocalAddress& local : routes_->local_addresses()) {
    announce_address(local.address, sink);
  }
  --announcements_left_;
  announce_at_ = announcements_left_ > 0 ? now + kAnnounceInterval : MonotonicTime::max();
}

void NeighbourTable::advance_entry(Entry& entry, MonotonicTime now, FrameSink& sink) {
  if (entry.state == NeighbourState::kDelay) set_state(entry, NeighbourState::kProbe);
  if (entry.solicitations >= kMaximumSolicitations) {
    ++counters_.unreachable;
    remove(entry);
    return;
  }
  const MacAddress* to = entry.state == NeighbourState::kProbe ? &entry.mac : nullptr;
  if (solicitation_limit_.allow(now) && send_solicitation(entry.address, to, sink)) {
    ++entry.solicitations;
    entry.deadline = now + kRetransmitTime;
  } else {
    entry.deadline = now + kCrowdedRetryTime;
  }
}

void NeighbourTable::advance(MonotonicTime now, FrameSink& sink) {
  if (now < next_deadline_) return;
  next_deadline_ = MonotonicTime::max();
  advance_announcements(now, sink);
  for (Entry& entry : entries_) {
    const bool has_timer = entry.is_used && entry.state != NeighbourState::kReachable &&
                           entry.state != NeighbourState::kStale;
    if (!has_timer) continue;
    if (now >= entry.deadline) advance_entry(entry, now, sink);
    if (entry.is_used) wake_at(entry.deadline);
  }
  wake_at(announce_at_);
}

}  // namespace nearfield::net::ip
