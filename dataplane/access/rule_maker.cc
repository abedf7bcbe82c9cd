// Each key of a rule is judged on its own, so that all of them are told at once. What can only be
// judged with another key is left alone when that one is wrong.
#include "dataplane/access/rule_maker.h"

#include <algorithm>
#include <format>
#include <span>
#include <utility>

#include "dataplane/access/target.h"
#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

constexpr std::size_t kMaximumPathBytes = 1024;
constexpr std::size_t kMaximumWindows = 1024;

// '%' begins an escape, '&' ends a parameter and '#' a target: with one of them in its name a
// parameter would never be found.
bool is_name_of_place(std::string_view name) {
  return http::is_token(name) && name.find_first_of("%&#") == std::string_view::npos;
}

class RuleMaker {
 public:
  RuleMaker(const RuleOptions& options, const RuleSurroundings& surroundings,
            const std::string& place, const TellProblem& tell)
      : options_(options), surroundings_(surroundings), place_(place), tell_(tell) {
    rule_->name = options.name.empty() ? options.host + options.path : options.name;
    what_ = "access rule '" + rule_->name + "'";
  }

  std::unique_ptr<Rule> make() {
    read_host();
    read_path();
    rule_->mode = options_.mode;
    if (options_.mode == Mode::kSigned) {
      rule_->takes_signed_uris = std::ranges::contains(options_.tokens, TokenKind::kUriSigning);
      rule_->takes_cats = std::ranges::contains(options_.tokens, TokenKind::kCat);
      rule_->audiences = options_.audiences;
      rule_->uri_signing = options_.uri_signing;
      rule_->cat = options_.cat;
      rule_->expiry_required = options_.expiry_required;
      rule_->uri_required = options_.uri_required;
      rule_->renewal_issuer = options_.renewal_issuer;
      read_key_sets();
      check_places();
    }
    rule_->allowed_territories = territories(options_.allowed_territories, "allowed_territories");
    rule_->refused_territories = territories(options_.refused_territories, "refused_territories");
    rule_->unknown_territory_allowed = options_.unknown_territory_allowed;
    rule_->territory_source = options_.territory_source;
    rule_->territory_claim = options_.territory_claim;
    read_licence();
    check_source_of_territories();
    return std::move(rule_);
  }

 private:
  void complain(std::string_view key, std::string message) const {
    tell_(std::format("{}.{}", place_, key), std::move(message));
  }

