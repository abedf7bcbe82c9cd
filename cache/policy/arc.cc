// See arc.h.
#include "cache/policy/arc.h"

#include <algorithm>

namespace nearfield::cache {

namespace {

// How far a hit in a ghost list of `own` bytes moves the target, `other` being the other one's
// bytes.
std::uint64_t step_bytes(std::uint64_t size, std::uint64_t own, std::uint64_t other) {
  if (own == 0 || other <= own) return size;
  return static_cast<std::uint64_t>(static_cast<double>(size) * static_cast<double>(other) /
                                    static_cast<double>(own));
}

}  // namespace

ArcPolicy::ArcPolicy(const PolicyLimits& limits)
    : EvictionPolicy(limits), ghosts_(limits.max_entries) {}

void ArcPolicy::on_insert(PolicyEntry& entry) {
  const std::uint64_t recent_ghosts = ghosts_.bytes_of(kRecentGhosts);
  const std::uint64_t frequent_ghosts = ghosts_.bytes_of(kFrequentGhosts);
  const std::optional<unsigned> ghost = ghosts_.take(entry.name_hash);
  if (ghost == kRecentGhosts) {
    const std::uint64_t step = step_bytes(entry.size_bytes, recent_ghosts, frequent_ghosts);
    recent_target_bytes_ = std::min(recent_target_bytes_ + step, queue_capacity_bytes());
  } else if (ghost == kFrequentGhosts) {
    const std::uint64_t step = step_bytes(entry.size_bytes, frequent_ghosts, recent_ghosts);
    recent_target_bytes_ -= std::min(recent_target_bytes_, step);
  }
  entry.queue = ghost.has_value() ? kFrequent : kRecent;
  queue_of(entry).push_newest(entry);
}

void ArcPolicy::on_hit(PolicyEntry& entry) {
  queue_of(entry).unlink(entry);
  entry.queue = kFrequent;
  frequent_.push_newest(entry);
}

PolicyEntry* ArcPolicy::choose_victim() {
  const bool from_recent =
      !recent_.empty() && (recent_.bytes() > recent_target_bytes_ || frequent_.empty());
  EntryQueue& queue = from_recent ? recent_ : frequent_;
  PolicyEntry* victim = queue.oldest();
  if (victim == nullptr) return nullptr;
  queue.unlink(*victim);
  ghosts_.push_newest(from_recent ? kRecentGhosts : kFrequentGhosts, victim->name_hash,
                      victim->size_bytes);
  trim_ghosts();
  queue.prefetch_oldest();
  if (!queue.empty()) ghosts_.prefetch(queue.oldest()->name_hash);
  return victim;
}

void ArcPolicy::on_capacity() {
  recent_target_bytes_ = std::min(recent_target_bytes_, queue_capacity_bytes());
}

void ArcPolicy::trim_ghosts() {
  // What a call leaves over the next one trims; sixteen small names may have to go for a large one.
  constexpr int kMostDropped = 16;
  const std::uint64_t capacity = queue_capacity_bytes();
  for (int dropped = 0; dropped < kMostDropped; ++dropped) {
    const std::uint64_t recent = recent_.bytes() + ghosts_.bytes_of(kRecentGhosts);
    const std::uint64_t frequent = frequent_.bytes() + ghosts_.bytes_of(kFrequentGhosts);
    if (recent > capacity && ghosts_.size_of(kRecentGhosts) > 0) {
      ghosts_.drop_oldest(kRecentGhosts);
    } else if (recent + frequent > 2 * capacity && ghosts_.size_of(kFrequentGhosts) > 0) {
      ghosts_.drop_oldest(kFrequentGhosts);
    } else {
      return;
    }
  }
}

}  // namespace nearfield::cache
