// AccessCheck: may this request be served? One per worker, asked for each request before the cache
// is looked at. Cheap refusals come first, signatures are verified once a token, and what is
// remembered is bounded.
//
// Order: rule, places of tokens, then of each token size, table of good tokens, table of bad ones,
// form, algorithm and key, expiry, limits of verification, signature, what is encrypted, every
// claim, single use, renewal. A token that is in the table of good ones goes on at its claims. That
// expiry and key ids are looked at before the signature is known to be good tells nobody anything:
// each refusal is answered by the same bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/access/options.h"
#include "dataplane/access/policy.h"
#include "dataplane/access/reason.h"
#include "dataplane/access/replay_table.h"
#include "dataplane/access/time_floor.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/request_head.h"
#include "dataplane/net/endpoint.h"

namespace nearfield::access {

// Views are read during the call only.
struct AccessRequest {
  std::string_view method = "GET";
  http::Scheme scheme = http::Scheme::kHttp;
  std::string_view authority;            // as RequestHead::authority
  std::string_view target;               // as RequestHead::target; "*" is never served
  const http::Fields* fields = nullptr;  // of the request; null: none
  net::Address client;
  // A clock that is set back while it is trusted is not followed at once: see TimeFloor.
  WallTime now{};
  MonotonicTime monotonic_now{};  // of one clock for all requests of an AccessCheck
  // False while the kernel says that the clock is not synchronised (adjtimex: TIME_ERROR) and the
  // node heeds that. AccessPolicy::trusts_clock() knows the rest.
  bool clock_synchronised = true;
};

// A new token for the listener, to be sent with a 2xx or 3xx answer and with no other, and only to
// this listener: never store it with the object.
struct Renewal {
  std::string field_name;  // "Set-Cookie", or the header that the token asks for
  std::string field_value;
};

struct Decision {
  Reason reason = Reason::kNoRules;
  // The target without any token that stands in it: what names the object and is forwarded; to log
  // it, see loggable(). All of them are taken out, also those that were not looked at. Equal to the
  // request's when there was none. Valid until the next check() of the same AccessCheck, and no
  // longer than the request's target.
  std::string_view target;
  // Name of the rule ("" without one); valid as long as the policy.
  std::string_view rule;
  // Fields that carried a token and must neither be forwarded nor logged: remove_token_fields().
  bool token_in_fields = false;
  std::vector<Renewal> renewals;  // at most one

  bool allowed() const { return is_allowed(reason); }
  // What to answer when refused: 403 with an empty body whatever the reason, or 503 with
  // Retry-After: 1 for kBusy, for which a listener's player should try again.
  std::uint16_t status() const { return reason == Reason::kBusy ? 503 : 403; }
};

class AccessCheck {
 public:
  // `replay` may be null: then tokens for one use are refused (kUnsupportedClaim), and tokens that
  // another worker renewed are verified like others. `key`: secret,
  // for the tables whose keys strangers choose. `time_floor`: what all workers share; null: its
  // own.
  AccessCheck(const CheckOptions& options, std::shared_ptr<const AccessPolicy> policy,
              std::shared_ptr<ReplayTable> replay, SipHashKey key,
              std::shared_ptr<TimeFloor> time_floor = nullptr);
  ~AccessCheck();
  AccessCheck(const AccessCheck&) = delete;
  AccessCheck& operator=(const AccessCheck&) = delete;

  // Of the worker's thread, like check(). Good tokens stay known as long as the keys that verified
  // and opened them are trusted, so that a reload costs no storm of verifications; nothing that a
  // removed key verified or signed is used again.
  void set_policy(std::shared_ptr<const AccessPolicy> policy);
  const AccessPolicy& policy() const;

  // Never throws. Allocates for tokens not seen before and for renewals, for targets with a token,
  // an encoding or a path parameter, and, of tokens that are known, for what their claims compare:
  // the URI or parts of it, headers, the id of a token for one use.
  Decision check(const AccessRequest& request);

  // May be read by other threads.
  const CheckCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The target as Decision::target would be: without what may be a token by any rule. For names that
// are made of a target without a request.
std::string target_without_tokens(const AccessPolicy& policy, std::string_view target);

// What may be logged or shown of a target or URI, whether it was checked or not and whether there
// are rules or none: nothing that bears the name of a token by any rule or by default, in whatever
// spelling. `text` itself, without allocation, when there is nothing of the kind; else `cleaned`.
std::string_view loggable(const AccessPolicy& policy, std::string_view text, std::string& cleaned);

// Whether any field may carry a token by any rule. `fields` may be null.
bool carries_token_fields(const AccessPolicy& policy, const http::Fields* fields);

// Takes out of the fields what may carry a token by any rule: token headers, and token cookies from
// Cookie (a Cookie that is empty then goes). To be done before the request is forwarded, whenever
// Decision::token_in_fields says so.
void remove_token_fields(const AccessPolicy& policy, http::Fields& fields);

}  // namespace nearfield::access
