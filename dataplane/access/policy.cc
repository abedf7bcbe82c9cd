#include "dataplane/access/policy.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <fstream>
#include <optional>
#include <utility>

#include "dataplane/access/jwk_set.h"
#include "dataplane/access/policy_parts.h"
#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

constexpr std::size_t kMaximumRules = 4096;
constexpr std::size_t kMaximumKeySets = 256;
constexpr std::size_t kMaximumNames = 32;  // different names of token places, of each sort
constexpr std::size_t kMaximumPathBytes = 1024;
constexpr std::size_t kMaximumWindows = 1024;

using Parts = AccessPolicy::Parts;

// The bytes of a key file; wiped by whoever asked.
Result<std::string> read_file(const std::string& path, const std::string& what) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return failure(what + ": cannot open " + path + " (" + std::strerror(errno) +
                   "): check that it exists and that the node may read it");
  }
  std::string text(kMaximumKeySetBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return failure(what + ": cannot read " + path);
  const auto size = static_cast<std::size_t>(file.gcount());
  if (size > kMaximumKeySetBytes) {
    return failure(what + ": " + path + " is larger than 256 KiB, which no key set is");
  }
  text.resize(size);
  return text;
}

std::span<std::uint8_t> writable(std::string& text) {
  return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

Result<void> append_keys(KeySet& set, std::string_view json, const std::string& origin) {
  auto keys = parse_jwk_set(json, origin);
  if (!keys) return std::unexpected(keys.error());
  for (auto& key : *keys) {
    const bool is_taken = std::ranges::any_of(set.keys, [&key](const auto& other) {
      return !key->id().empty() && other->id() == key->id() &&
             other->algorithm() == key->algorithm() && other->fingerprint() != key->fingerprint();
    });
    if (is_taken) {
      return failure(origin + ": the kid '" + key->id() +
                     "' is another key in the same set already: give each its own");
    }
    set.keys.push_back(std::move(key));
  }
  if (set.keys.size() > kMaximumKeysInSet) {
    return failure("key set '" + set.name + "' has more than 64 keys: split it");
  }
  return {};
}

Result<std::shared_ptr<const KeySet>> make_key_set(const KeySetOptions& options) {
  if (options.name.empty()) return failure("a key set has no name: rules refer to it by one");
  auto set = std::make_shared<KeySet>();
  set->name = options.name;
  set->issuers = options.issuers;
  set->issuer_required = options.issuer_required;
  const std::string what = "key set '" + options.name + "'";
  for (const std::string& path : options.files) {
    auto text = read_file(path, what);
    if (!text) return std::unexpected(text.error());
    const auto appended = append_keys(*set, *text, std::format("{}, file {}", what, path));
    wipe(writable(*text));
    if (!appended) return std::unexpected(appended.error());
  }
  for (const std::string& text : options.inline_sets) {
    if (const auto appended = append_keys(*set, text, what + ", given inline"); !appended) {
      return std::unexpected(appended.error());
    }
  }
  if (set->keys.empty()) {
    return failure(what +
                   " has no key that can be used: put an EC P-256 (ES256) or oct (HS256) "
                   "key in it, or remove it");
  }
  return set;
}

Result<std::vector<Territory>> read_territories(const std::vector<std::string>& codes,
                                                const std::string& what) {
  std::vector<Territory> territories;
  for (const std::string& code : codes) {
    const auto territory = Territory::parse(code);
    if (!territory) {
      return failure(std::format(
          "{}: '{}' is no territory: write a code that ISO 3166-1 alpha-2 assigns, e.g. "
          "'DE', or 'GB' for the United Kingdom",
          what, code));
    }
    territories.push_back(*territory);
  }
  return territories;
}

Result<std::string> read_host(const RuleOptions& options, const std::string& what) {
  std::string host;
  http::append_lower(host, options.host);
  // The root's label changes nothing, and split_authority() leaves it out as well.
  if (host.ends_with('.') && host != "*.") host.pop_back();
  const std::string_view rest = host.starts_with("*.") ? std::string_view(host).substr(2) : host;
  const bool is_name =
      !rest.empty() && rest.size() <= 253 && !rest.starts_with('.') && !rest.ends_with('.') &&
      std::ranges::none_of(rest, [](char c) {
        return std::string_view("*/?#@ ").contains(c) || static_cast<unsigned char>(c) <= 0x20;
      });
  const bool has_port = !rest.starts_with('[') && rest.contains(':');
  if (host != "*" && (!is_name || has_port)) {
    return failure(what + ": host '" + options.host +
                   "' is neither a name without port, nor '*.name', nor '*'");
  }
  return host;
}

Result<std::string> read_path(const RuleOptions& options, const std::string& what) {
  std::string path;
  append_normal_path(path, options.path);
  if (path.size() > kMaximumPathBytes || path.contains('?') || is_ambiguous_path(path)) {
    return failure(what + ": path '" + options.path +
                   "' is no prefix of paths: write whole segments from '/' on, without '..', "
                   "doubled or encoded slashes, and without '?'");
  }
  return path;
}

Result<std::vector<Window>> read_licence(const RuleOptions& options, const std::string& what) {
  std::vector<Window> windows;
  if (options.licence.size() > kMaximumWindows) {
    return failure(what + ": more than 1,024 licence windows: split the rule by path");
  }
  for (const LicenceWindow& each : options.licence) {
    Window window;
    for (const auto& [text, time] :
         {std::pair(&each.from, &window.from), {&each.until, &window.until}}) {
      if (text->empty()) continue;
      const auto parsed = parse_rfc3339(*text);
      if (!parsed) {
        return failure(what + ": '" + *text +
                       "' is no time of a licence: write RFC 3339, e.g. '2026-12-01T00:00:00Z'");
      }
      *time = *parsed;
    }
    if (window.from >= window.until) {
      return failure(what + ": the licence from " + each.from + " until " + each.until +
                     " is empty: 'from' must be earlier");
    }
    auto territories = read_territories(each.territories, what + ", licence");
    if (!territories) return std::unexpected(territories.error());
    window.territories = *std::move(territories);
    windows.push_back(std::move(window));
  }
  return windows;
}

// The key set that the ring has this key from already, under whatever id; null: no other has it.
const KeySet* other_set_with(const KeyRing& ring, const Key& key, const KeySet& set) {
  const auto found = std::ranges::find_if(ring.keys, [&](const TrustedKey& each) {
    return each.set.get() != &set && each.key->material() == key.material();
  });
  return found == ring.keys.end() ? nullptr : found->set.get();
}

Result<void> add_keys(Rule& rule, const RuleOptions& options, const Parts& parts,
                      const std::string& what) {
  if (options.key_sets.empty()) {
    return failure(what + " is signed but names no key set: nobody could ever listen");
  }
  std::vector<std::uint8_t> identity;
  for (const std::string& name : options.key_sets) {
    const auto set = std::ranges::find_if(parts.key_sets,
                                          [&name](const auto& each) { return each->name == name; });
    if (set == parts.key_sets.end()) {
      return failure(std::format("{} names key set '{}', which there is not", what, name));
    }
    if (std::ranges::count(options.key_sets, name) > 1) {
      return failure(std::format("{} names key set '{}' twice: once is enough", what, name));
    }
    for (const auto& key : (*set)->keys) {
      if (const KeySet* other = other_set_with(rule.ring, *key, **set)) {
        // A token's signature could not tell whose issuers it must name.
        return failure(std::format(
            "{}: key '{}' of key set '{}' is in key set '{}' as well: leave it in one of those "
            "that the rule names, with its private part if it has one",
            what, key->id(), name, other->name));
      }
      if (key->can_verify()) {
        rule.ring.keys.push_back({key, *set});
        identity.insert(identity.end(), key->fingerprint().begin(), key->fingerprint().end());
      } else {
        rule.ring.sealing.push_back(key);
        identity.insert(identity.end(), key->fingerprint().begin(), key->fingerprint().end());
      }
      const bool is_wanted = !options.renewal_key.empty() && key->id() == options.renewal_key;
      if (!is_wanted || !key->can_sign()) continue;
      if (rule.renewal_key != nullptr && rule.renewal_key->material() != key->material()) {
        return failure(what + ": renewal key '" + options.renewal_key +
                       "' names two different keys of its key sets: give each its own kid");
      }
      rule.renewal_key = key;
    }
  }
  rule.ring.id = sha256(identity);
  if (rule.ring.keys.empty()) {
    return failure(what + " names key sets without a key that verifies (ES256 or HS256)");
  }
  if (!options.renewal_key.empty() && rule.renewal_key == nullptr) {
    return failure(what + ": renewal key '" + options.renewal_key +
                   "' is in none of its key sets, or has no private part (\"d\")");
  }
  return {};
}

Result<void> check_places(const Rule& rule, const std::string& what) {
  for (const std::string* name : {&rule.uri_signing.attribute, &rule.uri_signing.cookie,
                                  &rule.cat.header, &rule.cat.cookie, &rule.cat.parameter}) {
    if (name->empty() || http::is_token(*name)) continue;
    return failure(what + ": '" + *name +
                   "' is no name for a place of tokens: use letters, digits, '-' and '_'");
  }
  const bool has_place =
      (rule.takes_signed_uris &&
       !(rule.uri_signing.attribute.empty() && rule.uri_signing.cookie.empty())) ||
      (rule.takes_cats &&
       !(rule.cat.header.empty() && rule.cat.cookie.empty() && rule.cat.parameter.empty()));
  if (!has_place) {
    return failure(what +
                   " is signed but takes tokens from nowhere: name a kind of token and a "
                   "place (parameter, cookie or header)");
  }
  return {};
}

Result<std::unique_ptr<Rule>> make_rule(const RuleOptions& options, const Parts& parts) {
  auto rule = std::make_unique<Rule>();
  rule->name = options.name.empty() ? options.host + options.path : options.name;
  const std::string what = "access rule '" + rule->name + "'";
  auto host = read_host(options, what);
  if (!host) return std::unexpected(host.error());
  rule->host = *std::move(host);
  auto path = read_path(options, what);
  if (!path) return std::unexpected(path.error());
  rule->path = *std::move(path);
  rule->mode = options.mode;
  if (options.mode == Mode::kSigned) {
    rule->takes_signed_uris = std::ranges::contains(options.tokens, TokenKind::kUriSigning);
    rule->takes_cats = std::ranges::contains(options.tokens, TokenKind::kCat);
    rule->audiences = options.audiences;
    rule->uri_signing = options.uri_signing;
    rule->cat = options.cat;
    rule->expiry_required = options.expiry_required;
    rule->uri_required = options.uri_required;
    rule->renewal_issuer = options.renewal_issuer;
    if (const auto added = add_keys(*rule, options, parts, what); !added) {
      return std::unexpected(added.error());
    }
    if (const auto checked = check_places(*rule, what); !checked) {
      return std::unexpected(checked.error());
    }
  }
  auto allowed = read_territories(options.allowed_territories, what);
  if (!allowed) return std::unexpected(allowed.error());
  rule->allowed_territories = *std::move(allowed);
  auto refused = read_territories(options.refused_territories, what);
  if (!refused) return std::unexpected(refused.error());
  rule->refused_territories = *std::move(refused);
  rule->unknown_territory_allowed = options.unknown_territory_allowed;
  rule->territory_source = options.territory_source;
  rule->territory_claim = options.territory_claim;
  auto licence = read_licence(options, what);
  if (!licence) return std::unexpected(licence.error());
  rule->licence = *std::move(licence);
  if (rule->looks_at_territory()) {
    const bool from_token = rule->territory_source == TerritorySource::kToken;
    if (from_token && rule->mode != Mode::kSigned) {
      return failure(what + " takes territories from tokens but no tokens: make it signed");
    }
    if (!from_token && parts.territories == nullptr) {
      return failure(what +
                     " has territories but there is no territory_database: give one, or take "
                     "territories from tokens");
    }
  }
  return rule;
}

Result<void> check_clock(const ClockOptions& clock) {
  using std::chrono::seconds;
  if (clock.cat_leeway < seconds(0) || clock.cat_leeway > seconds(300)) {
    return failure("access clock: cat_leeway is 0 to 300 s");
  }
  if (clock.maximum_token_lifetime < seconds(0)) {
    return failure("access clock: maximum_token_lifetime is 0 (no limit) or more");
  }
  if (clock.untrusted_tolerance < seconds(0) ||
      clock.untrusted_tolerance > std::chrono::hours(24)) {
    return failure("access clock: untrusted_tolerance is 0 to 24 h");
  }
  return {};
}

void add_name(std::vector<std::string>& names, const std::string& name) {
  if (!name.empty() && !std::ranges::contains(names, name)) names.push_back(name);
}

void collect_names(Parts& parts, const Rule& rule) {
  const auto add = [&parts](std::vector<std::string>& names, const std::string& name) {
    add_name(names, name);
    add_name(parts.secret_names, name);
  };
  if (rule.takes_signed_uris) {
    add(parts.names.attributes, rule.uri_signing.attribute);
    add(parts.cookies, rule.uri_signing.cookie);
  }
  if (rule.takes_cats) {
    add(parts.names.parameters, rule.cat.parameter);
    add(parts.cookies, rule.cat.cookie);
    add(parts.headers, rule.cat.header);
  }
}

}  // namespace

