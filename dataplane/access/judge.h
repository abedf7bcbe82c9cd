// Judge: whether a rule's conditions and a token's claims hold for one request. Pure: time, client
// and request in, a reason out. With `steps` it says of every condition what it wants and whether
// it holds, and goes on after the first that does not.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/access/check.h"
#include "dataplane/access/explain.h"
#include "dataplane/access/expressions.h"
#include "dataplane/access/policy_parts.h"
#include "dataplane/access/token.h"

namespace nearfield::access {

// What is known of the time.
struct ClockView {
  // What to judge by. While the clock is sane, never earlier than what a sane clock said before
  // (TimeFloor).
  WallTime now{};
  bool is_sane = true;
  // The time is at least this: what `now` was while it could be trusted, the newest "iat" of a
  // token of the same keys, and the build date.
  WallTime proven{};
};

// One request, with what is derived from it computed once and when it is asked for.
class RequestView {
 public:
  // `target` without tokens.
  RequestView(const AccessRequest& request, std::string_view target,
              const PrefixDatabase* territories, const PrefixDatabase* networks)
      : request_(request), target_(target), territories_(territories), networks_(networks) {}

  const AccessRequest& request() const { return request_; }
  std::string_view target() const { return target_; }
  std::string_view path() const { return target_.substr(0, target_.find('?')); }
  const std::string& uri();
  std::string part(UriPart part);
  bool knows_territories() const { return territories_ != nullptr; }
  bool knows_networks() const { return networks_ != nullptr; }
  Territory territory();
  std::uint32_t network_number();

 private:
  const AccessRequest& request_;
  std::string_view target_;
  const PrefixDatabase* territories_;
  const PrefixDatabase* networks_;
  std::optional<std::string> uri_;
  std::optional<Territory> territory_;
  std::optional<std::uint32_t> network_number_;
};

class Judge {
 public:
  Judge(const AccessPolicy::Parts& policy, const ClockView& clock, const Rule& rule,
        RequestView& request, ExpressionCache& expressions, std::vector<ExplainStep>* steps)
      : policy_(policy),
        options_(policy.clock),
        clock_(clock),
        rule_(rule),
        request_(request),
        expressions_(expressions),
        steps_(steps) {}

  // Everything but single use. kTokenHolds, or the first reason why not. `keys`: where the key that
  // verified it stands; null, for explanations only: not known, and the issuer is not judged.
  Reason judge(const Token& token, const KeySet* keys);
  // For rules without tokens: territory and licence. kOpen, or the reason.
  Reason judge_open();
  // Whether "exp" alone refuses; looked at before a signature is verified.
  Reason judge_expiry(const Token& token);

 private:
  template <typename Detail>
  bool require(bool holds, Reason why, std::string_view subject, Detail detail);
  bool has_failed() const { return reason_ != Reason::kTokenHolds; }

  bool critical_claims(const Token& token);
  bool issuer(const Token& token, const KeySet& keys);
  bool audience(const Token& token);
  bool expiry(const Token& token);
  bool not_before(const Token& token);
  bool lifetime(const Token& token);
  bool method(const Token& token);
  bool client(const Token& token);
  bool uri(const Token& token);
  bool headers(const Token& token);
  bool token_territories(const Token& token);
  bool rule_territory(const Token* token);
  bool licence(const Token* token);
  bool match(const Match& match, std::string_view text, Reason why, std::string_view subject);
  // The same with nothing of the text or of what is demanded of it shown.
  bool match_unseen(const Match& match, std::string_view text, Reason why,
                    std::string_view subject);
  // The listener's territories as the rule wants them known; empty: not known. A code of a token
  // that is none stands in it as a territory that is not known.
  std::vector<Territory> territories_of(const Token* token);
  bool is_allowed(Territory territory) const;
  std::chrono::seconds leeway(const Token& token) const;

  const AccessPolicy::Parts& policy_;
  const ClockOptions& options_;
  const ClockView& clock_;
  const Rule& rule_;
  RequestView& request_;
  ExpressionCache& expressions_;
  std::vector<ExplainStep>* steps_;
  Reason reason_ = Reason::kTokenHolds;
};

// What a token for one use is remembered by: its id and who issued it, which `signer` tells when it
// does not say so itself. Nothing that a listener can write otherwise is part of it: neither what
// is asked for, nor the id of the key, which a COSE message need not sign.
Digest single_use_identity(const Token& token, const Key& signer);

// "2026-12-01T00:00:00Z"
std::string time_text(WallTime time);

}  // namespace nearfield::access
