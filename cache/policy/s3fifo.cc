// See s3fifo.h.
#include "cache/policy/s3fifo.h"

namespace nearfield::cache {

S3FifoPolicy::S3FifoPolicy(const PolicyLimits& limits)
    : EvictionPolicy(limits), ghost_(limits.max_entries) {}

void S3FifoPolicy::push(PolicyEntry& entry, Queue queue) {
  entry.queue = queue;
  queue_of(entry).push_newest(entry);
}

void S3FifoPolicy::on_insert(PolicyEntry& entry) {
  if (ghost_.take(entry.name_hash, departed_, main_.size())) {
    push(entry, kMain);
  } else if (!was_full_ && small_.bytes() + entry.size_bytes > small_share_bytes()) {
    push(entry, kMain);
  } else {
    push(entry, kSmall);
  }
}

PolicyEntry* S3FifoPolicy::choose_victim() {
  was_full_ = true;
  for (int walked = 0;; ++walked) {
    const bool from_small =
        !small_.empty() && (small_.bytes() > small_share_bytes() || main_.empty());
    PolicyEntry* entry = from_small ? small_.oldest() : main_.oldest();
    if (entry == nullptr) return nullptr;
    const bool last = walked >= kLongestWalk;
    if (from_small) {
      small_.unlink(*entry);
      if (entry->hits < kPromoteHits || last) {
        ghost_.put(entry->name_hash, departed_++);
        small_.prefetch_oldest();
        if (!small_.empty()) ghost_.prefetch(small_.oldest()->name_hash);
        return entry;
      }
      entry->hits = 0;
      push(*entry, kMain);
    } else {
      main_.unlink(*entry);
      if (entry->hits == 0 || last) return entry;
      --entry->hits;
      push(*entry, kMain);
    }
  }
}

}  // namespace nearfield::cache
