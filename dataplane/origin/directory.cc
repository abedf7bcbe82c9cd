// Building a directory from a configuration and the one before; finding a group; choosing a server.
#include "dataplane/origin/directory.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

namespace nearfield::origin {
namespace {

const OriginGroupEntry* group_named(const OriginDirectory* directory, std::string_view name) {
  if (directory == nullptr) return nullptr;
  for (const auto& group : directory->groups()) {
    if (group->config.name == name) return group.get();
  }
  return nullptr;
}

const Origin* server_named(const OriginGroupEntry* group, std::string_view name) {
  if (group == nullptr) return nullptr;
  for (const Origin& origin : group->origins) {
    if (origin.server.name() == name) return &origin;
  }
  return nullptr;
}

// Where the port begins, or the end. An IPv6 literal has its own colons.
std::size_t port_position(std::string_view authority) {
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  if (colon == std::string_view::npos) return authority.size();
  if (bracket != std::string_view::npos && colon < bracket) return authority.size();
  return colon;
}

}  // namespace

Result<std::shared_ptr<const OriginDirectory>> OriginDirectory::create(
    std::vector<OriginGroup> groups, std::shared_ptr<Resolver> resolver,
    const HealthListener& listener, const OriginDirectory* previous, const OriginTlsSetup& tls) {
  if (auto good = validate(groups); !good.has_value()) return std::unexpected(good.error());
  for (const OriginGroup& group : groups) {
    if (group.speaks_tls() && !tls.available) {
      return failure(std::format(
          "origin group '{}': servers has a url that begins with https, and TLS is not set up in "
          "this node: use http",
          group.name));
    }
  }
  std::shared_ptr<OriginDirectory> directory(new OriginDirectory);
  directory->resolver_ = std::move(resolver);
  for (OriginGroup& config : groups) {
    std::shared_ptr<const OriginGroupEntry> entry;
    const OriginGroupEntry* old = group_named(previous, config.name);
    if (old != nullptr && old->config == config) {
      for (const auto& group : previous->groups()) {
        if (group.get() == old) entry = group;
      }
    } else {
      auto made = std::make_shared<OriginGroupEntry>();
      for (const OriginServer& server : config.servers) {
        Origin origin{.server = server,
                      .name = std::format("{}/{}", config.name, server.name()),
                      .health = nullptr,
                      .statistics = nullptr};
        if (const Origin* same = server_named(old, server.name())) {
          origin.health = same->health;
          origin.statistics = same->statistics;
        } else {
          origin.health = std::make_shared<OriginHealth>(config.name, server.name(), listener);
          origin.statistics = std::make_shared<OriginStatistics>();
        }
        origin.health->configure(config.health);
        made->origins.push_back(std::move(origin));
      }
      made->config = std::move(config);
      entry = std::move(made);
    }
    for (const std::string& host : entry->config.hosts) {
      const std::string_view key =
          host.starts_with("*.") ? std::string_view(host).substr(1) : std::string_view(host);
      directory->by_pattern_.emplace(key, entry);
    }
    directory->groups_.push_back(std::move(entry));
  }
  return directory;
}

std::vector<std::string> OriginDirectory::warnings() const {
  std::vector<std::string> result;
  for (const auto& group : groups_) {
    if (group->config.speaks_tls() && !group->config.tls.verify) {
      result.push_back(
          std::format("origin group '{}': tls.verify is false: its https servers are not asked to "
                      "prove who they are",
                      group->config.name));
    }
  }
  return result;
}

const std::shared_ptr<const OriginGroupEntry>* OriginDirectory::find_pattern(
    std::string_view pattern) const {
  const auto found = by_pattern_.find(pattern);
  return found == by_pattern_.end() ? nullptr : &found->second;
}

std::shared_ptr<const OriginGroupEntry> OriginDirectory::find(std::string_view authority) const {
  if (authority.empty() || authority == "*" || authority.front() == '.') {
    const auto* all = find_pattern("*");
    return all == nullptr ? nullptr : *all;
  }
  if (const auto* exact = find_pattern(authority)) return *exact;
  std::string_view host = authority.substr(0, port_position(authority));
  if (host.ends_with('.')) host.remove_suffix(1);  // the root label changes nothing
  if (const auto* exact = host.empty() ? nullptr : find_pattern(host)) return *exact;
  // Longest suffix first; at most 127 labels.
  for (auto dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
    if (const auto* wildcard = find_pattern(host.substr(dot))) return *wildcard;
  }
  const auto* all = find_pattern("*");
  return all == nullptr ? nullptr : *all;
}

OriginChoice choose_origin(const OriginGroupEntry& group, std::uint64_t tried, bool repeatable,
                           MonotonicTime now, std::uint64_t random) {
  using Admission = OriginHealth::Admission;
  // What is best decides the class; its members share by weight: not tried, open (or a probe this
  // call can afford), priority.
  struct Rank {
    bool tried;
    bool last_resort;  // a probe by a call that cannot be repeated
    std::uint32_t priority;
    auto operator<=>(const Rank&) const = default;
  };
  // Admission changes under us when another worker takes the probe; then look again, at most once
  // for each server.
  for (std::size_t round = 0; round <= group.origins.size(); ++round) {
    Rank best{};
    std::uint64_t total_weight = 0;
    const auto rank_of = [&](std::size_t i) -> std::optional<Rank> {
      const Origin& origin = group.origins[i];
      const Admission admission = origin.health->admission(now);
      if (admission == Admission::closed) return std::nullopt;
      return Rank{.tried = ((tried >> i) & 1) != 0,
                  .last_resort = admission == Admission::probe && !repeatable,
                  .priority = origin.server.priority};
    };
    std::vector<std::pair<std::size_t, std::uint64_t>> candidates;  // index, weight
    for (std::size_t i = 0; i < group.origins.size(); ++i) {
      const auto rank = rank_of(i);
      if (!rank.has_value() || (!candidates.empty() && best < *rank)) continue;
      if (candidates.empty() || *rank < best) {
        candidates.clear();
        total_weight = 0;
        best = *rank;
      }
      candidates.emplace_back(i, group.origins[i].server.weight);
      total_weight += group.origins[i].server.weight;
    }
    if (candidates.empty()) return {};
    std::uint64_t drawn = random % total_weight;
    for (const auto& [index, weight] : candidates) {
      if (drawn >= weight) {
        drawn -= weight;
        continue;
      }
      const Origin& origin = group.origins[index];
      const Admission admission = origin.health->admit(now);
      if (admission == Admission::closed) break;
      return {.origin = &origin, .index = index, .probe = admission == Admission::probe};
    }
  }
  return {};
}

}  // namespace nearfield::origin
