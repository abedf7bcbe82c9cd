// See fetch_table.h.
#include "dataplane/proxy/fetch_table.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield::proxy {

bool FetchTicket::join(Ref<Signal> signal, std::size_t maximum) {
  const std::lock_guard lock(mutex_);
  if (phase_.load(std::memory_order_relaxed) != FetchPhase::pending) {
    signal->raise();
    return true;
  }
  if (waiters_.size() >= maximum) return false;
  waiters_.push_back(std::move(signal));
  return true;
}

void FetchTicket::leave(const Signal& signal) {
  const std::lock_guard lock(mutex_);
  const auto place = std::find_if(waiters_.begin(), waiters_.end(),
                                  [&](const Ref<Signal>& each) { return each.get() == &signal; });
  if (place == waiters_.end()) return;
  *place = std::move(waiters_.back());
  waiters_.pop_back();
}

std::vector<std::shared_ptr<const http::ResponseHead>> FetchTicket::interim_after(
    std::size_t seen) const {
  const std::lock_guard lock(mutex_);
  if (seen >= interim_.size()) return {};
  return {interim_.begin() + static_cast<std::ptrdiff_t>(seen), interim_.end()};
}

bool FetchTicket::want(std::uint64_t offset) {
  Ref<Signal> owner;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    // When the list is full the bytes come in their turn.
    if (wanted_.size() >= kMaximumWanted ||
        std::find(wanted_.begin(), wanted_.end(), offset) != wanted_.end()) {
      return true;
    }
    wanted_.push_back(offset);
    owner = owner_;
  }
  if (owner) owner->raise();
  return true;
}

bool FetchTicket::close() {
  const std::lock_guard lock(mutex_);
  if (!wanted_.empty()) return false;
  closed_ = true;
  return true;
}

void FetchTicket::shut() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void FetchTicket::abandon() {
  abandoned_.store(true, std::memory_order_release);
  Ref<Signal> owner;
  cache::BlobReader unread;
  {
    const std::lock_guard lock(mutex_);
    owner = owner_;
    unread = std::move(reader_);
  }
  unread.detach();
  if (owner) owner->raise();
}

cache::BlobReader FetchTicket::take_reader() {
  const std::lock_guard lock(mutex_);
  return std::move(reader_);
}

void FetchTicket::set_reader(cache::BlobReader reader) {
  if (abandoned()) return;
  const std::lock_guard lock(mutex_);
  reader_ = std::move(reader);
}

void FetchTicket::set_owner_signal(Ref<Signal> signal) {
  const std::lock_guard lock(mutex_);
  owner_ = std::move(signal);
}

void FetchTicket::add_interim(std::shared_ptr<const http::ResponseHead> head) {
  std::vector<Ref<Signal>> waiters;
  {
    const std::lock_guard lock(mutex_);
    if (interim_.size() >= kMaximumInterim) return;
    interim_.push_back(std::move(head));
    waiters = waiters_;
  }
  raise_all(waiters);
}

void FetchTicket::settle(FetchPhase phase, FetchAnswer answer) {
  NEARFIELD_ASSERT(phase != FetchPhase::pending);
  std::vector<Ref<Signal>> waiters;
  {
    const std::lock_guard lock(mutex_);
    NEARFIELD_ASSERT(phase_.load(std::memory_order_relaxed) == FetchPhase::pending);
    answer_ = std::move(answer);
    phase_.store(phase, std::memory_order_release);
    waiters = std::exchange(waiters_, {});
  }
  raise_all(waiters);
}

std::vector<std::uint64_t> FetchTicket::take_wanted() {
  const std::lock_guard lock(mutex_);
  return std::exchange(wanted_, {});
}

std::size_t FetchTicket::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiters_.size();
}

void FetchTicket::raise_all(const std::vector<Ref<Signal>>& waiters) {
  for (const Ref<Signal>& waiter : waiters) waiter->raise();
}

FetchTable::Shard& FetchTable::shard(std::string_view key) {
  return shards_[StringHash{}(key) % kShards];
}

const FetchTable::Shard& FetchTable::shard(const cache::Blob& blob) const {
  return shards_[(reinterpret_cast<std::uintptr_t>(&blob) >> 6) % kShards];
}

Ref<FetchTicket> FetchTable::join_or_begin(std::string_view key, const Ref<FetchTicket>& fresh,
                                           bool* began) {
  Shard& own = shard(key);
  const std::lock_guard lock(own.mutex);
  const auto place = own.running.find(key);
  *began = place == own.running.end();
  if (!*began) return place->second;
  own.running.emplace(std::string(key), fresh);
  return fresh;
}

void FetchTable::end(std::string_view key, const FetchTicket& ticket) {
  Shard& own = shard(key);
  const std::lock_guard lock(own.mutex);
  const auto place = own.running.find(key);
  if (place != own.running.end() && place->second.get() == &ticket) own.running.erase(place);
}

bool FetchTable::attach_blob(const cache::Blob& blob, const Ref<FetchTicket>& ticket) {
  Shard& own = const_cast<Shard&>(shard(blob));
  const std::lock_guard lock(own.mutex);
  return own.filling.try_emplace(&blob, ticket).second;
}

void FetchTable::detach_blob(const cache::Blob& blob) {
  Shard& own = const_cast<Shard&>(shard(blob));
  const std::lock_guard lock(own.mutex);
  own.filling.erase(&blob);
}

Ref<FetchTicket> FetchTable::ticket_of(const cache::Blob& blob) const {
  const Shard& own = shard(blob);
  const std::lock_guard lock(own.mutex);
  const auto place = own.filling.find(&blob);
  return place == own.filling.end() ? nullptr : place->second;
}

void FetchTable::remember_unshareable(std::string_view key, MonotonicTime until) {
  Shard& own = shard(key);
  const std::lock_guard lock(own.mutex);
  // A full table forgets everything: it only costs a round of waiting, and a flood of names cannot
  // make it grow.
  if (own.unshareable.size() >= kUnshareablePerShard) own.unshareable.clear();
  own.unshareable.insert_or_assign(std::string(key), until);
}

bool FetchTable::is_unshareable(std::string_view key, MonotonicTime now) {
  Shard& own = shard(key);
  const std::lock_guard lock(own.mutex);
  const auto place = own.unshareable.find(key);
  if (place == own.unshareable.end()) return false;
  if (place->second > now) return true;
  own.unshareable.erase(place);
  return false;
}

}  // namespace nearfield::proxy
