// One queue a wait; an entry moves to the next queue each time its SYN-ACK is sent again.
#include "dataplane/net/tcp/syn_cache.h"

#include <limits>

#include "dataplane/net/tcp/flow_hash.h"

namespace nearfield::net::tcp {

SynCache::SynCache(std::size_t capacity, const SipHashKey& secret)
    : key_(derive_key(secret, "syn cache")), slots_(capacity) {}

SynCache::Entry* SynCache::find(const Flow& flow) {
  return slots_.find(hash_flow(key_, flow), [&](const Slot& slot) { return slot.flow == flow; });
}

SynCache::Entry* SynCache::insert(const Flow& flow, MonotonicTime now) {
  Slot* slot = slots_.add(hash_flow(key_, flow));
  if (slot == nullptr) return nullptr;
  slot->flow = flow;
  slot->sent_at = now;
  slot->deadline = now + kWaits[0];
  slots_.push_back(queues_[0], *slot);
  return slot;
}

void SynCache::erase(Entry& entry) {
  auto& slot = static_cast<Slot&>(entry);
  slots_.unlink(queues_[slot.level], slot);
  slots_.remove(slot);
}

void SynCache::resent(Entry& entry, MonotonicTime now) {
  auto& slot = static_cast<Slot&>(entry);
  slot.sent_at = now;
  if (slot.retransmissions < std::numeric_limits<std::uint8_t>::max()) ++slot.retransmissions;
  slots_.unlink(queues_[slot.level], slot);
  if (slot.level + 1u < kWaits.size()) ++slot.level;
  slot.deadline = now + kWaits[slot.level];
  slots_.push_back(queues_[slot.level], slot);
}

std::optional<MonotonicTime> SynCache::next_deadline() const {
  std::optional<MonotonicTime> next;
  for (const SlotQueue& queue : queues_) {
    const Slot* slot = slots_.front(queue);
    if (slot != nullptr && (!next || slot->deadline < *next)) next = slot->deadline;
  }
  return next;
}

}  // namespace nearfield::net::tcp
