// What is broken stays in its place for the rest of the pass: a rule that names a broken key set is
// not told that there is none, and one of the same host and path as a broken rule is still a
// double.
#include "dataplane/access/policy_maker.h"

#include <algorithm>
#include <format>
#include <utility>

#include "dataplane/access/key_set_maker.h"
#include "dataplane/access/rule_maker.h"

namespace nearfield::access {
namespace {

constexpr std::size_t kMaximumRules = 4096;
constexpr std::size_t kMaximumKeySets = 256;
constexpr std::size_t kMaximumNames = 32;  // different names of token places, of each sort

using Database = std::shared_ptr<const PrefixDatabase>;
using Parts = AccessPolicy::Parts;

class PolicyMaker {
 public:
  PolicyMaker(const AccessOptions& options, const TellProblem& tell)
      : options_(options), tell_([this, &tell](std::string_view place, std::string message) {
          is_good_ = false;
          tell(place, std::move(message));
        }) {}
  PolicyMaker(const PolicyMaker&) = delete;
  PolicyMaker& operator=(const PolicyMaker&) = delete;

  std::unique_ptr<Parts> make() {
    around_rules_.has_territory_database = !options_.territory_database.empty();
    Database territories = open("territory_database", options_.territory_database);
    Database networks = open("network_database", options_.network_database);
    return finish(std::move(territories), std::move(networks));
  }
  std::unique_ptr<Parts> make(Database territories, Database networks) {
    around_rules_.has_territory_database = territories != nullptr;
    return finish(std::move(territories), std::move(networks));
  }

 private:
  Database open(std::string_view place, const std::string& path) {
    if (path.empty()) return nullptr;
    auto opened = open_prefix_database(path);
    if (opened) return *std::move(opened);
    tell_(place, opened.error().message);
    return nullptr;
  }

  std::unique_ptr<Parts> finish(Database territories, Database networks) {
    parts_->unmatched = options_.unmatched;
    parts_->clock = options_.clock;
    parts_->networks = networks != nullptr ? std::move(networks) : territories;
    parts_->territories = std::move(territories);
    if (options_.unmatched == Mode::kSigned) {
      tell_("unmatched",
            "access: what no rule matches is open or denied; for signed write a rule with "
            "host '*' and path '/'");
    }
    check_clock();
    // Too many are not looked at.
    if (options_.rules.size() > kMaximumRules) {
      tell_("rules", "more than 4,096 access rules");
    } else if (options_.key_sets.size() > kMaximumKeySets) {
      tell_("key_sets", "more than 256 key sets");
    } else {
      make_key_sets();
      make_rules();
    }
    return is_good_ ? std::move(parts_) : nullptr;
  }

  void check_clock() {
    using std::chrono::seconds;
    const ClockOptions& clock = options_.clock;
    if (clock.cat_leeway < seconds(0) || clock.cat_leeway > seconds(300)) {
      tell_("clock.cat_leeway", "access clock: cat_leeway is 0 to 300 s");
    }
    if (clock.maximum_token_lifetime < seconds(0)) {
      tell_("clock.maximum_token_lifetime",
            "access clock: maximum_token_lifetime is 0 (no limit) or more");
    }
    if (clock.untrusted_tolerance < seconds(0) ||
        clock.untrusted_tolerance > std::chrono::hours(24)) {
      tell_("clock.untrusted_tolerance", "access clock: untrusted_tolerance is 0 to 24 h");
    }
  }

  void make_key_sets() {
    for (std::size_t i = 0; i < options_.key_sets.size(); ++i) {
      const KeySetOptions& each = options_.key_sets[i];
      const std::string place = std::format("key_sets[{}]", i);
      auto set = make_key_set(each, place, tell_, parts_->files_with_secrets);
      if (each.name.empty()) continue;
      if (!around_rules_.key_sets.try_emplace(each.name, set).second) {
        tell_(place + ".name",
              "there are two key sets '" + each.name + "': give each its own name");
      }
      if (set != nullptr) parts_->key_sets.push_back(std::move(set));
    }
  }

  void make_rules() {
    for (std::size_t i = 0; i < options_.rules.size(); ++i) {
      const std::string place = std::format("rules[{}]", i);
      auto rule = make_rule(options_.rules[i], around_rules_, place, tell_);
      const bool has_place = !rule->host.empty() && !rule->path.empty();
      if (has_place && !parts_->index.add(rule->host, rule->path, rule.get())) {
        tell_(place, "access rule '" + rule->name + "': there is another for host '" + rule->host +
                         "' and path '" + rule->path + "'");
      }
      collect_names(*rule);
      parts_->rules.push_back(std::move(rule));
    }
    if (std::max({parts_->names.attributes.size(), parts_->names.parameters.size(),
                  parts_->headers.size(), parts_->cookies.size()}) > kMaximumNames) {
      tell_("rules",
            "access rules name more than 32 different places of one sort for tokens: use the "
            "same names");
    }
  }

  void collect_names(const Rule& rule) {
    if (rule.takes_signed_uris) {
      add_name(parts_->names.attributes, rule.uri_signing.attribute);
      add_name(parts_->cookies, rule.uri_signing.cookie);
    }
    if (rule.takes_cats) {
      add_name(parts_->names.parameters, rule.cat.parameter);
      add_name(parts_->cookies, rule.cat.cookie);
      add_name(parts_->headers, rule.cat.header);
    }
  }

  void add_name(std::vector<std::string>& names, const std::string& name) {
    // One more than there may be says enough.
    if (name.empty() || names.size() > kMaximumNames || std::ranges::contains(names, name)) return;
    names.push_back(name);
    if (!std::ranges::contains(parts_->secret_names, name)) parts_->secret_names.push_back(name);
  }

  const AccessOptions& options_;
  const TellProblem tell_;
  bool is_good_ = true;  // nothing was told
  std::unique_ptr<Parts> parts_ = std::make_unique<Parts>();
  RuleSurroundings around_rules_;
};

}  // namespace

std::unique_ptr<Parts> make_policy_parts(const AccessOptions& options, const TellProblem& tell) {
  return PolicyMaker(options, tell).make();
}

std::unique_ptr<Parts> make_policy_parts(const AccessOptions& options, Database territories,
                                         Database networks, const TellProblem& tell) {
  return PolicyMaker(options, tell).make(std::move(territories), std::move(networks));
}

}  // namespace nearfield::access
