// The keys under [access]. What they mean together (rules, keys, databases) AccessPolicy
// checks when it is made; here only what would not survive the way into its types. Key sets are
// files only: what stands here is shown to whoever may read the configuration.
#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "dataplane/control/config_keys.h"

namespace nearfield::control {
namespace {

using access::Mode;
using access::TerritorySource;
using access::TokenKind;
using std::chrono::hours;
using std::chrono::seconds;

constexpr std::size_t kMaximumRules = 4096;

Result<void> anything(std::string_view) { return {}; }

template <typename Choice, std::size_t count>
using Names = std::array<std::pair<std::string_view, Choice>, count>;

constexpr Names<Mode, 3> kModes = {
    {{"open", Mode::kOpen}, {"signed", Mode::kSigned}, {"denied", Mode::kDenied}}};
constexpr Names<Mode, 2> kUnmatched = {{{"denied", Mode::kDenied}, {"open", Mode::kOpen}}};
constexpr Names<TokenKind, 2> kTokens = {
    {{"uri_signing", TokenKind::kUriSigning}, {"cat", TokenKind::kCat}}};
constexpr Names<TerritorySource, 2> kSources = {
    {{"client", TerritorySource::kClient}, {"token", TerritorySource::kToken}}};

template <typename Choice, std::size_t count>
std::string_view name_of(const Names<Choice, count>& names, Choice value) {
  for (const auto& [name, choice] : names)
    if (choice == value) return name;
  return {};
}

template <typename Choice, std::size_t count>
Result<Choice> choice_of(const Names<Choice, count>& names, std::string_view text) {
  std::string known;
  for (const auto& [name, choice] : names) {
    if (name == text) return choice;
    known += std::format("{}\"{}\"", known.empty() ? "" : " or ", name);
  }
  return failure(std::format("\"{}\" is not known here: use {}", text, known));
}

template <typename Choice, std::size_t count>
void visit_choice(ConfigVisitor& visitor, std::string_view key, const Names<Choice, count>& names,
                  Choice& value) {
  visit_parsed(
      visitor, key, name_of(names, value),
      [&](std::string_view text) { return choice_of(names, text); }, value);
}

void visit_tokens(ConfigVisitor& visitor, std::vector<TokenKind>& tokens) {
  std::vector<std::string> texts;
  texts.reserve(tokens.size());
  for (const TokenKind kind : tokens) texts.emplace_back(name_of(kTokens, kind));
  visitor.texts("tokens", texts, kTokens.size(),
                parses([](std::string_view text) { return choice_of(kTokens, text); }));
  tokens.clear();
  for (const std::string& text : texts) {
    if (const Result<TokenKind> kind = choice_of(kTokens, text)) tokens.push_back(*kind);
  }
}

void visit_territories(ConfigVisitor& visitor, std::string_view key,
                       std::vector<std::string>& territories) {
  visitor.texts(key, territories, 300, anything);
}

void visit_rule(ConfigVisitor& visitor, access::RuleOptions& rule) {
  visitor.text("name", rule.name, anything);
  visitor.text("host", rule.host, anything);
  visitor.text("path", rule.path, anything);
  visit_choice(visitor, "mode", kModes, rule.mode);
  visit_tokens(visitor, rule.tokens);
  visitor.texts("key_sets", rule.key_sets, 16, anything);
  visitor.texts("audiences", rule.audiences, 64, anything);
  visitor.table("uri_signing", [&] {
    visitor.text("attribute", rule.uri_signing.attribute, anything);
    visitor.text("cookie", rule.uri_signing.cookie, anything);
  });
  visitor.table("cat", [&] {
    visitor.text("header", rule.cat.header, anything);
    visitor.text("cookie", rule.cat.cookie, anything);
    visitor.text("parameter", rule.cat.parameter, anything);
  });
  visitor.boolean("expiry_required", rule.expiry_required);
  visitor.boolean("uri_required", rule.uri_required);
  visitor.text("renewal_key", rule.renewal_key, anything);
  visitor.text("renewal_issuer", rule.renewal_issuer, anything);
  visit_territories(visitor, "allowed_territories", rule.allowed_territories);
  visit_territories(visitor, "refused_territories", rule.refused_territories);
  visitor.boolean("unknown_territory_allowed", rule.unknown_territory_allowed);
  visit_choice(visitor, "territory_source", kSources, rule.territory_source);
  visitor.text("territory_claim", rule.territory_claim, anything);
  visitor.tables<access::LicenceWindow>(
      "licence", rule.licence, 64, "", [&](access::LicenceWindow& window) {
        visitor.text("from", window.from, anything);
        visitor.text("until", window.until, anything);
        visit_territories(visitor, "territories", window.territories);
      });
}

void visit_key_set(ConfigVisitor& visitor, access::KeySetOptions& keys) {
  visitor.text("name", keys.name, anything);
  visitor.texts("files", keys.files, 64, is_file_path);
  visitor.texts("issuers", keys.issuers, 64, anything);
  visitor.boolean("issuer_required", keys.issuer_required);
}

void visit_check(ConfigVisitor& visitor, access::CheckOptions& check) {
  visitor.integer("good_tokens", check.good_tokens, 16, 1'048'576);
  visitor.size("good_token_bytes", check.good_token_bytes, 64 * 1024, std::uint64_t{16} << 30);
  visitor.integer("bad_tokens", check.bad_tokens, 0, 1'048'576);
  visitor.duration("bad_token_lifetime", check.bad_token_lifetime, Duration::zero(), hours(1));
  visitor.integer("expressions", check.expressions, 1, 4096);
  visitor.integer("verifications_per_second", check.verifications_per_second, 1, 100'000);
  visitor.integer("verifications_at_once", check.verifications_at_once, 1, 100'000);
  visitor.integer("prefix_verifications_per_second", check.prefix_verifications_per_second, 1,
                  100'000);
  visitor.integer("prefix_verifications_at_once", check.prefix_verifications_at_once, 1, 100'000);
}

}  // namespace

void visit_access(ConfigVisitor& visitor, AccessConfig& access, access::CheckOptions& check) {
  access::AccessOptions& options = access.options;
  visit_choice(visitor, "unmatched", kUnmatched, options.unmatched);
  visitor.text("territory_database", options.territory_database, is_file_path);
  visitor.text("network_database", options.network_database, is_file_path);
  visitor.table("clock", [&] {
    visitor.boolean("kernel_must_trust_it", access.kernel_must_trust_clock);
    visitor.duration("cat_leeway", options.clock.cat_leeway, Duration::zero(), seconds(300));
    visitor.duration("maximum_token_lifetime", options.clock.maximum_token_lifetime,
                     Duration::zero(), hours(24 * 366));
    visitor.duration("untrusted_tolerance", options.clock.untrusted_tolerance, Duration::zero(),
                     hours(24));
  });
  visitor.table("check", [&] { visit_check(visitor, check); });
  visitor.tables<access::KeySetOptions>(
      "key_sets", options.key_sets, 64, "",
      [&](access::KeySetOptions& keys) { visit_key_set(visitor, keys); });
  visitor.tables<access::RuleOptions>(
      "rules", options.rules, kMaximumRules, "",
      [&](access::RuleOptions& rule) { visit_rule(visitor, rule); });
}

}  // namespace nearfield::control
