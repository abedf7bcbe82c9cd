#include "dataplane/access/replay_table.h"

#include <algorithm>

namespace nearfield::access {
namespace {

// A full table is searched for expired tokens at most this often.
constexpr std::chrono::seconds kSweepEvery{1};

}  // namespace

RenewedTokens::RenewedTokens(std::size_t maximum_tokens)
    : maximum_(std::max(kWays, maximum_tokens / kWays * kWays)) {}

std::size_t RenewedTokens::place_of(const Digest& name) const {
  return DigestHash()(name) % (maximum_ / kWays) * kWays;
}

void RenewedTokens::add(const Digest& name, const Digest& key, WallTime expires) {
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) entries_.resize(maximum_);
  const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(place_of(name));
  const auto last = first + kWays;
  auto place = std::find_if(first, last, [&](const Entry& each) { return each.name == name; });
  if (place == last) {
    place = std::min_element(first, last,
                             [](const Entry& a, const Entry& b) { return a.expires < b.expires; });
  }
  *place = {name, key, expires};
}

std::optional<Digest> RenewedTokens::find(const Digest& name) const {
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) return std::nullopt;
  const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(place_of(name));
  const auto found =
      std::find_if(first, first + kWays, [&](const Entry& each) { return each.name == name; });
  if (found == first + kWays || found->expires == WallTime::min()) return std::nullopt;
  return found->key;
}

ReplayTable::ReplayTable(std::size_t maximum_tokens) : maximum_(maximum_tokens) {}

ReplayTable::Use ReplayTable::use(const Digest& identity, WallTime now, WallTime until) {
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

ReplayTable::Use ReplayTable::look(const Digest& identity, WallTime now) const {
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
