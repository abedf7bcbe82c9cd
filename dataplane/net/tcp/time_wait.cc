// The table is one queue of one wait; the rules of reuse are pure functions of a record and a SYN.
#include "dataplane/net/tcp/time_wait.h"

#include "dataplane/net/tcp/flow_hash.h"

namespace nearfield::net::tcp {

TimeWaitTable::TimeWaitTable(std::size_t capacity, const SipHashKey& secret, Duration duration)
    : key_(derive_key(secret, "time wait")), duration_(duration), slots_(capacity) {}

void TimeWaitTable::insert(const Entry& entry, MonotonicTime now) {
  if (Entry* old = find(entry.flow)) {
    erase(*old);
  } else if (slots_.size() == slots_.capacity()) {
    erase(*slots_.front(queue_));
    ++evictions_;
  }
  Slot* slot = slots_.add(hash_flow(key_, entry.flow));
  static_cast<Entry&>(*slot) = entry;
  slot->deadline = now + duration_;
  slots_.push_back(queue_, *slot);
}

TimeWaitTable::Entry* TimeWaitTable::find(const Flow& flow) {
  return slots_.find(hash_flow(key_, flow), [&](const Slot& slot) { return slot.flow == flow; });
}

void TimeWaitTable::restart(Entry& entry, MonotonicTime now) {
  auto& slot = static_cast<Slot&>(entry);
  slots_.unlink(queue_, slot);
  slot.deadline = now + duration_;
  slots_.push_back(queue_, slot);
}

void TimeWaitTable::erase(Entry& entry) {
  auto& slot = static_cast<Slot&>(entry);
  slots_.unlink(queue_, slot);
  slots_.remove(slot);
}

std::size_t TimeWaitTable::advance(MonotonicTime now, std::size_t budget) {
  std::size_t done = 0;
  for (; done < budget; ++done) {
    Slot* slot = slots_.front(queue_);
    if (slot == nullptr || slot->deadline > now) break;
    erase(*slot);
  }
  return done;
}

std::optional<MonotonicTime> TimeWaitTable::next_deadline() const {
  const Slot* slot = slots_.front(queue_);
  return slot == nullptr ? std::nullopt : std::optional(slot->deadline);
}

bool may_reuse(const TimeWaitTable::Entry& entry, const Header& syn) {
  const Flags& flags = syn.flags;
  if (!flags.syn || flags.ack || flags.rst || flags.fin) return false;
  const bool is_beyond = distance(entry.receive_next, syn.sequence) >= 0;
  if (!syn.options.timestamps) return is_beyond;
  // Nothing of the last connection carried timestamps, so this is of another.
  if (!entry.timestamps) return true;
  const auto newer =
      static_cast<std::int32_t>(syn.options.timestamps->value - entry.recent_timestamp);
  return newer > 0 || (newer == 0 && is_beyond);
}

SequenceNumber initial_for_reuse(const TimeWaitTable::Entry& entry, SequenceNumber usual) {
  // A window's distance, so that no old acknowledgment comes near to being acceptable.
  const SequenceNumber least = entry.send_next + 65536;
  return before(usual, least) ? least : usual;
}

}  // namespace nearfield::net::tcp
