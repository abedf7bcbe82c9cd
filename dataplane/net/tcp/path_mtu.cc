// One record of what the size is and why it is not the device's.
#include "dataplane/net/tcp/path_mtu.h"

#include <algorithm>
#include <array>
#include <span>

#include "dataplane/net/tcp/flow_hash.h"

namespace nearfield::net::tcp {
namespace {

constexpr std::uint32_t kSmallestLinkV4 = 68;  // RFC 791 3.2

// RFC 1191 table 7-1: the sizes links have, for routers that do not say; and our floor.
constexpr std::array<std::uint16_t, 12> kPlateaus{
    65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, PathMtu::kFloorV4, 508, 296, 68};

// 0 when no link can be that narrow.
std::uint16_t plateau_below(std::uint16_t packet_bytes) {
  for (const std::uint16_t plateau : kPlateaus) {
    if (plateau < packet_bytes) return plateau;
  }
  return 0;
}

}  // namespace

void PathMtu::start(std::uint16_t packet_bytes, bool is_v4) {
  *this = {};
  device_bytes_ = packet_bytes;
  packet_bytes_ = packet_bytes;
  is_v4_ = is_v4;
}

std::uint16_t PathMtu::floor() const {
  return std::min(device_bytes_, is_v4_ ? kFloorV4 : kFloorV6);
}

PathMtu::Change PathMtu::lower_to(std::uint32_t packet_bytes, Reason reason, MonotonicTime now) {
  const std::uint32_t wanted = std::max<std::uint32_t>(packet_bytes, floor());
  if (wanted >= packet_bytes_) return Change::none;
  packet_bytes_ = static_cast<std::uint16_t>(wanted);
  proven_bytes_ = 0;
  lowered_at_ = now;
  reason_ = reason;
  return Change::smaller;
}

PathMtu::Change PathMtu::on_packet_too_big(std::uint32_t mtu, std::uint16_t quoted_bytes,
                                           MonotonicTime now) {
  if (is_v4_ && mtu == 0) {
    if (quoted_bytes > packet_bytes_) return Change::none;
    mtu = plateau_below(quoted_bytes);
  }
  if (mtu < (is_v4_ ? kSmallestLinkV4 : std::uint32_t{kFloorV6})) return Change::none;
  if (mtu < floor()) {
    may_fragment_ = true;
    lowered_at_ = now;
  }
  return lower_to(mtu, Reason::told, now);
}

PathMtu::Change PathMtu::on_timeout(std::uint32_t consecutive_timeouts,
                                    std::uint32_t packet_bytes_sent, MonotonicTime now) {
  // A size on trial has to work at once; what is lost is only the trial.
  if (proven_bytes_ != 0 && packet_bytes_sent > proven_bytes_) {
    return lower_to(proven_bytes_, Reason::silence, now);
  }
  if (consecutive_timeouts >= kTimeoutsToBase && packet_bytes_sent > kBase) {
    return lower_to(kBase, Reason::silence, now);
  }
  // IPv6 is there already.
  if (consecutive_timeouts >= kTimeoutsToFloor && packet_bytes_sent > floor()) {
    return lower_to(floor(), Reason::silence, now);
  }
  return Change::none;
}

PathMtu::Change PathMtu::on_acknowledged(std::uint32_t packet_bytes, MonotonicTime now) {
  if (proven_bytes_ != 0) {
    if (packet_bytes >= packet_bytes_) {
      proven_bytes_ = 0;
      reason_ = Reason::none;
    } else if (packet_bytes > proven_bytes_) {
      proven_bytes_ = static_cast<std::uint16_t>(packet_bytes);
    }
    return Change::none;
  }
  if (reason_ != Reason::silence || packet_bytes <= packet_bytes_) return Change::none;
  packet_bytes_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(packet_bytes, device_bytes_));
  lowered_at_ = now;
  if (packet_bytes_ == device_bytes_) reason_ = Reason::none;
  return Change::larger;
}

PathMtu::Change PathMtu::on_time(MonotonicTime now) {
  const bool is_lowered = packet_bytes_ < device_bytes_ || may_fragment_;
  if (!is_lowered || now - lowered_at_ < kRetryAfter) return Change::none;
  may_fragment_ = false;
  if (packet_bytes_ == device_bytes_) return Change::none;
  proven_bytes_ = packet_bytes_;
  packet_bytes_ = device_bytes_;
  return Change::larger;
}

PathMtuCache::PathMtuCache(std::size_t capacity, const SipHashKey& secret)
    : key_(derive_key(secret, "path mtu cache")), slots_(capacity) {}

std::uint64_t PathMtuCache::hash(const Address& peer) const {
  return siphash(key_, std::as_bytes(std::span(peer.bytes)));
}

PathMtuCache::Slot* PathMtuCache::slot_of(const Address& peer, std::uint64_t hash) {
  return slots_.find(hash, [&](const Slot& slot) { return slot.peer == peer; });
}

void PathMtuCache::remove(Slot& slot) {
  slots_.unlink(queue_, slot);
  slots_.remove(slot);
}

void PathMtuCache::insert(const Address& peer, std::uint16_t packet_bytes, MonotonicTime now) {
  const std::uint64_t key = hash(peer);
  Slot* slot = slot_of(peer, key);
  if (slot != nullptr) {
    if (slot->deadline > now) packet_bytes = std::min(packet_bytes, slot->packet_bytes);
    slots_.unlink(queue_, *slot);
  } else {
    if (slots_.size() == slots_.capacity()) remove(*slots_.front(queue_));
    slot = slots_.add(key);
    slot->peer = peer;
  }
  slot->packet_bytes = packet_bytes;
  slot->deadline = now + PathMtu::kRetryAfter;
  slots_.push_back(queue_, *slot);
}

std::optional<std::uint16_t> PathMtuCache::find(const Address& peer, MonotonicTime now) {
  Slot* slot = slot_of(peer, hash(peer));
  if (slot == nullptr) return std::nullopt;
  if (slot->deadline > now) return slot->packet_bytes;
  remove(*slot);
  return std::nullopt;
}

void PathMtuCache::erase(const Address& peer) {
  if (Slot* slot = slot_of(peer, hash(peer))) remove(*slot);
}

}  // namespace nearfield::net::tcp
