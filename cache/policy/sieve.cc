// See sieve.h.
#include "cache/policy/sieve.h"

namespace nearfield::cache {

void SievePolicy::on_insert(PolicyEntry& entry) {
  entry.queue = kQueue;
  queue_.push_newest(entry);
}

void SievePolicy::on_remove(PolicyEntry& entry) {
  if (hand_ == &entry) hand_ = entry.newer;
  queue_.unlink(entry);
}

PolicyEntry* SievePolicy::choose_victim() {
  if (queue_.empty()) return nullptr;
  PolicyEntry* entry = hand_ != nullptr ? hand_ : queue_.oldest();
  for (int walked = 0; entry->hits != 0 && walked < kLongestWalk; ++walked) {
    entry->hits = 0;
    entry = entry->newer != nullptr ? entry->newer : queue_.oldest();
  }
  hand_ = entry->newer;
  queue_.unlink(*entry);
  return entry;
}

}  // namespace nearfield::cache
