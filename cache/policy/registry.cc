// make_policy(): the one place that knows every policy.
#include <array>
#include <string>

#include "cache/policy/arc.h"
#include "cache/policy/lru.h"
#include "cache/policy/policy.h"
#include "cache/policy/s3fifo.h"
#include "cache/policy/s3tinylfu.h"
#include "cache/policy/sieve.h"
#include "cache/policy/wtinylfu.h"

namespace nearfield::cache {

namespace {

template <typename Policy>
std::unique_ptr<EvictionPolicy> make(const PolicyLimits& limits) {
  return std::make_unique<Policy>(limits);
}

struct Maker {
  std::string_view name;
  std::unique_ptr<EvictionPolicy> (*make)(const PolicyLimits&);
};

constexpr std::array kMakers = {
    Maker{S3TinyLfuPolicy::kName, make<S3TinyLfuPolicy>},
    Maker{S3FifoPolicy::kName, make<S3FifoPolicy>},
    Maker{LruPolicy::kName, make<LruPolicy>},
    Maker{SievePolicy::kName, make<SievePolicy>},
    Maker{WTinyLfuPolicy::kName, make<WTinyLfuPolicy>},
    Maker{ArcPolicy::kName, make<ArcPolicy>},
};

constexpr auto kNames = [] {
  std::array<std::string_view, kMakers.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kMakers[i].name;
  return names;
}();

static_assert(kNames.front() == kDefaultPolicy);

}  // namespace

std::span<const std::string_view> policy_names() { return kNames; }

Result<std::unique_ptr<EvictionPolicy>> make_policy(std::string_view name,
                                                    const PolicyLimits& limits) {
  if (limits.max_entries < 1 || limits.max_entries > kMaxPolicyEntries) {
    return failure("an eviction policy cannot be made for " + std::to_string(limits.max_entries) +
                   " entries; use 1 to " + std::to_string(kMaxPolicyEntries));
  }
  if (limits.largest_entry_share &&
      !(*limits.largest_entry_share > 0 && *limits.largest_entry_share <= 1)) {
    return failure("an eviction policy cannot admit entries up to " +
                   std::to_string(*limits.largest_entry_share) +
                   " of the cache; use more than 0, at most 1");
  }
  for (const Maker& maker : kMakers) {
    if (maker.name == name) return maker.make(limits);
  }
  std::string known;
  for (std::string_view one : kNames) known += (known.empty() ? "" : ", ") + std::string(one);
  return failure("no eviction policy is called '" + std::string(name) + "'; use one of: " + known);
}

}  // namespace nearfield::cache
