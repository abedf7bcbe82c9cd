// AccessPolicy::make() ends at the first thing that is wrong. To tell all of it, at the key it
// belongs to, the parts are tried on their own once the whole has failed: databases, key sets, then
// halves of the rules down to single ones, and of a single one which of its keys it is without that
// the error goes.
#include <algorithm>
#include <array>
#include <format>
#include <fstream>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "dataplane/access/jwk_set.h"
#include "dataplane/control/config_check_files.h"
#include "dataplane/tls/secret_file.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::control {
namespace {

using access::AccessOptions;
using access::AccessPolicy;
using access::KeySetOptions;
using access::PrefixDatabase;
using access::PrefixRecord;
using access::RuleOptions;

using Database = std::shared_ptr<const PrefixDatabase>;

// In place of one that cannot be opened, so that rules are not blamed for it.
class EmptyDatabase final : public PrefixDatabase {
 public:
  PrefixRecord find(const net::Address&) const override { return {}; }
  std::string description() const override { return "nothing"; }
};

// A key of a rule, and what a rule is without what it says there.
struct RuleKey {
  std::string_view name;
  void (*leave_out)(RuleOptions& rule);
};

void leave_out_territories(RuleOptions& rule) {
  rule.allowed_territories.clear();
  rule.refused_territories.clear();
  for (access::LicenceWindow& window : rule.licence) window.territories.clear();
}

void leave_out_keys(RuleOptions& rule) {
  rule.mode = access::Mode::kOpen;
  rule.territory_source = access::TerritorySource::kClient;
}

constexpr std::array<RuleKey, 12> kRuleKeys = {{
    {"host", [](RuleOptions& rule) { rule.host = RuleOptions().host; }},
    {"path", [](RuleOptions& rule) { rule.path = RuleOptions().path; }},
    {"renewal_key", [](RuleOptions& rule) { rule.renewal_key.clear(); }},
    {"uri_signing", [](RuleOptions& rule) { rule.uri_signing = {}; }},
    {"cat", [](RuleOptions& rule) { rule.cat = {}; }},
    {"tokens", [](RuleOptions& rule) { rule.tokens = RuleOptions().tokens; }},
    {"allowed_territories", [](RuleOptions& rule) { rule.allowed_territories.clear(); }},
    {"refused_territories", [](RuleOptions& rule) { rule.refused_territories.clear(); }},
    {"licence", [](RuleOptions& rule) { rule.licence.clear(); }},
    {"allowed_territories", leave_out_territories},
    {"territory_source",
     [](RuleOptions& rule) { rule.territory_source = access::TerritorySource::kClient; }},
    {"key_sets", leave_out_keys},
}};

class AccessFaults {
 public:
  AccessFaults(const AccessOptions& options, const ComplainOfKey& complain)
      : options_(options), complain_(complain) {
    usable_.clock = options.clock;
    usable_.unmatched = options.unmatched;
  }

  // Null when there was something to complain of.
  std::shared_ptr<const AccessPolicy> read() {
    territories_ = open("territory_database", options_.territory_database);
    networks_ = open("network_database", options_.network_database);
    auto whole = AccessPolicy::make(options_, territories_, networks_);
    if (whole) return complaints_ == 0 ? *std::move(whole) : nullptr;
    if (!options_.territory_database.empty() && territories_ == nullptr) {
      territories_ = std::make_shared<EmptyDatabase>();
    }
    look_at_key_sets();
    look_at_rules();
    // What only all of it together has.
    if (complaints_ == 0) complain("access", whole.error().message);
    return nullptr;
  }

 private:
  void complain(std::string_view key, std::string reason) {
    ++complaints_;
    complain_(key, std::move(reason));
  }

  Database open(std::string_view key, const std::string& file) {
    if (file.empty()) return nullptr;
    auto opened = access::open_prefix_database(file);
    if (opened) return *std::move(opened);
    complain(std::format("access.{}", key), opened.error().message);
    return nullptr;
  }

  // Empty: fine.
  std::string problem(const AccessOptions& options) const {
    const auto made = AccessPolicy::make(options, territories_, networks_);
    return made ? std::string() : made.error().message;
  }
  std::string problem(std::vector<KeySetOptions> sets) const {
    AccessOptions options = usable_;
    options.key_sets = std::move(sets);
    options.rules.clear();
    return problem(options);
  }
  std::string problem(std::vector<RuleOptions> rules) const {
    AccessOptions options = usable_;
    options.rules = std::move(rules);
    return problem(options);
  }