AccessPolicy::AccessPolicy(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
AccessPolicy::~AccessPolicy() = default;

Result<std::shared_ptr<const AccessPolicy>> AccessPolicy::make(const AccessOptions& options) {
  std::shared_ptr<const PrefixDatabase> territories;
  std::shared_ptr<const PrefixDatabase> networks;
  if (!options.territory_database.empty()) {
    auto opened = open_prefix_database(options.territory_database);
    if (!opened) return std::unexpected(opened.error());
    territories = *std::move(opened);
  }
  if (!options.network_database.empty()) {
    auto opened = open_prefix_database(options.network_database);
    if (!opened) return std::unexpected(opened.error());
    networks = *std::move(opened);
  }
  return make(options, std::move(territories), std::move(networks));
}

Result<std::shared_ptr<const AccessPolicy>> AccessPolicy::make(
    const AccessOptions& options, std::shared_ptr<const PrefixDatabase> territories,
    std::shared_ptr<const PrefixDatabase> networks) {
  if (options.rules.size() > kMaximumRules) return failure("more than 4,096 access rules");
  if (options.key_sets.size() > kMaximumKeySets) return failure("more than 256 key sets");
  if (options.unmatched == Mode::kSigned) {
    return failure(
        "access: what no rule matches is open or denied; for signed write a rule with "
        "host '*' and path '/'");
  }
  if (const auto checked = check_clock(options.clock); !checked) {
    return std::unexpected(checked.error());
  }
  auto parts = std::make_unique<Parts>();
  parts->unmatched = options.unmatched;
  parts->clock = options.clock;
  parts->networks = networks != nullptr ? std::move(networks) : territories;
  parts->territories = std::move(territories);
  for (const KeySetOptions& each : options.key_sets) {
    auto set = make_key_set(each);
    if (!set) return std::unexpected(set.error());
    if (std::ranges::any_of(parts->key_sets,
                            [&set](const auto& other) { return other->name == (*set)->name; })) {
      return failure("there are two key sets '" + each.name + "': give each its own name");
    }
    parts->key_sets.push_back(*std::move(set));
  }
  for (const RuleOptions& each : options.rules) {
    auto rule = make_rule(each, *parts);
    if (!rule) return std::unexpected(rule.error());
    if (!parts->index.add((*rule)->host, (*rule)->path, rule->get())) {
      return failure("access rule '" + (*rule)->name + "': there is another for host '" +
                     (*rule)->host + "' and path '" + (*rule)->path + "'");
    }
    collect_names(*parts, **rule);
    parts->rules.push_back(*std::move(rule));
  }
  if (std::max({parts->names.attributes.size(), parts->names.parameters.size(),
                parts->headers.size(), parts->cookies.size()}) > kMaximumNames) {
    return failure(
        "access rules name more than 32 different places of one sort for tokens: use the "
        "same names");
  }
  return std::shared_ptr<const AccessPolicy>(new AccessPolicy(std::move(parts)));
}

std::shared_ptr<const AccessPolicy> AccessPolicy::open() {
  return std::shared_ptr<const AccessPolicy>(new AccessPolicy(std::make_unique<Parts>()));
}

FoundRule find_rule(const AccessPolicy::Parts& parts, std::string_view host,
                    std::string_view path) {
  if (!parts.index.knows(host)) return {};
  if (is_ambiguous_path(path)) return {nullptr, true};
  std::string normal;
  if (path.contains('%')) {
    append_normal_path(normal, path);
    path = normal;
  }
  const Rule* rule = parts.index.find(host, path);
  const bool has_parameters = path.contains(';') || path.contains("%3B");
  if (has_parameters && parts.index.find(host, without_path_parameters(path)) != rule) {
    return {nullptr, true};
  }
  return {rule, false};
}

bool AccessPolicy::is_open() const { return parts_->rules.empty(); }

bool AccessPolicy::trusts_clock(bool is_synchronised, WallTime now) const {
  return is_synchronised && now >= parts_->clock.not_before;
}

const std::vector<std::string>& AccessPolicy::token_headers() const { return parts_->headers; }

std::string AccessPolicy::summary() const {
  if (is_open()) return "no access rules: everything is open";
  std::size_t keys = 0;
  for (const auto& set : parts_->key_sets) keys += set->keys.size();
  std::string text = std::to_string(parts_->rules.size()) + " access rules, " +
                     std::to_string(parts_->key_sets.size()) + " key sets with " +
                     std::to_string(keys) + " keys";
  if (parts_->territories != nullptr) {
    text += ", territories by " + parts_->territories->description();
  }
  if (parts_->networks != nullptr && parts_->networks != parts_->territories) {
    text += ", networks by " + parts_->networks->description();
  }
  return text;
}

}  // namespace nearfield::access
