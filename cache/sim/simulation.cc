// See simulation.h.
#include "cache/sim/simulation.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>

#include "cache/sim/belady.h"
#include "cache/sim/mix.h"

namespace nearfield::cache::sim {

namespace {

constexpr std::size_t kBatch = 65536;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Identifiers met before; open addressing, at most half full.
class SeenIds {
 public:
  // True when `id` is new.
  bool add(std::uint64_t id) {
    if (2 * (size_ + 1) > hashes_.size()) grow();
    // 0 marks a free place; the one identifier that hashes to it is kept beside the table.
    const std::uint64_t hash = mix64(id);
    if (hash == 0) return !std::exchange(seen_zero_, true);
    std::uint64_t& place = find(hash);
    if (place == hash) return false;
    place = hash;
    ++size_;
    return true;
  }

 private:
  std::uint64_t& find(std::uint64_t hash) {
    const std::uint64_t mask = hashes_.size() - 1;
    std::uint64_t i = hash & mask;
    while (hashes_[i] != 0 && hashes_[i] != hash) i = (i + 1) & mask;
    return hashes_[i];
  }
  void grow() {
    std::vector<std::uint64_t> old(hashes_.size() * 2);
    old.swap(hashes_);
    for (std::uint64_t hash : old) {
      if (hash != 0) find(hash) = hash;
    }
  }

  std::vector<std::uint64_t> hashes_ = std::vector<std::uint64_t>(1024);
  std::uint64_t size_ = 0;
  bool seen_zero_ = false;
};

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double mean_size(const TraceFacts& trace) {
  return std::max(1.0,
                  static_cast<double>(trace.footprint_bytes) / static_cast<double>(trace.objects));
}

// How many entries a policy at this capacity is made for: as many as fit if they were four times
// smaller than the trace's mean object. A node uses its extent size instead, which is generous in
// the same way.
std::uint64_t entries_for(std::uint64_t capacity_bytes, const TraceFacts& trace) {
  const double fit = 4 * static_cast<double>(capacity_bytes) / mean_size(trace);
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::min(fit, 0x1p40)), 64,
                                   std::clamp<std::uint64_t>(trace.objects, 64, kMaxPolicyEntries));
}

struct Run {
  SimulationRow row;
  Replay replay;
};

Result<std::vector<Run>> make_runs(const TraceFacts& trace, const SimulationOptions& options) {
  std::vector<Run> runs;
  for (const SizeOption& size : options.sizes) {
    const std::uint64_t capacity = size.bytes_of(trace.footprint_bytes);
    const auto expected =
        std::min(trace.objects,
                 static_cast<std::uint64_t>(static_cast<double>(capacity) / mean_size(trace)));
    const PolicyLimits limits{.capacity_bytes = capacity,
                              .max_entries = entries_for(capacity, trace),
                              .largest_entry_share = options.largest_entry_share};
    for (const std::string& name : options.policies) {
      auto policy = make_policy(name, limits);
      if (!policy) return std::unexpected(policy.error());
      SimulationRow row{.policy = name, .size = size, .capacity_bytes = capacity};
      row.metadata_bytes_per_entry =
          static_cast<double>(sizeof(PolicyEntry)) +
          static_cast<double>((*policy)->table_bytes()) / static_cast<double>(limits.max_entries);
      runs.push_back({std::move(row), Replay(std::move(*policy), expected)});
    }
  }
  return runs;
}

Result<void> add_belady(TraceSource& source, const SimulationOptions& options,
                        SimulationResult& result, const Progress& progress) {
  if (result.trace.requests >= std::numeric_limits<std::uint32_t>::max()) {
    return failure(
        "the trace is too long for Belady, which keeps it in memory; leave --belady out");
  }
  if (auto again = source.rewind(); !again) return again;
  const auto requests = read_all(source);
  if (!requests) return std::unexpected(requests.error());
  std::uint64_t done = 0;
  for (const SizeOption& size : options.sizes) {
    progress("belady", done++ * requests->size(), options.sizes.size() * requests->size());
    const std::uint64_t capacity = size.bytes_of(result.trace.footprint_bytes);
    SimulationRow row{.policy = "belady", .size = size, .capacity_bytes = capacity};
    const double before = cpu_seconds();
    const auto like_the_others =
        make_policy(kDefaultPolicy, {.capacity_bytes = capacity,
                                     .max_entries = 1,
                                     .largest_entry_share = options.largest_entry_share});
    if (!like_the_others) return std::unexpected(like_the_others.error());
    row.counts = run_belady(*requests, capacity, (*like_the_others)->largest_entry_bytes());
    row.cpu_seconds = cpu_seconds() - before;
    // After the last row of its size.
    const auto place =
        std::ranges::find(result.rows.rbegin(), result.rows.rend(), size.text,
                          [](const SimulationRow& other) { return other.size.text; });
    result.rows.insert(place.base(), std::move(row));
  }
  return {};
}

}  // namespace

double SimulationRow::request_miss_ratio() const { return ratio(counts.misses, counts.requests); }
double SimulationRow::byte_miss_ratio() const {
  return ratio(counts.miss_bytes, counts.request_bytes);
}
double SimulationRow::requests_per_second() const {
  return cpu_seconds > 0 ? static_cast<double>(counts.requests) / cpu_seconds : 0;
}

Result<TraceFacts> measure_trace(TraceSource& source, const Progress& progress) {
  if (auto again = source.rewind(); !again) return std::unexpected(again.error());
  TraceFacts facts;
  SeenIds seen;
  std::vector<Request> batch(kBatch);
  for (;;) {
    const auto got = source.read(batch);
    if (!got) return std::unexpected(got.error());
    if (*got == 0) break;
    if (facts.requests == 0) facts.first_second = batch[0].time_seconds;
    for (std::size_t i = 0; i < *got; ++i) {
      facts.request_bytes += batch[i].size_bytes;
      if (seen.add(batch[i].id)) {
        ++facts.objects;
        facts.footprint_bytes += batch[i].size_bytes;
      }
    }
    facts.last_second = batch[*got - 1].time_seconds;
    facts.requests += *got;
    progress("measuring the trace", facts.requests, source.total_requests().value_or(0));
  }
  if (facts.requests == 0)
    return failure("the trace has no requests; give it more time or listeners");
  return facts;
}

Result<SimulationResult> simulate(TraceSource& source, const SimulationOptions& options,
                                  const Progress& progress) {
  SimulationResult result;
  auto facts = measure_trace(source, progress);
  if (!facts) return std::unexpected(facts.error());
  result.trace = *facts;
  auto runs = make_runs(*facts, options);
  if (!runs) return std::unexpected(runs.error());
  if (auto again = source.rewind(); !again) return std::unexpected(again.error());
  std::vector<Request> batch(kBatch);
  for (std::uint64_t done = 0;;) {
    const auto got = source.read(batch);
    if (!got) return std::unexpected(got.error());
    if (*got == 0) break;
    for (Run& run : *runs) {
      const double before = cpu_seconds();
      run.replay.run(std::span(batch).first(*got));
      run.row.cpu_seconds += cpu_seconds() - before;
    }
    done += *got;
    progress("replaying", done, facts->requests);
  }
  for (Run& run : *runs) {
    run.row.counts = run.replay.counts();
    result.rows.push_back(std::move(run.row));
  }
  if (options.belady) {
    runs->clear();
    if (auto added = add_belady(source, options, result, progress); !added) {
      return std::unexpected(added.error());
    }
  }
  return result;
}

}  // namespace nearfield::cache::sim