  void read_host() {
    std::string host;
    http::append_lower(host, options_.host);
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
      return complain("host", what_ + ": host '" + options_.host +
                                  "' is neither a name without port, nor '*.name', nor '*'");
    }
    rule_->host = std::move(host);
  }

  void read_path() {
    std::string path;
    append_normal_path(path, options_.path);
    if (path.size() > kMaximumPathBytes || path.contains('?') || is_ambiguous_path(path)) {
      return complain("path",
                      what_ + ": path '" + options_.path +
                          "' is no prefix of paths: write whole segments from '/' on, without "
                          "'..', doubled or encoded slashes, and without '?'");
    }
    rule_->path = std::move(path);
  }

  void read_key_sets() {
    const auto& names = options_.key_sets;
    if (names.empty()) {
      return complain("key_sets",
                      what_ + " is signed but names no key set: nobody could ever listen");
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (const auto before = std::ranges::count(std::span(names).first(i), names[i])) {
        if (before > 1) continue;  // told
        complain("key_sets",
                 std::format("{} names key set '{}' twice: once is enough", what_, names[i]));
        continue;
      }
      const auto found = surroundings_.key_sets.find(names[i]);
      if (found == surroundings_.key_sets.end()) {
        complain("key_sets",
                 std::format("{} names key set '{}', which there is not", what_, names[i]));
      }
      if (found == surroundings_.key_sets.end() || found->second == nullptr) {
        are_keys_known_ = false;
      } else {
        add_keys(found->second);
      }
    }
    rule_->ring.id = sha256(identity_);
    if (!are_keys_known_) return;
    if (rule_->ring.keys.empty()) {
      complain("key_sets", what_ + " names key sets without a key that verifies (ES256 or HS256)");
    } else if (!options_.renewal_key.empty() && rule_->renewal_key == nullptr) {
      complain("renewal_key", what_ + ": renewal key '" + options_.renewal_key +
                                  "' is in none of its key sets, or has no private part (\"d\")");
    }
  }

  void add_keys(const std::shared_ptr<const KeySet>& set) {
    for (const auto& key : set->keys) {
      if (const auto other = sets_.find(key->material());
          other != sets_.end() && other->second != set.get()) {
        // A token's signature could not tell whose issuers it must name.
        are_keys_known_ = false;
        return complain(
            "key_sets",
            std::format("{}: key '{}' of key set '{}' is in key set '{}' as well: leave it in one "
                        "of those that the rule names, with its private part if it has one",
                        what_, key->id(), set->name, other->second->name));
      }
      if (key->can_verify()) {
        rule_->ring.keys.push_back({key, set});
        sets_.try_emplace(key->material(), set.get());
      } else {
        rule_->ring.sealing.push_back(key);
      }
      identity_.insert(identity_.end(), key->fingerprint().begin(), key->fingerprint().end());
      choose_for_renewal(key);
    }
  }

  void choose_for_renewal(const std::shared_ptr<const Key>& key) {
    if (options_.renewal_key.empty() || key->id() != options_.renewal_key || !key->can_sign()) {
      return;
    }
    if (rule_->renewal_key == nullptr) {
      rule_->renewal_key = key;
    } else if (rule_->renewal_key->material() != key->material() && !has_two_for_renewal_) {
      has_two_for_renewal_ = true;
      complain("renewal_key",
               what_ + ": renewal key '" + options_.renewal_key +
                   "' names two different keys of its key sets: give each its own kid");
    }
  }

  void check_places() const {
    const UriSigningPlaces& uri_signing = options_.uri_signing;
    const CatPlaces& cat = options_.cat;
    for (const auto& [key, name] : {std::pair("uri_signing.attribute", &uri_signing.attribute),
                                    {"uri_signing.cookie", &uri_signing.cookie},
                                    {"cat.header", &cat.header},
                                    {"cat.cookie", &cat.cookie},
                                    {"cat.parameter", &cat.parameter}}) {
      if (name->empty() || is_name_of_place(*name)) continue;
      complain(key, what_ + ": '" + *name +
                        "' is no name for a place of tokens: use letters, digits, '-' and '_'");
    }
    const bool has_place =
        (rule_->takes_signed_uris &&
         !(uri_signing.attribute.empty() && uri_signing.cookie.empty())) ||
        (rule_->takes_cats && !(cat.header.empty() && cat.cookie.empty() && cat.parameter.empty()));
    if (has_place) return;
    complain("tokens", what_ +
                           " is signed but takes tokens from nowhere: name a kind of token and a "
                           "place (parameter, cookie or header)");
  }

  std::vector<Territory> territories(const std::vector<std::string>& codes, std::string_view key,
                                     std::string_view where = "") const {
    std::vector<Territory> territories;
    for (const std::string& code : codes) {
      if (const auto territory = Territory::parse(code)) {
        territories.push_back(*territory);
        continue;
      }
      complain(key, std::format("{}{}: '{}' is no territory: write a code that ISO 3166-1 alpha-2 "
                                "assigns, e.g. 'DE', or 'GB' for the United Kingdom",
                                what_, where, code));
    }
    return territories;
  }

  void read_licence() {
    if (options_.licence.size() > kMaximumWindows) {
      return complain("licence",
                      what_ + ": more than 1,024 licence windows: split the rule by path");
    }
    for (const LicenceWindow& each : options_.licence) {
      Window window;
      const bool has_from = read_time(each.from, window.from);
      const bool has_until = read_time(each.until, window.until);
      if (has_from && has_until && window.from >= window.until) {
        complain("licence", what_ + ": the licence from " + each.from + " until " + each.until +
                                " is empty: 'from' must be earlier");
      }
      window.territories = territories(each.territories, "licence", ", licence");
      rule_->licence.push_back(std::move(window));
    }
  }

  // `time` stays when there is none.
  bool read_time(const std::string& text, WallTime& time) const {
    if (text.empty()) return true;
    const auto parsed = parse_rfc3339(text);
    if (!parsed) {
      complain("licence",
               what_ + ": '" + text +
                   "' is no time of a licence: write RFC 3339, e.g. '2026-12-01T00:00:00Z'");
      return false;
    }
    time = *parsed;
    return true;
  }

  // By what was written, whether it was understood or not.
  std::string_view key_with_territories() const {
    if (!options_.allowed_territories.empty()) return "allowed_territories";
    if (!options_.refused_territories.empty()) return "refused_territories";
    const bool has_licence = std::ranges::any_of(
        options_.licence, [](const LicenceWindow& each) { return !each.territories.empty(); });
    return has_licence ? "licence" : "";
  }

  void check_source_of_territories() const {
    const std::string_view key = key_with_territories();
    if (key.empty()) return;
    if (options_.territory_source == TerritorySource::kToken) {
      if (options_.mode == Mode::kSigned) return;
      complain("territory_source",
               what_ + " takes territories from tokens but no tokens: make it signed");
    } else if (!surroundings_.has_territory_database) {
      complain(key, what_ +
                        " has territories but there is no territory_database: give one, or take "
                        "territories from tokens");
    }
  }

  const RuleOptions& options_;
  const RuleSurroundings& surroundings_;
  const std::string& place_;
  const TellProblem& tell_;
  std::string what_;
  std::unique_ptr<Rule> rule_ = std::make_unique<Rule>();
  std::map<Digest, const KeySet*> sets_;  // of the ring's keys, by material
  std::vector<std::uint8_t> identity_;
  bool are_keys_known_ = true;  // all of its key sets'
  bool has_two_for_renewal_ = false;
};

}  // namespace

std::unique_ptr<Rule> make_rule(const RuleOptions& options, const RuleSurroundings& surroundings,
                                const std::string& place, const TellProblem& tell) {
  return RuleMaker(options, surroundings, place, tell).make();
}

}  // namespace nearfield::access
