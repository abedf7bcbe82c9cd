// See purge_log.h.
#include "cache/purge_log.h"

namespace nearfield::cache {

void PurgeLog::note(std::string_view text, bool is_prefix) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[count_ % kRemembered];
  entry.text.assign(text);
  entry.is_prefix = is_prefix;
  ++count_;
}

std::uint64_t PurgeLog::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

bool PurgeLog::purged_since(std::uint64_t count, std::string_view name) const {
  const std::lock_guard lock(mutex_);
  if (count_ - count > kRemembered) return true;
  for (std::uint64_t number = count; number < count_; ++number) {
    const Entry& entry = entries_[number % kRemembered];
    if (entry.is_prefix ? name.starts_with(entry.text) : name == entry.text) return true;
  }
  return false;
}

}  // namespace nearfield::cache
