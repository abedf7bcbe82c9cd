#include "dataplane/access/replay_table.h"

#include <algorithm>
#include <cstring>

namespace nearfield::access {
namespace {

// A full table is searched for expired tokens at most this often.
constexpr std::chrono::seconds kSweepEvery{1};

}  // namespace

ReplayTable::ReplayTable(std::size_t maximum_tokens) : maximum_(maximum_tokens) {}

std::size_t ReplayTable::Hash::operator()(const std::array<std::uint8_t, 32>& identity) const {
  std::size_t hash = 0;
  std::memcpy(&hash, identity.data(), sizeof(hash));
  return hash;
}

ReplayTable::Use ReplayTable::use(const std::array<std::uint8_t, 32>& identity, WallTime now,
                                  WallTime until) {
  const std::lock_guard lock(mutex_);
  if (const auto found = used_.find(identity); found != used_.end()) {
    if (found->second > now) return Use::kAgain;
    found->second = until;
    return Use::kFirst;
  }
  if (used_.size() >= maximum_ && now >= next_sweep_) drop_expired(now);
  if (used_.size() >= maximum_) return Use::kFull;
  used_.emplace(identity, until);
  return Use::kFirst;
}

ReplayTable::Use ReplayTable::look(const std::array<std::uint8_t, 32>& identity,
                                   WallTime now) const {
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(identity);
  if (found != used_.end()) return found->second > now ? Use::kAgain : Use::kFirst;
  if (used_.size() < maximum_) return Use::kFirst;
  const bool can_make_room =
      std::ranges::any_of(used_, [now](const auto& entry) { return entry.second <= now; });
  return can_make_room ? Use::kFirst : Use::kFull;
}

std::size_t ReplayTable::size() const {
  const std::lock_guard lock(mutex_);
  return used_.size();
}

void ReplayTable::drop_expired(WallTime now) {
  std::erase_if(used_, [now](const auto& entry) { return entry.second <= now; });
  next_sweep_ = now + kSweepEvery;
}

}  // namespace nearfield::access
