// Rules as they are in force: keys found, times and territories parsed, hosts and paths indexed so
// that the search costs the length of host and path and not the number of rules.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/access/key.h"
#include "dataplane/access/options.h"
#include "dataplane/access/prefix_database.h"

namespace nearfield::access {

struct KeySet {
  std::string name;
  std::vector<std::string> issuers;
  bool issuer_required = false;
  std::vector<std::shared_ptr<const Key>> keys;
};

struct TrustedKey {
  std::shared_ptr<const Key> key;
  std::shared_ptr<const KeySet> set;
};

// All keys that one rule trusts.
struct KeyRing {
  std::vector<TrustedKey> keys;
  std::vector<std::shared_ptr<const Key>> sealing;  // those that open encrypted claims
  // The same for rings of the same keys: names what was found bad under it.
  Digest id{};

  const TrustedKey* find(const Digest& fingerprint) const;
  // Whether what a key of this fingerprint opened counts.
  bool opens(const Digest& fingerprint) const;
  bool has(Algorithm algorithm) const;
};

struct Window {
  WallTime from = WallTime::min();
  WallTime until = WallTime::max();
  std::vector<Territory> territories;
};

struct Rule {
  std::string name;
  std::string host;
  std::string path;
  Mode mode = Mode::kDenied;
  bool takes_signed_uris = false;
  bool takes_cats = false;
  KeyRing ring;
  std::vector<std::string> audiences;
  UriSigningPlaces uri_signing;
  CatPlaces cat;
  bool expiry_required = true;
  bool uri_required = true;
  std::shared_ptr<const Key> renewal_key;
  std::string renewal_issuer;
  std::vector<Territory> allowed_territories;
  std::vector<Territory> refused_territories;
  bool unknown_territory_allowed = false;
  TerritorySource territory_source = TerritorySource::kClient;
  std::string territory_claim;
  std::vector<Window> licence;

  bool looks_at_territory() const;
};

// The rules of one host by path: a tree of segments.
class PathTree {
 public:
  // False when there is one for this path already. `path` starts with '/', in normal form.
  bool add(std::string_view path, const Rule* rule);
  const Rule* find(std::string_view path) const;

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
    const Rule* here = nullptr;   // "/a": the segment itself and what is below
    const Rule* below = nullptr;  // "/a/": what is below only
  };
  Node root_;
};

class RuleIndex {
 public:
  bool add(std::string_view host, std::string_view path, const Rule* rule);
  // `host` in lower case without port; `path` in normal form, without query. Among the rules that
  // match, the one of the most exact host, then of the longest path.
  const Rule* find(std::string_view host, std::string_view path) const;
  // Whether any rule is for this host.
  bool knows(std::string_view host) const;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Hosts = std::unordered_map<std::string, PathTree, TextHash, std::equal_to<>>;
  // Calls visit(tree) from the most exact pattern on until it returns true.
  template <typename Visit>
  bool each_tree(std::string_view host, Visit visit) const;

  Hosts exact_;
  Hosts below_;  // "*.example" under "example"
  std::optional<PathTree> any_;
};

// RFC 3339: "2026-12-01T00:00:00Z", "2026-12-01T01:00:00+01:00"; fractions of a second are refused.
std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace nearfield::access
