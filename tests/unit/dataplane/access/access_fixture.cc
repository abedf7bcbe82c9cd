#include "tests/unit/dataplane/access/access_fixture.h"

#include <CppUTest/TestHarness.h>

namespace nearfield::access {

std::string jwk_set(std::initializer_list<std::string_view> keys) {
  std::string text = "{\"keys\":[";
  for (const std::string_view key : keys) {
    if (!text.ends_with('[')) text += ',';
    text += key;
  }
  return text + "]}";
}

KeySetOptions key_set(std::string name, std::initializer_list<std::string_view> keys) {
  KeySetOptions options;
  options.name = std::move(name);
  options.inline_sets = {jwk_set(keys)};
  return options;
}

AccessOptions signed_options() {
  AccessOptions options;
  options.key_sets = {
      key_set("label", {vectors::kPublicKeyOne, vectors::kSharedKey, vectors::kSealingKey})};
  RuleOptions rule;
  rule.name = "albums";
  rule.host = "music.example";
  rule.path = "/albums";
  rule.key_sets = {"label"};
  rule.audiences = {"edge"};
  options.rules = {rule};
  return options;
}

AccessOptions signed_beside_open() {
  AccessOptions options = signed_options();
  RuleOptions open;
  open.host = "music.example";
  open.path = "/";
  open.mode = Mode::kOpen;
  options.rules.push_back(open);
  return options;
}

void TablePrefixDatabase::add(std::string_view address, std::string_view territory,
                              std::uint32_t network) {
  records_[*net::Address::parse(address)] = {Territory::parse(territory).value_or(Territory()),
                                             network};
}

PrefixRecord TablePrefixDatabase::find(const net::Address& address) const {
  const auto found = records_.find(address);
  return found == records_.end() ? PrefixRecord() : found->second;
}

std::shared_ptr<const PrefixDatabase> small_world() {
  auto world = std::make_shared<TablePrefixDatabase>();
  world->add("192.0.2.7", "DE", 64500);
  world->add("198.51.100.1", "US");
  return world;
}

std::shared_ptr<const AccessPolicy> policy_of(
    const AccessOptions& options, const std::shared_ptr<const PrefixDatabase>& database) {
  auto policy = AccessPolicy::make(options, database, database);
  if (!policy) FAIL(policy.error().message.c_str());
  return *policy;
}

std::string error_of(const AccessOptions& options,
                     const std::shared_ptr<const PrefixDatabase>& database) {
  auto policy = AccessPolicy::make(options, database, database);
  CHECK_FALSE(policy.has_value());
  return policy ? std::string() : policy.error().message;
}

AccessRequest TestRequest::get() const {
  AccessRequest request;
  request.method = method;
  request.scheme = scheme;
  request.authority = authority;
  request.target = target;
  request.fields = &fields;
  request.client = *net::Address::parse(client);
  request.now = now;
  request.monotonic_now = monotonic_now;
  request.clock_synchronised = clock_trusted;
  return request;
}

TestRequest with_jwt(std::string_view token, std::string_view path) {
  TestRequest request;
  request.target = std::string(path) + (path.contains('?') ? "&" : "?") +
                   "URISigningPackage=" + std::string(token);
  return request;
}

TestRequest with_cat(std::string_view token) {
  TestRequest request;
  request.fields.add("CTA-Common-Access-Token", token);
  return request;
}

Gate::Gate(const AccessOptions& options, CheckOptions check_options)
    : check_(check_options, policy_of(options), std::make_shared<ReplayTable>(4), {1, 2}) {}

}  // namespace nearfield::access
