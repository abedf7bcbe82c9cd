#include "dataplane/access/explain.h"

#include <algorithm>
#include <format>
#include <utility>

#include "dataplane/access/candidates.h"
#include "dataplane/access/judge.h"
#include "dataplane/access/policy_parts.h"

namespace nearfield::access {
namespace {

using Verdict = ExplainStep::Verdict;

class Explainer {
 public:
  Explainer(const AccessPolicy& policy, const AccessRequest& request, const ReplayTable* replay,
            const TimeFloor* time_floor)
      : policy_(policy),
        parts_(policy.parts()),
        request_(request),
        replay_(replay),
        time_floor_(time_floor) {}

  Explanation run(bool is_open) {
    std::string cleaned;
    out_.target = loggable(policy_, request_.target, cleaned);
    if (is_open) {
      step(Verdict::kHolds, "rules", "there are none: everything is open");
      return std::move(out_);
    }
    std::string stripped;
    std::vector<FoundToken> found;
    target_ = request_.target;
    if (strip_tokens(request_.target, parts_.names, stripped, found)) target_ = stripped;
    out_.target = loggable(policy_, target_, cleaned);
    read_clock();
    out_.reason = decide(found);
    return std::move(out_);
  }

 private:
  // As the check does, but for what other tokens' "iat" proved to a worker.
  void read_clock() {
    clock_.now = request_.now;
    clock_.is_sane = policy_.trusts_clock(request_.clock_synchronised, request_.now);
    clock_.proven = parts_.clock.not_before;
    if (time_floor_ != nullptr) {
      clock_.proven = std::max<WallTime>(clock_.proven, time_floor_->at(request_.monotonic_now));
      if (clock_.is_sane) clock_.now = time_floor_->look(request_.now, request_.monotonic_now);
    }
    std::string detail = time_text(request_.now);
    if (!clock_.is_sane) {
      detail += request_.clock_synchronised
                    ? ", which is not trusted: it is before this release was made"
                    : ", which is not trusted: the kernel does not call it synchronised";
      detail += "; proven to be past " + time_text(clock_.proven);
    } else if (clock_.now > request_.now) {
      detail += "; it was set back, and until it has stood so for an hour " +
                time_text(clock_.now) + " counts";
    }
    step(Verdict::kInformation, "clock", std::move(detail));
  }

  void step(Verdict verdict, std::string subject, std::string detail) {
    out_.steps.push_back({verdict, std::move(subject), std::move(detail)});
  }

  Reason unmatched(std::string detail) {
    const bool is_open = parts_.unmatched == Mode::kOpen;
    step(is_open ? Verdict::kHolds : Verdict::kRefuses, "rule",
         std::move(detail) + ", and what no rule matches is " + (is_open ? "open" : "denied"));
    return is_open ? Reason::kOpen : Reason::kNoRule;
  }

  Reason decide(const std::vector<FoundToken>& found) {
    RequestView view(request_, target_, parts_.territories.get(), parts_.networks.get());
    const HostPort authority = split_authority(request_.authority, request_.scheme);
    if (!parts_.index.knows(authority.host)) return unmatched("none is for this host");
    const auto [rule, is_ambiguous] = find_rule(parts_, authority.host, view.path());
    if (is_ambiguous) {
      step(
          Verdict::kRefuses, "path",
          "dot segments, doubled or encoded slashes, broken encodings, or parameters without which "
          "another rule is for it: origins read that in different ways");
      return Reason::kAmbiguousTarget;
    }
    if (rule == nullptr) return unmatched("none is for this path of the host");
    out_.rule = rule->name;
    static constexpr std::string_view kModes[] = {"open", "signed", "denied"};
    step(rule->mode == Mode::kDenied ? Verdict::kRefuses : Verdict::kInformation, "rule",
         std::format("'{}' for host '{}' and path '{}': {}", rule->name, rule->host, rule->path,
                     kModes[static_cast<std::size_t>(rule->mode)]));
    if (rule->mode == Mode::kDenied) return Reason::kDeniedByRule;
    if (rule->mode == Mode::kOpen) {
      return Judge(parts_, clock_, *rule, view, expressions_, &out_.steps).judge_open();
    }
    return judge_signed(*rule, view, found);
  }

  Reason judge_signed(const Rule& rule, RequestView& view, const std::vector<FoundToken>& found) {
    const Candidates candidates = find_candidates(rule, found, request_.fields);
    Reason first = Reason::kNoToken;
    std::size_t number = 0;
    for (const Candidate& each : candidates) {
      const std::string subject = std::format("token {}", ++number);
      step(Verdict::kInformation, subject,
           std::format("{} in {}, {} bytes",
                       each.kind == TokenKind::kCat ? "Common Access Token" : "signed URI token",
                       place_text(each), each.text.size()));
      const Reason reason = judge_candidate(rule, view, each, subject);
      if (is_allowed(reason)) return reason;
      first = refusal_of(first, reason);
    }
    if (candidates.empty()) {
      step(Verdict::kRefuses, "token", "there is none where this rule looks for one");
    }
    return first;
  }

