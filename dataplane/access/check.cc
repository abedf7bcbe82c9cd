#include "dataplane/access/check.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "cache/base/count.h"
#include "dataplane/access/candidates.h"
#include "dataplane/access/judge.h"
#include "dataplane/access/renewal.h"
#include "dataplane/access/token_tables.h"
#include "dataplane/net/rate_limit.h"

namespace nearfield::access {
namespace {

// Prefixes share limits by a keyed hash: so many of them, whoever comes.
constexpr std::size_t kPrefixLimits = 4096;
constexpr int kPrefixV4Bits = 24;
constexpr int kPrefixV6Bits = 48;

// Names a token in the tables: kinds do not share a name, however alike their bytes are.
Digest name_of(const Candidate& candidate) {
  Digest digest = sha256(bytes_of(candidate.text));
  digest[0] ^= static_cast<std::uint8_t>(candidate.kind);
  return digest;
}

}  // namespace

struct AccessCheck::State {
  State(const CheckOptions& check_options, std::shared_ptr<const AccessPolicy> first_policy,
        std::shared_ptr<ReplayTable> replay_table, SipHashKey sip_key)
      : options(check_options),
        policy(std::move(first_policy)),
        replay(std::move(replay_table)),
        key(sip_key),
        good(std::max<std::size_t>(1, check_options.good_tokens), check_options.good_token_bytes),
        bad(check_options.bad_tokens, check_options.bad_token_lifetime, sip_key),
        expressions(check_options.expressions),
        limit(check_options.verifications_per_second, check_options.verifications_at_once),
        prefix_limits(kPrefixLimits, net::RateLimit(check_options.prefix_verifications_per_second,
                                                    check_options.prefix_verifications_at_once)) {}

  Decision decide(const AccessRequest& request);
  Reason judge_signed(const Rule& rule, RequestView& view, Decision& decision);
  Reason judge_candidate(const Rule& rule, RequestView& view, const Candidate& candidate,
                         Decision& decision);
  // The token under its name when it is known to be good under this ring.
  GoodToken* find_good(const Digest& name, const KeyRing& ring);
  std::expected<GoodToken*, Reason> verify(const Rule& rule, RequestView& view,
                                           const Candidate& candidate, const Digest& name);
  Reason use_once(const Token& token, RequestView& view);
  void renew(const Rule& rule, RequestView& view, const Candidate& candidate, GoodToken& good_token,
             Decision& decision);
  bool may_verify(const AccessRequest& request);
  ClockView clock_of(const AccessRequest& request, const KeyRing* ring);

