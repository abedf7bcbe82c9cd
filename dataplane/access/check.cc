#include "dataplane/access/check.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "cache/base/count.h"
#include "dataplane/access/candidates.h"
#include "dataplane/access/judge.h"
#include "dataplane/access/policy_parts.h"
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

// Whether the ring still has the keys that verified and opened the token.
bool is_trusted(const Token& token, const KeyRing& ring) {
  return ring.find(token.key) != nullptr && (!token.sealing_key || ring.opens(*token.sealing_key));
}

// How much public-key work strangers may cause: in all, and those of one prefix.
class WorkLimit {
 public:
  WorkLimit(const CheckOptions& options, SipHashKey key)
      : key_(key),
        all_(options.verifications_per_second, options.verifications_at_once),
        prefixes_(kPrefixLimits, net::RateLimit(options.prefix_verifications_per_second,
                                                options.prefix_verifications_at_once)) {}

  bool allow(const AccessRequest& request) {
    const net::Address prefix = request.client.truncated(kPrefixV4Bits, kPrefixV6Bits);
    const std::uint64_t hash = siphash(key_, std::as_bytes(std::span(prefix.bytes)));
    return prefixes_[hash % kPrefixLimits].allow(request.monotonic_now) &&
           all_.allow(request.monotonic_now);
  }

 private:
  SipHashKey key_;
  net::RateLimit all_;
  std::vector<net::RateLimit> prefixes_;
};

}  // namespace

struct AccessCheck::State {
  State(const CheckOptions& check_options, std::shared_ptr<const AccessPolicy> first_policy,
        std::shared_ptr<ReplayTable> replay_table, SipHashKey sip_key,
        std::shared_ptr<TimeFloor> shared_floor)
      : options(check_options),
        policy(std::move(first_policy)),
        replay(std::move(replay_table)),
        good(std::max<std::size_t>(1, check_options.good_tokens), check_options.good_token_bytes),
        bad(check_options.bad_tokens, check_options.bad_token_lifetime, sip_key),
        expressions(check_options.expressions),
        verifying(check_options, sip_key),
        renewing(check_options, sip_key),
        time_floor(shared_floor != nullptr ? std::move(shared_floor)
                                           : std::make_shared<TimeFloor>()) {}

  Decision decide(const AccessRequest& request);
  Reason judge_signed(const Rule& rule, RequestView& view, Decision& decision);
  Reason judge_candidate(const Rule& rule, RequestView& view, const Candidate& candidate,
                         Decision& decision);
  // The token under its name when it is known to be good under this ring.
  GoodToken* find_good(const Digest& name, const KeyRing& ring);
  std::expected<GoodToken*, Reason> verify(const Rule& rule, RequestView& view,
                                           const Candidate& candidate, const Digest& name);
  // The key that made the token; null: none of `keys` did.
  std::expected<const TrustedKey*, Reason> find_signer(const AccessRequest& request,
                                                       const TriedKeys& keys,
                                                       const Envelope& envelope,
                                                       const Digest& name);
  Reason use_once(const Token& token, const Key& signer, const ClockView& clock);
  void renew(const Rule& rule, RequestView& view, const Candidate& candidate, GoodToken& good_token,
             const ClockView& clock, Decision& decision);
  void know_renewed(const Rule& rule, const Candidate& candidate, const std::string& text);
  ClockView clock_of(const AccessRequest& request, const KeyRing* ring);

  CheckOptions options;
  std::shared_ptr<const AccessPolicy> policy;
  std::shared_ptr<ReplayTable> replay;
  GoodTokens good;
  BadTokens bad;
  ExpressionCache expressions;
  // Renewals have a limit of their own: a flood of strangers from a listener's prefix must not end
  // the chain that the listener lives on.
  WorkLimit verifying;
  WorkLimit renewing;
  CheckCounters counters;
  // What times are proven: by a clock that was trusted, and by tokens of each ring.
  std::shared_ptr<TimeFloor> time_floor;
  std::unordered_map<Digest, WallTime, DigestHash> proven_by_ring;
  std::string stripped;
  std::vector<FoundToken> found;
};