  Reason refuse(const std::string& subject, Reason reason, std::string detail) {
    step(Verdict::kRefuses, subject, std::move(detail));
    return reason;
  }

  Reason judge_candidate(const Rule& rule, RequestView& view, const Candidate& candidate,
                         const std::string& subject) {
    std::string problem;
    auto envelope = parse_token(candidate.kind, candidate.text, &problem);
    if (!envelope) {
      const std::string name(reason_name(envelope.error()));
      return refuse(subject, envelope.error(),
                    "cannot be read: " + name + (problem.empty() ? "" : ", " + problem));
    }
    Token& token = envelope->token;
    const KeySet* set = nullptr;
    const Key* signer = nullptr;
    Reason first = look_at_signature(rule, *envelope, set, signer);
    Reason sealed = Reason::kTokenHolds;
    if (!token.sealed_client.empty() && signer == nullptr) {
      step(Verdict::kInformation, "cdniip", "not opened: the signature does not hold");
      token.names_networks = false;
    } else if (!open_sealed_claims(rule.ring, token)) {
      sealed = refuse("cdniip", Reason::kUnsupportedClaim,
                      "cannot be opened with the encryption keys of the rule, or is no address");
      token.names_networks = false;
    }
    if (set == nullptr) step(Verdict::kInformation, "iss", "not judged: no key says whose it is");
    ClockView clock = clock_;
    if (signer != nullptr && !clock.is_sane && token.issued) {
      clock.proven = std::max(clock.proven, *token.issued);
    }
    const Reason claims =
        Judge(parts_, clock, rule, view, expressions_, &out_.steps).judge(token, set);
    const Reason use = signer == nullptr ? Reason::kTokenHolds : judge_use(token, *signer);
    // The check looks at keys, then at the expiry, and only then at the signature.
    if (first == Reason::kTokenHolds || first == Reason::kBadSignature) {
      const Reason expiry =
          Judge(parts_, clock_, rule, view, expressions_, nullptr).judge_expiry(token);
      if (expiry != Reason::kTokenHolds) return expiry;
    }
    for (const Reason next : {sealed, claims, use}) {
      if (first == Reason::kTokenHolds) first = next;
    }
    return first;
  }

  // `signer`: null unless the signature holds. `set`: whose issuers count, null when that is open.
  Reason look_at_signature(const Rule& rule, const Envelope& envelope, const KeySet*& set,
                           const Key*& signer) {
    const std::string algorithm(algorithm_name(envelope.algorithm));
    const auto keys = select_keys(rule.ring, envelope);
    if (!keys) {
      return refuse("key", keys.error(),
                    keys.error() == Reason::kAlgorithm
                        ? "no key of the rule is for " + algorithm
                        : "no key of the rule for " + algorithm + " has the id it names");
    }
    for (const TrustedKey* each : *keys) {
      if (!each->key->verify(bytes_of(envelope.message), envelope.signature)) continue;
      set = each->set.get();
      signer = each->key.get();
      step(Verdict::kHolds, "signature",
           std::format("{} by key '{}' of key set '{}'", algorithm, signer->id(), set->name));
      return Reason::kTokenHolds;
    }
    const KeySet* first_set = (*keys->begin())->set.get();
    if (std::ranges::all_of(*keys, [&](const auto* each) { return each->set.get() == first_set; }))
      set = first_set;
    return refuse("signature", Reason::kBadSignature,
                  std::format("{} does not verify with any of {} keys; nobody vouches for what "
                              "follows",
                              algorithm, keys->size()));
  }

  Reason judge_use(const Token& token, const Key& signer) {
    if (!token.single_use) return Reason::kTokenHolds;
    if (replay_ == nullptr || !token.expires) {
      return refuse("single use", Reason::kUnsupportedClaim,
                    "this node does not remember tokens for one use, or the token never expires");
    }
    switch (replay_->look(single_use_identity(token, signer),
                          clock_.is_sane ? clock_.now : clock_.proven)) {
      case ReplayTable::Use::kFirst:
        step(Verdict::kHolds, "single use", "not used on this node yet");
        return Reason::kTokenHolds;
      case ReplayTable::Use::kAgain:
        return refuse("single use", Reason::kReplayed, "used on this node before");
      case ReplayTable::Use::kFull:
        return refuse("single use", Reason::kBusy, "the table of used tokens is full");
    }
    return Reason::kReplayed;
  }

  const AccessPolicy& policy_;
  const AccessPolicy::Parts& parts_;
  const AccessRequest& request_;
  std::string_view target_;  // without tokens
  const ReplayTable* replay_;
  const TimeFloor* time_floor_;
  ExpressionCache expressions_{16};
  ClockView clock_;
  Explanation out_;
};

}  // namespace

Explanation explain(const AccessPolicy& policy, const AccessRequest& request,
                    const ReplayTable* replay, const TimeFloor* time_floor) {
  return Explainer(policy, request, replay, time_floor).run(policy.is_open());
}

}  // namespace nearfield::access
