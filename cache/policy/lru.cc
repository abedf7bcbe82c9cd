// See lru.h.
#include "cache/policy/lru.h"

namespace nearfield::cache {

void LruPolicy::on_insert(PolicyEntry& entry) {
  entry.queue = kQueue;
  queue_.push_newest(entry);
}

PolicyEntry* LruPolicy::choose_victim() {
  PolicyEntry* victim = queue_.oldest();
  if (victim != nullptr) queue_.unlink(*victim);
  queue_.prefetch_oldest();
  return victim;
}

}  // namespace nearfield::cache