ClockView AccessCheck::State::clock_of(const AccessRequest& request, const KeyRing* ring) {
  ClockView view;
  view.now = request.now;
  view.is_sane = policy->trusts_clock(request.clock_synchronised, request.now);
  if (view.is_sane) {
    view.now = time_floor->heed(request.now, request.monotonic_now);
  } else {
    time_floor->distrust();
  }
  view.proven =
      std::max<WallTime>(policy->parts().clock.not_before, time_floor->at(request.monotonic_now));
  if (ring != nullptr && !view.is_sane) {
    const auto known = proven_by_ring.find(ring->id);
    if (known != proven_by_ring.end()) view.proven = std::max(view.proven, known->second);
  }
  return view;
}

GoodToken* AccessCheck::State::find_good(const Digest& name, const KeyRing& ring) {
  GoodToken* known = good.find(name);
  return known != nullptr && is_trusted(known->token, ring) ? known : nullptr;
}

std::expected<const TrustedKey*, Reason> AccessCheck::State::find_signer(
    const AccessRequest& request, const TriedKeys& keys, const Envelope& envelope,
    const Digest& name) {
  if (replay != nullptr) {
    if (const auto signer = replay->renewed().find(name)) {
      for (const TrustedKey* each : keys) {
        if (each->key->fingerprint() == *signer) return each;
      }
    }
  }
  for (const TrustedKey* each : keys) {
    if (each->key->algorithm() == Algorithm::kEs256) {
      if (!verifying.allow(request)) return std::unexpected(Reason::kBusy);
      count(counters.signatures_verified);
    } else {
      count(counters.macs_verified);
    }
    if (each->key->verify(bytes_of(envelope.message), envelope.signature)) return each;
  }
  return nullptr;
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
  Judge early(policy->parts(), clock, rule, view, expressions, nullptr);
  if (const Reason expiry = early.judge_expiry(envelope->token); expiry != Reason::kTokenHolds) {
    return std::unexpected(expiry);
  }
  // Another spelling of a token that is known: neither a second verification nor a second place.
  const Digest identity = envelope->identity();
  GoodToken* same = good.find_identity(identity);
  if (same != nullptr && is_trusted(same->token, rule.ring) &&
      std::ranges::any_of(*keys, [same](const TrustedKey* each) {
        return each->key->fingerprint() == same->token.key;
      })) {
    count(counters.known_good);
    return same;
  }
  const auto maker = find_signer(request, *keys, *envelope, name);
  if (!maker) return std::unexpected(maker.error());
  const TrustedKey* signer = *maker;
  if (signer == nullptr) {
    bad.add(name, rule.ring.id, Reason::kBadSignature, request.monotonic_now);
    return std::unexpected(Reason::kBadSignature);
  }
  envelope->token.key = signer->key->fingerprint();
  if (!open_sealed_claims(rule.ring, envelope->token)) {
    bad.add(name, rule.ring.id, Reason::kUnsupportedClaim, request.monotonic_now);
    return std::unexpected(Reason::kUnsupportedClaim);
  }
  return &good.add(name, identity, std::move(envelope->token));
}

Reason AccessCheck::State::use_once(const Token& token, const Key& signer, const ClockView& clock) {
  if (!token.single_use) return Reason::kTokenHolds;
  // A token without an end would have to be remembered for ever.
  if (replay == nullptr || !token.expires) return Reason::kUnsupportedClaim;
  const ClockOptions& limits = policy->parts().clock;
  const WallTime until = *token.expires + std::max(limits.cat_leeway, limits.untrusted_tolerance);
  // A clock that runs ahead must not make the table forget what is good again once it is set.
  const WallTime now = clock.is_sane ? clock.now : clock.proven;
  switch (replay->use(single_use_identity(token, signer), now, until)) {
    case ReplayTable::Use::kFirst:
      return Reason::kTokenHolds;
    case ReplayTable::Use::kAgain:
      return Reason::kReplayed;
    case ReplayTable::Use::kFull:
      return Reason::kBusy;
  }
  return Reason::kReplayed;
}

