// See wtinylfu.h.
#include "cache/policy/wtinylfu.h"

#include <algorithm>

namespace nearfield::cache {

WTinyLfuPolicy::WTinyLfuPolicy(const PolicyLimits& limits)
    : EvictionPolicy(limits), sketch_(limits.max_entries) {}

void WTinyLfuPolicy::count_use(const PolicyEntry& entry) {
  constexpr std::uint64_t kUsesPerEntry = 10;
  constexpr std::uint64_t kLeastSample = 1024;
  sketch_.use(entry.name_hash, std::max(kLeastSample, kUsesPerEntry * entries()));
}

void WTinyLfuPolicy::move(PolicyEntry& entry, Queue queue) {
  queue_of(entry).unlink(entry);
  entry.queue = queue;
  queue_of(entry).push_newest(entry);
}

void WTinyLfuPolicy::on_insert(PolicyEntry& entry) {
  count_use(entry);
  entry.queue = kWindow;
  window().push_newest(entry);
  // Before the cache is full there is nothing to compete for.
  while (!was_full_ && window().bytes() > window_share_bytes()) {
    move(*window().oldest(), kProbation);
  }
}

void WTinyLfuPolicy::on_hit(PolicyEntry& entry) {
  count_use(entry);
  if (entry.queue != kProbation) {
    queue_of(entry).move_to_newest(entry);
    return;
  }
  move(entry, kProtected);
  // Several small ones may have to give way to a large one; what this leaves over, the next
  // promotion moves.
  constexpr int kMostDemotions = 64;
  for (int demoted = 0; demoted < kMostDemotions; ++demoted) {
    if (protected_part().bytes() <= protected_share_bytes() || protected_part().size() == 1) break;
    move(*protected_part().oldest(), kProbation);
  }
}

PolicyEntry* WTinyLfuPolicy::choose_victim() {
  was_full_ = true;
  PolicyEntry* victim = !probation().empty() ? probation().oldest() : protected_part().oldest();
  PolicyEntry* candidate = window().oldest();
  if (candidate != nullptr && (victim == nullptr || window().bytes() > window_share_bytes())) {
    if (victim == nullptr ||
        sketch_.count(candidate->name_hash) <= sketch_.count(victim->name_hash)) {
      victim = candidate;
    } else {
      move(*candidate, kProbation);
    }
  }
  if (victim != nullptr) queue_of(*victim).unlink(*victim);
  for (const EntryQueue* queue : {&window(), &probation()}) {
    queue->prefetch_oldest();
    if (!queue->empty()) sketch_.prefetch(queue->oldest()->name_hash);
  }
  return victim;
}

}  // namespace nearfield::cache
