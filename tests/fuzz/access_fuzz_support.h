// A policy, its keys and a check, made once for all inputs of the access targets.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dataplane/access/check.h"
#include "dataplane/access/explain.h"
#include "dataplane/access/expressions.h"
#include "dataplane/access/key.h"
#include "dataplane/access/target.h"
#include "dataplane/access/token.h"
#include "tests/unit/dataplane/access/vectors.h"

namespace nearfield::fuzz {

class AccessWorld {
 public:
  static AccessWorld& get() {
    static AccessWorld world;
    return world;
  }

  access::AccessRequest request(std::string_view target, const http::Fields& fields) {
    access::AccessRequest request;
    request.scheme = http::Scheme::kHttps;
    request.authority = "music.example";
    request.target = target;
    request.fields = &fields;
    request.client = *net::Address::parse("192.0.2.7");
    request.now = WallTime(std::chrono::seconds(1800000000));
    return request;
  }
  access::Decision check(const access::AccessRequest& request) { return check_->check(request); }
  const access::AccessPolicy& policy() const { return *policy_; }
  const access::Key& signing_key() const { return *signing_; }
  const access::Key& shared_key() const { return *shared_; }

 private:
  AccessWorld() {
    const std::string secret(32, 's');
    shared_ = access::Key::symmetric(access::Algorithm::kHs256, "mac", access::bytes_of(secret));
    signing_ = shared_;
    std::string encoded;
    access::append_base64url(encoded, access::bytes_of(secret));
    access::AccessOptions options;
    access::KeySetOptions keys;
    keys.name = "label";
    keys.inline_sets = {R"({"keys":[)" + std::string(access::vectors::kPublicKeyOne) + "," +
                        std::string(access::vectors::kSealingKey) +
                        R"(,{"kty":"oct","alg":"HS256","kid":"mac","k":")" + encoded + "\"}]}"};
    options.key_sets = {keys};
    access::RuleOptions rule;
    rule.host = "music.example";
    rule.path = "/albums";
    rule.key_sets = {"label"};
    rule.renewal_key = "mac";
    // Everything else is for everybody: what leads around the other rule is seen.
    access::RuleOptions open;
    open.host = "music.example";
    open.path = "/";
    open.mode = access::Mode::kOpen;
    options.rules = {rule, open};
    policy_ = *access::AccessPolicy::make(options, nullptr, nullptr);
    access::CheckOptions check_options;
    check_options.good_tokens = 64;
    check_options.bad_tokens = 64;
    // Time stands still, so that whether a token expired does not depend on the inputs before it:
    // limits that no run comes to.
    for (std::uint32_t* limit :
         {&check_options.verifications_per_second, &check_options.verifications_at_once,
          &check_options.prefix_verifications_per_second,
          &check_options.prefix_verifications_at_once}) {
      *limit = 1'000'000'000;
    }
    check_ =
        std::make_unique<access::AccessCheck>(check_options, policy_, nullptr, SipHashKey{1, 2});
  }

  std::shared_ptr<const access::Key> shared_;
  std::shared_ptr<const access::Key> signing_;
  std::shared_ptr<const access::AccessPolicy> policy_;
  std::unique_ptr<access::AccessCheck> check_;
};

}  // namespace nearfield::fuzz