// What this node signed need not be verified when it comes back, here or at another worker: a
// listener with a chain of tokens would be a stranger again at each renewal.
void AccessCheck::State::know_renewed(const Rule& rule, const Candidate& candidate,
                                      const std::string& text) {
  const Digest name = name_of({candidate.kind, candidate.place, candidate.name, text});
  auto envelope = parse_token(candidate.kind, text);
  if (!envelope || !envelope->token.expires) return;
  envelope->token.key = rule.renewal_key->fingerprint();
  if (!open_sealed_claims(rule.ring, envelope->token)) return;
  if (replay != nullptr) {
    replay->renewed().add(name, envelope->token.key, *envelope->token.expires);
  }
  const Digest identity = envelope->identity();
  good.add(name, identity, std::move(envelope->token));
}

void AccessCheck::State::renew(const Rule& rule, RequestView& view, const Candidate& candidate,
                               GoodToken& good_token, const ClockView& clock, Decision& decision) {
  const AccessRequest& request = view.request();
  // Times of tokens this node signs must be right, and by the clock that they are judged by: while
  // that is ahead of the request's (TimeFloor), a token made by the latter would have expired.
  if (!clock.is_sane) return;
  const auto plan = plan_renewal(rule, good_token.token, candidate, view.path(), clock.now);
  if (!plan) return;
  const Key& key = *rule.renewal_key;
  const std::optional<MadeRenewal>& last = good_token.renewal;
  const bool is_fresh = last && last->key == key.fingerprint() &&
                        last->issuer == rule.renewal_issuer && clock.now >= last->made_at &&
                        clock.now - last->made_at <= good_token.token.renewal->lifetime / 4;
  if (!is_fresh) {
    if (key.algorithm() == Algorithm::kEs256 && !renewing.allow(request)) return;
    std::string text = make_renewed_token(rule, good_token.token, clock.now);
    if (text.size() > kMaximumTokenBytes) text.clear();  // nobody would take it
    good_token.renewal = {std::move(text), clock.now, key.fingerprint(), rule.renewal_issuer};
  }
  const std::string text = good_token.renewal->text;
  if (text.empty()) return;
  decision.renewals.push_back(renewal_field(*plan, good_token.token, request.scheme, text));
  if (is_fresh) return;
  count(counters.renewals);
  know_renewed(rule, candidate, text);  // `good_token` may be gone now
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
  Judge judge(policy->parts(), clock, rule, view, expressions, nullptr);
  const TrustedKey& signer = *rule.ring.find(token->token.key);
  if (const Reason reason = judge.judge(token->token, signer.set.get());
      reason != Reason::kTokenHolds) {
    return reason;
  }
  if (const Reason reason = use_once(token->token, *signer.key, clock);
      reason != Reason::kTokenHolds) {
    return reason;
  }
  renew(rule, view, candidate, *token, clock, decision);
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
    first = refusal_of(first, reason);
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
  const auto [rule, is_ambiguous] = find_rule(parts, authority.host, view.path());
  if (is_ambiguous) {
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
      decision.reason = Judge(parts, clock, *rule, view, expressions, nullptr).judge_open();
      break;
    }
    case Mode::kSigned:
      decision.reason = judge_signed(*rule, view, decision);
      break;
  }
  return decision;
}

AccessCheck::AccessCheck(const CheckOptions& options, std::shared_ptr<const AccessPolicy> policy,
                         std::shared_ptr<ReplayTable> replay, SipHashKey key,
                         std::shared_ptr<TimeFloor> time_floor)
    : state_(std::make_unique<State>(options, std::move(policy), std::move(replay), key,
                                     std::move(time_floor))) {}

AccessCheck::~AccessCheck() = default;

void AccessCheck::set_policy(std::shared_ptr<const AccessPolicy> policy) {
  state_->policy = std::move(policy);
  // What keys verified, opened or signed that are gone goes at once.
  std::unordered_set<Digest, DigestHash> keys;
  for (const auto& set : state_->policy->parts().key_sets) {
    for (const auto& key : set->keys) keys.insert(key->fingerprint());
  }
  state_->good.retain(keys);
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