  void look_at_key_sets() {
    for (std::size_t i = 0; i < options_.key_sets.size(); ++i) {
      const KeySetOptions& keys = options_.key_sets[i];
      const std::string path = std::format("access.key_sets[{}]", i);
      if (std::string wrong = problem(std::vector{keys}); !wrong.empty()) {
        complain(path + guilty_file(keys), std::move(wrong));
        broken_sets_.insert(keys.name);
        continue;
      }
      const auto same = std::ranges::find(usable_.key_sets, keys.name, &KeySetOptions::name);
      if (same == usable_.key_sets.end()) {
        usable_.key_sets.push_back(keys);
      } else {
        complain(path + ".name", problem(std::vector{*same, keys}));
      }
    }
  }

  // ".files[1]", or empty: it is no single file.
  std::string guilty_file(const KeySetOptions& keys) const {
    for (std::size_t i = 0; i < keys.files.size(); ++i) {
      KeySetOptions alone = keys;
      alone.files = {keys.files[i]};
      if (problem(std::vector{alone}).contains(keys.files[i])) return std::format(".files[{}]", i);
    }
    return {};
  }

  void look_at_rules() {
    rules_ = options_.rules;
    std::vector<std::size_t> indexes;
    std::map<std::pair<std::string, std::string>, std::size_t> places;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      RuleOptions& rule = rules_[i];
      // What the policy would call it, whatever is left out of it below.
      if (rule.name.empty()) rule.name = rule.host + rule.path;
      if (std::ranges::any_of(rule.key_sets,
                              [&](const auto& name) { return broken_sets_.contains(name); })) {
        leave_out_keys(rule);
      }
      indexes.push_back(i);
    }
    look_at_rules(indexes);
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const auto [first, fresh] = places.try_emplace({rules_[i].host, rules_[i].path}, i);
      if (fresh || !problem(std::vector{rules_[i]}).empty()) continue;
      std::string wrong = problem(std::vector{rules_[first->second], rules_[i]});
      if (!wrong.empty()) complain(std::format("access.rules[{}]", i), std::move(wrong));
    }
  }

  void look_at_rules(std::span<const std::size_t> indexes) {
    if (indexes.empty()) return;
    std::vector<RuleOptions> rules;
    rules.reserve(indexes.size());
    for (const std::size_t index : indexes) rules.push_back(rules_[index]);
    if (problem(std::move(rules)).empty()) return;
    if (indexes.size() == 1) return look_at_rule(indexes.front());
    const std::size_t half = indexes.size() / 2;
    look_at_rules(indexes.first(half));
    look_at_rules(indexes.subspan(half));
  }

  // Leaves out what is wrong, to see what else is.
  void look_at_rule(std::size_t index) {
    RuleOptions rule = rules_[index];
    for (std::size_t tries = 0; tries < kRuleKeys.size(); ++tries) {
      std::string wrong = problem(std::vector{rule});
      if (wrong.empty()) return;
      const std::string path = std::format("access.rules[{}]", index);
      // More are only counted, and need no place.
      const bool is_shown = complaints_ < ConfigErrors::kMaximumErrors;
      const auto guilty = std::ranges::find_if(kRuleKeys, [&](const RuleKey& key) {
        RuleOptions without = rule;
        key.leave_out(without);
        return is_shown && problem(std::vector{without}) != wrong;
      });
      if (guilty == kRuleKeys.end()) return complain(path, std::move(wrong));
      complain(std::format("{}.{}", path, guilty->name), std::move(wrong));
      guilty->leave_out(rule);
    }
  }

  const AccessOptions& options_;
  const ComplainOfKey& complain_;
  std::size_t complaints_ = 0;
  Database territories_;
  Database networks_;
  AccessOptions usable_;  // without rules
  std::set<std::string> broken_sets_;
  std::vector<RuleOptions> rules_;
};

// Public keys may be read by anyone. A file that cannot be read or parsed has been told of.
bool holds_secrets(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(access::kMaximumKeySetBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  const auto keys = access::parse_jwk_set(
      std::string_view(text).substr(0, static_cast<std::size_t>(file.gcount())), path);
  tls::wipe(std::as_writable_bytes(std::span(text)));
  return keys && std::ranges::any_of(
                     *keys, [](const auto& key) { return key->can_sign() || !key->can_verify(); });
}

}  // namespace

std::shared_ptr<const AccessPolicy> read_access(const AccessOptions& options,
                                                const ComplainOfKey& complain,
                                                std::vector<std::string>& warnings) {
  for (const KeySetOptions& keys : options.key_sets) {
    for (const std::string& file : keys.files) {
      std::string warning = tls::exposure_warning("key set with secrets", file);
      if (warning.empty() || !holds_secrets(file) || std::ranges::contains(warnings, warning)) {
        continue;
      }
      warnings.push_back(std::move(warning));
    }
  }
  return AccessFaults(options, complain).read();
}

}  // namespace nearfield::control
