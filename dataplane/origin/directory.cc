// Building a directory from a configuration and the one before; finding a group; choosing a server.
#include "dataplane/origin/directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <format>
#include <iterator>
#include <optional>
#include <utility>

#include "dataplane/http/authority.h"

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

// Which versions of the files `config` names there are now: equal text, equal files.
std::string versions_of_files(const OriginGroup& config) {
  if (!config.speaks_tls()) return {};
  const OriginTls& tls = config.tls;
  std::vector<std::string> files = {tls.certificate_file, tls.key_file};
  if (tls.verify) {
    files.push_back(tls.ca_file.empty() ? std::string(tls::ClientSettings::kSystemCaFile)
                                        : tls.ca_file);
  }
  std::string result;
  for (const std::string& file : files) {
    struct stat found{};
    if (file.empty() || ::stat(file.c_str(), &found) != 0) continue;
    result += std::format("{}:{}:{}:{}:{}.{};", file, found.st_dev, found.st_ino, found.st_size,
                          found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
  }
  return result;
}

Result<std::shared_ptr<const tls::ClientSettings>> client_settings(const OriginGroup& config,
                                                                   WallTime now) {
  tls::ClientOptions options;
  options.verify = config.tls.verify;
  options.ca_file = config.tls.ca_file;
  options.own = {.chain = config.tls.certificate_file, .key = config.tls.key_file};
  options.tls12 = config.tls.minimum_version == "1.2";
  for (const std::string& text : config.tls.pins) {
    const auto pin = tls::ClientSettings::parse_pin(text);
    if (!pin.has_value()) return std::unexpected(pin.error());
    options.pins.push_back(*pin);
  }
  auto made = tls::ClientSettings::make(options, now);
  if (!made.has_value()) {
    return failure(std::format("origin group '{}': tls: {}", config.name, made.error().message));
  }
  return made;
}

// Null when `old` is that group still.
Result<std::shared_ptr<const OriginGroupEntry>> make_entry(OriginGroup config,
                                                           const HealthListener& listener,
                                                           const OriginGroupEntry* old,
                                                           const OriginTlsSetup& tls) {
  std::string files = versions_of_files(config);  // before they are read
  if (old != nullptr && old->config == config && old->tls_files == files) return nullptr;
  auto made = std::make_shared<OriginGroupEntry>();
  if (config.speaks_tls()) {
    if (!tls.available) {
      return failure(std::format(
          "origin group '{}': servers has a url that begins with https, and TLS is not set up in "
          "this node: use http",
          config.name));
    }
    auto settings = client_settings(config, tls.now);
    if (!settings.has_value()) return std::unexpected(settings.error());
    made->tls = *std::move(settings);
    made->tls_files = std::move(files);
  }
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
  return made;
}

void add_warnings(std::vector<std::string>& warnings, const OriginGroupEntry& group, WallTime now) {
  if (group.tls == nullptr) return;
  const auto add = [&](const std::string& text) {
    warnings.push_back(std::format("origin group '{}': {}", group.config.name, text));
  };
  std::ranges::for_each(group.tls->warnings(), add);
  std::ranges::for_each(tls::expiry_warnings(group.tls->expiries(), now), add);
}

}  // namespace

Result<std::shared_ptr<const OriginDirectory>> OriginDirectory::create(
    std::vector<OriginGroup> groups, std::shared_ptr<Resolver> resolver,
    const HealthListener& listener, const OriginDirectory* previous, const OriginTlsSetup& tls) {
  if (auto good = validate(groups); !good.has_value()) return std::unexpected(good.error());
  std::shared_ptr<OriginDirectory> directory(new OriginDirectory);
  directory->resolver_ = std::move(resolver);
  for (OriginGroup& config : groups) {
    const OriginGroupEntry* old = group_named(previous, config.name);
    auto made = make_entry(std::move(config), listener, old, tls);
    if (!made.has_value()) return std::unexpected(made.error());
    std::shared_ptr<const OriginGroupEntry> entry = *std::move(made);
    if (entry == nullptr) {
      for (const auto& group : previous->groups()) {
        if (group.get() == old) entry = group;
      }
    }
    add_warnings(directory->warnings_, *entry, tls.now);
    for (const std::string& host : entry->config.hosts) {
      const std::string_view key =
          host.starts_with("*.") ? std::string_view(host).substr(1) : std::string_view(host);
      directory->by_pattern_.emplace(key, entry);
    }
    directory->groups_.push_back(std::move(entry));
  }
  return directory;
}

std::vector<tls::CertificateExpiry> OriginDirectory::expiries() const {
  std::vector<tls::CertificateExpiry> result;
  for (const auto& group : groups_) {
    if (group->tls == nullptr) continue;
    std::ranges::move(group->tls->expiries(), std::back_inserter(result));
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
  std::string_view host = http::split_authority(authority).host;
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
