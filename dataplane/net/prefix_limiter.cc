// See prefix_limiter.h.
#include "dataplane/net/prefix_limiter.h"

#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::net {

// Prefixes are spread by the bytes a truncated address has; an attacker who aims at one shard or
// bucket gains nothing but its own limit.
std::size_t PrefixLimiter::AddressHash::operator()(const Address& address) const {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, address.bytes.data(), 8);
  std::memcpy(&low, address.bytes.data() + 8, 8);
  std::uint64_t hash = (high ^ (low * 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;
  hash ^= hash >> 29;
  return static_cast<std::size_t>(hash * 0x94d049bb133111ebULL);
}

PrefixLimiter::Shard& PrefixLimiter::shard(const Address& prefix) {
  return shards_[(AddressHash{}(prefix) >> 56) % kShards];
}

const PrefixLimiter::Shard& PrefixLimiter::shard(const Address& prefix) const {
  return shards_[(AddressHash{}(prefix) >> 56) % kShards];
}

bool PrefixLimiter::take(const Address& prefix, std::uint32_t maximum, Slot& slot) {
  NEARFIELD_ASSERT(slot.limiter_ == nullptr);
  if (maximum == 0) return true;
  Shard& own = shard(prefix);
  const std::lock_guard lock(own.mutex);
  const auto place = own.connections.find(prefix);
  if (place == own.connections.end()) {
    if (own.connections.size() >= kPrefixesPerShard) return true;
    own.connections.emplace(prefix, 1);
  } else {
    if (place->second >= maximum) return false;
    ++place->second;
  }
  slot.limiter_ = this;
  slot.prefix_ = prefix;
  return true;
}

std::uint32_t PrefixLimiter::connections(const Address& prefix) const {
  const Shard& own = shard(prefix);
  const std::lock_guard lock(own.mutex);
  const auto place = own.connections.find(prefix);
  return place == own.connections.end() ? 0 : place->second;
}

void PrefixLimiter::Slot::release() {
  PrefixLimiter* limiter = std::exchange(limiter_, nullptr);
  if (limiter == nullptr) return;
  Shard& own = limiter->shard(prefix_);
  const std::lock_guard lock(own.mutex);
  const auto place = own.connections.find(prefix_);
  NEARFIELD_ASSERT(place != own.connections.end() && place->second > 0);
  if (--place->second == 0) own.connections.erase(place);
}

}  // namespace nearfield::net
