// See belady.h.
#include "cache/sim/belady.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <unordered_map>

namespace nearfield::cache::sim {

namespace {

constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

// The position of each request's next one for the same object and size.
std::vector<std::uint32_t> next_requests(std::span<const Request> requests) {
  std::vector<std::uint32_t> next(requests.size());
  std::unordered_map<std::uint64_t, std::uint32_t> seen;
  for (std::size_t i = requests.size(); i-- > 0;) {
    auto [place, first] = seen.try_emplace(requests[i].id, kNever);
    const bool same = !first && requests[place->second].size_bytes == requests[i].size_bytes;
    next[i] = same ? place->second : kNever;
    place->second = static_cast<std::uint32_t>(i);
  }
  return next;
}

// An object held, by the request it waits for. Outlived ones (their request has come) are skipped
// when they surface.
struct Held {
  std::uint32_t next;
  std::uint64_t size_bytes;
  bool operator<(const Held& other) const { return next < other.next; }
};

}  // namespace

ReplayCounts run_belady(std::span<const Request> requests, std::uint64_t capacity_bytes,
                        std::uint64_t largest_bytes) {
  const std::vector<std::uint32_t> next = next_requests(requests);
  std::vector<bool> held(requests.size());  // by the position of the request waited for
  std::priority_queue<Held> latest;
  ReplayCounts counts;
  std::uint64_t used = 0;
  std::uint64_t entries = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::uint64_t size = requests[i].size_bytes;
    ++counts.requests;
    counts.request_bytes += size;
    if (held[i]) {
      used -= size;
      --entries;
    } else {
      ++counts.misses;
      counts.miss_bytes += size;
      if (size > largest_bytes) {
        ++counts.too_large;
        continue;
      }
    }
    if (next[i] == kNever) continue;
    // Let in as if there were room, then give up what is wanted last, be it the newcomer.
    held[next[i]] = true;
    latest.push({next[i], size});
    used += size;
    ++entries;
    while (used > capacity_bytes) {
      const Held last = latest.top();
      latest.pop();
      if (last.next <= i || !held[last.next]) continue;
      held[last.next] = false;
      used -= last.size_bytes;
      --entries;
      ++counts.evictions;
    }
    counts.most_entries = std::max(counts.most_entries, entries);
  }
  return counts;
}

}  // namespace nearfield::cache::sim