  CheckOptions options;
  std::shared_ptr<const AccessPolicy> policy;
  std::shared_ptr<ReplayTable> replay;
  SipHashKey key;
  GoodTokens good;
  BadTokens bad;
  ExpressionCache expressions;
  net::RateLimit limit;
  std::vector<net::RateLimit> prefix_limits;
  CheckCounters counters;
  // What times are proven: by a clock that was trusted, and by tokens of each ring.
  WallTime proven_by_clock{};
  std::unordered_map<Digest, WallTime, DigestHash> proven_by_ring;
  std::string stripped;
  std::vector<FoundToken> found;
};

ClockView AccessCheck::State::clock_of(const AccessRequest& request, const KeyRing* ring) {
  const WallTime floor = policy->parts().clock.not_before;
  ClockView view;
  view.now = request.now;
  view.is_sane = request.clock_trusted && request.now >= floor;
  if (view.is_sane) proven_by_clock = std::max(proven_by_clock, request.now);
  view.proven = std::max(floor, proven_by_clock);
  if (ring != nullptr && !view.is_sane) {
    const auto known = proven_by_ring.find(ring->id);
    if (known != proven_by_ring.end()) view.proven = std::max(view.proven, known->second);
  }
  return view;
}

bool AccessCheck::State::may_verify(const AccessRequest& request) {
  const net::Address prefix = request.client.truncated(kPrefixV4Bits, kPrefixV6Bits);
  const std::uint64_t hash = siphash(key, std::as_bytes(std::span(prefix.bytes)));
  return prefix_limits[hash % kPrefixLimits].allow(request.monotonic_now) &&
         limit.allow(request.monotonic_now);
}

GoodToken* AccessCheck::State::find_good(const Digest& name, const KeyRing& ring) {
  GoodToken* known = good.find(name);
  return known != nullptr && ring.find(known->token.key) != nullptr ? known : nullptr;
}

std::expected<GoodToken*, Reason> AccessCheck::State::verify(const Rule& rule, RequestView& view,
                                                             const Candidate& candidate,
                                                             const Digest& name) {
  const AccessRequest& request = view.request();
  auto envelope = parse_token(candidate.kind, candidate.text);
  if (!envelope) return std::unexpected(envelope.error());
  const auto keys = select_keys(rule.ring, *envelope);
  if (!keys) return std::unexpected(keys.error());
  const ClockView clock = clock_of(request, &rule.ring);
  Judge early(policy->parts().clock, clock, rule, view, expressions, nullptr);
  if (const Reason expiry = early.judge_expiry(envelope->token); expiry != Reason::kTokenHolds) {
    return std::unexpected(expiry);
  }
  const TrustedKey* signer = nullptr;
  for (const TrustedKey* each : *keys) {
    if (each->key->algorithm() == Algorithm::kEs256) {
      if (!may_verify(request)) return std::unexpected(Reason::kBusy);
      count(counters.signatures_verified);
    } else {
      count(counters.macs_verified);
    }
    if (!each->key->verify(bytes_of(envelope->message), envelope->signature)) continue;
    signer = each;
    break;
  }
  if (signer == nullptr) {
    bad.add(name, rule.ring.id, Reason::kBadSignature, request.monotonic_now);
    return std::unexpected(Reason::kBadSignature);
  }
  envelope->token.key = signer->key->fingerprint();
  if (!open_sealed_claims(rule.ring, envelope->token)) {
    bad.add(name, rule.ring.id, Reason::kUnsupportedClaim, request.monotonic_now);
    return std::unexpected(Reason::kUnsupportedClaim);
  }
  return &good.add(name, std::move(envelope->token));
}

Reason AccessCheck::State::use_once(const Token& token, RequestView& view) {
  if (!token.single_use) return Reason::kTokenHolds;
  // A token without an end would have to be remembered for ever.
  if (replay == nullptr || !token.expires) return Reason::kUnsupportedClaim;
  const ClockOptions& clock = policy->parts().clock;
  const WallTime until = *token.expires + std::max(clock.cat_leeway, clock.untrusted_tolerance);
  switch (replay->use(single_use_identity(token, view.uri()), view.request().now, until)) {
    case ReplayTable::Use::kFirst:
      return Reason::kTokenHolds;
    case ReplayTable::Use::kAgain:
      return Reason::kReplayed;
    case ReplayTable::Use::kFull:
      return Reason::kBusy;
  }
  return Reason::kReplayed;
}

void AccessCheck::State::renew(const Rule& rule, RequestView& view, const Candidate& candidate,
                               GoodToken& good_token, Decision& decision) {
  const AccessRequest& request = view.request();
  // Times of tokens this node signs must be right.
  if (!clock_of(request, nullptr).is_sane) return;
  const auto plan = plan_renewal(rule, good_token.token, candidate, view.path(), request.now);
  if (!plan) return;
  const auto age = request.now - good_token.renewed_at;
  const bool is_fresh = !good_token.renewal.empty() && age >= std::chrono::seconds(0) &&
                        age <= good_token.token.renewal->lifetime / 4;
  if (!is_fresh) {
    if (rule.renewal_key->algorithm() == Algorithm::kEs256 && !may_verify(request)) return;
    good_token.renewal = make_renewed_token(rule, good_token.token, request.now);
    good_token.renewed_at = request.now;
    if (good_token.renewal.empty()) return;
    count(counters.renewals);
  }
  decision.renewals.push_back(
      renewal_field(*plan, good_token.token, request.scheme, good_token.renewal));
}

Reason AccessCheck::State::judge_candidate(const Rule& rule, RequestView& view,
                                           const Candidate& candidate, Decision& decision) {
  if (candidate.text.size() > kMaximumTokenBytes) return Reason::kTooLarge;
  if (candidate.text.empty()) return Reason::kMalformed;
  const Digest name = name_of(candidate);
  GoodToken* token = find_good(name, rule.ring);
  if (token != nullptr) {
    count(counters.known_good);
  } else {
    const AccessRequest& request = view.request();
    if (const auto known = bad.find(name, rule.ring.id, request.monotonic_now)) {
      count(counters.known_bad);
      return *known;
    }
    const auto verified = verify(rule, view, candidate, name);
    if (!verified) return verified.error();
    token = *verified;
  }
  ClockView clock = clock_of(view.request(), &rule.ring);
  if (!clock.is_sane && token->token.issued) {
    // Its issuer's clock was there already.
    WallTime& proven = proven_by_ring[rule.ring.id];
    proven = std::max(proven, *token->token.issued);
    clock.proven = std::max(clock.proven, proven);
  }
  Judge judge(policy->parts().clock, clock, rule, view, expressions, nullptr);
  const TrustedKey& signer = *rule.ring.find(token->token.key);
  if (const Reason reason = judge.judge(token->token, signer); reason != Reason::kTokenHolds) {
    return reason;
  }
  if (const Reason reason = use_once(token->token, view); reason != Reason::kTokenHolds) {
    return reason;
  }
  renew(rule, view, candidate, *token, decision);
  return Reason::kTokenHolds;
}

Reason AccessCheck::State::judge_signed(const Rule& rule, RequestView& view, Decision& decision) {
  const Candidates candidates = find_candidates(rule, found, view.request().fields);
  Reason first = Reason::kNoToken;
  for (const Candidate& each : candidates) {
    const Reason reason = judge_candidate(rule, view, each, decision);
    if (is_allowed(reason)) {
      first = reason;
      break;
    }
    // Who should try again must hear so, whatever another token is worth.
    if (first == Reason::kNoToken || reason == Reason::kBusy) first = reason;
  }
  return first;
}

Decision AccessCheck::State::decide(const AccessRequest& request) {
  const AccessPolicy::Parts& parts = policy->parts();
  Decision decision;
  decision.target = request.target;
  if (policy->is_open()) return decision;
  if (strip_tokens(request.target, parts.names, stripped, found)) decision.target = stripped;
  decision.token_in_fields = carries_token_fields(*policy, request.fields);
  const HostPort authority = split_authority(request.authority, request.scheme);
  RequestView view(request, decision.target, parts.territories.get(), parts.networks.get());
  const Reason unmatched = parts.unmatched == Mode::kOpen ? Reason::kOpen : Reason::kNoRule;
  if (!parts.index.knows(authority.host)) {
    decision.reason = unmatched;
    return decision;
  }
  if (is_ambiguous_path(view.path())) {
    decision.reason = Reason::kAmbiguousTarget;
    return decision;
  }
  std::string normal;
  std::string_view path = view.path();
  if (path.contains('%')) {
    append_normal_path(normal, path);
    path = normal;
  }
  const Rule* rule = parts.index.find(authority.host, path);
  if ((path.contains(';') || path.contains("%3B")) &&
      parts.index.find(authority.host, without_path_parameters(path)) != rule) {
    decision.reason = Reason::kAmbiguousTarget;
    return decision;
  }
  if (rule == nullptr) {
    decision.reason = unmatched;
    return decision;
  }
  decision.rule = rule->name;
  switch (rule->mode) {
    case Mode::kDenied:
      decision.reason = Reason::kDeniedByRule;
      break;
    case Mode::kOpen: {
      const ClockView clock = clock_of(request, nullptr);
      decision.reason = Judge(parts.clock, clock, *rule, view, expressions, nullptr).judge_open();
      break;
    }
    case Mode::kSigned:
      decision.reason = judge_signed(*rule, view, decision);
      break;
  }
  return decision;
}

AccessCheck::AccessCheck(const CheckOptions& options, std::shared_ptr<const AccessPolicy> policy,
                         std::shared_ptr<ReplayTable> replay, SipHashKey key)
    : state_(std::make_unique<State>(options, std::move(policy), std::move(replay), key)) {}

AccessCheck::~AccessCheck() = default;

void AccessCheck::set_policy(std::shared_ptr<const AccessPolicy> policy) {
  state_->policy = std::move(policy);
  // Rings that are gone prove nothing any more; bounded by the number of rules.
  std::erase_if(state_->proven_by_ring, [this](const auto& entry) {
    return std::ranges::none_of(state_->policy->parts().rules, [&entry](const auto& rule) {
      return rule->ring.id == entry.first;
    });
  });
}

const AccessPolicy& AccessCheck::policy() const { return *state_->policy; }
const CheckCounters& AccessCheck::counters() const { return state_->counters; }

Decision AccessCheck::check(const AccessRequest& request) {
  Decision decision = state_->decide(request);
  count(state_->counters.decisions[static_cast<std::size_t>(decision.reason)]);
  return decision;
}

}  // namespace nearfield::access
