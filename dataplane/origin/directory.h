// OriginDirectory: one immutable reading of the configuration of origins, shared by all workers. A
// reload makes a new one and hands it to every worker's client; calls under way finish on the one
// they began with.
//
// What a server has learnt (health, statistics) outlives a reload as long as its group's name and
// host:port stay. A group that did not change at all, nor its files of certificates and keys, is
// the very same object in both, so that its kept connections stay, too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/origin/config.h"
#include "dataplane/origin/health.h"
#include "dataplane/origin/resolver.h"
#include "dataplane/origin/statistics.h"
#include "dataplane/tls/client_settings.h"

namespace nearfield::origin {

// One server of one group, as calls see it. Settings are constant; the rest is for any thread.
struct Origin {
  OriginServer server;
  std::string name;  // "group/host:port"
  std::shared_ptr<OriginHealth> health;
  std::shared_ptr<OriginStatistics> statistics;
};

struct OriginGroupEntry {
  OriginGroup config;
  std::vector<Origin> origins;  // in the order of config.servers
  // What its https servers are asked to prove; null without such servers.
  std::shared_ptr<const tls::ClientSettings> tls;
  std::string tls_files;  // which versions of its files `tls` was made from
};

// What a directory with https servers needs from its surroundings.
struct OriginTlsSetup {
  // The workers' clients have a connector (HttpOriginOptions); without, https is refused.
  bool available = false;
  WallTime now{};  // certificates are judged by it
};

class OriginDirectory {
 public:
  // Fails with what validate() says, or when a file of certificates or keys cannot be used: its
  // name is in the message. `previous` (may be null) lends what did not change. `listener` is for
  // servers that are new; those that stay keep theirs. Reads files: not on a worker.
  static Result<std::shared_ptr<const OriginDirectory>> create(
      std::vector<OriginGroup> groups, std::shared_ptr<Resolver> resolver,
      const HealthListener& listener, const OriginDirectory* previous = nullptr,
      const OriginTlsSetup& tls = {});

  // For the log, each time a directory is made: what is allowed but unwise, or will end soon.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Of the certificates this node shows to origins.
  std::vector<tls::CertificateExpiry> expiries() const;

  // The group that serves `authority` (host or host:port, lower case; may be empty); null when none
  // does.
  std::shared_ptr<const OriginGroupEntry> find(std::string_view authority) const;
  const std::vector<std::shared_ptr<const OriginGroupEntry>>& groups() const { return groups_; }
  const std::shared_ptr<Resolver>& resolver() const { return resolver_; }

 private:
  OriginDirectory() = default;
  const std::shared_ptr<const OriginGroupEntry>* find_pattern(std::string_view pattern) const;

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  std::vector<std::shared_ptr<const OriginGroupEntry>> groups_;
  std::unordered_map<std::string, std::shared_ptr<const OriginGroupEntry>, TextHash,
                     std::equal_to<>>
      by_pattern_;  // "*.example" under ".example"
  std::vector<std::string> warnings_;
  std::shared_ptr<Resolver> resolver_;
};

// Which origin a call goes to next: healthy ones of the lowest priority number, by weight; `tried`
// (bit i: origins[i] was tried by this call) is avoided while there is another. A call that may be
// repeated is used to probe an ejected server of a better priority.
struct OriginChoice {
  const Origin* origin = nullptr;  // null: nobody may be asked now
  std::size_t index = 0;
  bool probe = false;  // admitted as the probe
};
OriginChoice choose_origin(const OriginGroupEntry& group, std::uint64_t tried, bool repeatable,
                           MonotonicTime now, std::uint64_t random);

}  // namespace nearfield::origin
