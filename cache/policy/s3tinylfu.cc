// See s3tinylfu.h.
#include "cache/policy/s3tinylfu.h"

#include <algorithm>

namespace nearfield::cache {

S3TinyLfuPolicy::S3TinyLfuPolicy(const PolicyLimits& limits)
    : EvictionPolicy(limits), ghost_(limits.max_entries), sketch_(limits.max_entries) {}

void S3TinyLfuPolicy::count_use(const PolicyEntry& entry) {
  constexpr std::uint64_t kLeastSample = 1024;
  sketch_.use(entry.name_hash, std::max(kLeastSample, kUsesPerEntry * entries()));
}

void S3TinyLfuPolicy::push(PolicyEntry& entry, Queue queue) {
  entry.queue = queue;
  queue_of(entry).push_newest(entry);
}

void S3TinyLfuPolicy::on_insert(PolicyEntry& entry) {
  count_use(entry);
  if (ghost_.take(entry.name_hash, departed_, main_.size() * 3 / 4)) {
    push(entry, kMain);
  } else if (!was_full_ && small_.bytes() + entry.size_bytes > small_share_bytes()) {
    push(entry, kMain);
  } else {
    push(entry, kSmall);
  }
}

void S3TinyLfuPolicy::on_hit(PolicyEntry& entry) {
  count_use(entry);
  if (entry.hits < kMostHits) ++entry.hits;
}

PolicyEntry* S3TinyLfuPolicy::choose_victim() {
  PolicyEntry* victim = find_victim();
  prefetch_oldest();
  return victim;
}

PolicyEntry* S3TinyLfuPolicy::find_victim() {
  was_full_ = true;
  for (int walked = 0; walked < kLongestWalk; ++walked) {
    PolicyEntry* oldest = small_.oldest();
    if (oldest != nullptr && (small_.bytes() > small_share_bytes() || main_.empty())) {
      if (PolicyEntry* victim = leave_small(*oldest)) return victim;
    } else if (main_.empty()) {
      return nullptr;
    } else if (!give_second_chance(*main_.oldest())) {
      break;
    }
  }
  PolicyEntry* victim = main_.oldest();
  if (victim != nullptr) main_.unlink(*victim);
  return victim;
}

// What the next call will look at has been idle for as long as a queue lasts: it is fetched while
// the caller is busy elsewhere.
void S3TinyLfuPolicy::prefetch_oldest() const {
  small_.prefetch_oldest();
  main_.prefetch_oldest();
  if (small_.oldest() != nullptr) prefetch(small_.oldest()->name_hash);
  if (main_.oldest() != nullptr) sketch_.prefetch(main_.oldest()->name_hash);
}

// Decides about the oldest entry of small. Returns what goes, that entry or one of main; nullptr
// when it was promoted and nothing has gone yet.
PolicyEntry* S3TinyLfuPolicy::leave_small(PolicyEntry& entry) {
  if (entry.hits >= kPromoteHits) {
    move_to_main(entry);
    return nullptr;
  }
  const unsigned uses = sketch_.count(entry.name_hash);
  PolicyEntry* rival = uses >= 2 ? next_of_main() : nullptr;
  if (rival != nullptr && uses > sketch_.count(rival->name_hash)) {
    move_to_main(entry);
    main_.unlink(*rival);
    return rival;
  }
  small_.unlink(entry);
  ghost_.put(entry.name_hash, departed_++);
  return &entry;
}

void S3TinyLfuPolicy::move_to_main(PolicyEntry& entry) {
  small_.unlink(entry);
  entry.hits = 0;
  push(entry, kMain);
}

bool S3TinyLfuPolicy::give_second_chance(PolicyEntry& entry) {
  if (entry.hits == 0) return false;
  --entry.hits;
  main_.prefetch_oldest();
  main_.move_to_newest(entry);
  return true;
}

PolicyEntry* S3TinyLfuPolicy::next_of_main() {
  for (int looked = 0; looked < kLongestLook && !main_.empty(); ++looked) {
    if (!give_second_chance(*main_.oldest())) break;
  }
  return main_.oldest();
}

}  // namespace nearfield::cache
