// Reason: why a request may or may not be served; one counter and one name each. Clients never
// learn it: every refusal looks the same to them (docs/access.md).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nearfield::access {

enum class Reason : std::uint8_t {
  // Allowed.
  kNoRules,  // there is no access configuration
  kOpen,
  kTokenHolds,
  // Refused.
  kNoRule,            // rules exist, none matches, and the default is denied
  kDeniedByRule,      //
  kNoToken,           //
  kTooLarge,          // of the token or one of its parts
  kMalformed,         // not a token, or a claim of the wrong type
  kAlgorithm,         // an algorithm that no key of the rule has, or "none"
  kUnknownKey,        // no key of this id, or the key is not trusted here
  kBadSignature,      //
  kExpired,           //
  kNotYetValid,       // nbf or iat lies ahead
  kTooLong,           // lives longer than maximum_token_lifetime, or has no expiry
  kWrongIssuer,       //
  kWrongAudience,     //
  kWrongUri,          //
  kWrongClient,       // address or network
  kWrongMethod,       //
  kWrongHeader,       //
  kWrongTerritory,    // of the rule or of the token
  kOutsideLicence,    //
  kClockNotSane,      // the clock cannot be trusted to say that this may be heard
  kUnsupportedClaim,  // a claim that restricts and that this node cannot judge
  kReplayed,          // a token for one use, used before
  kAmbiguousTarget,   // a path that origins read in different ways
  kBusy,              // too many new tokens at once; the one reason that is answered 503
};

inline constexpr std::size_t kReasons = static_cast<std::size_t>(Reason::kBusy) + 1;

// "no_token", "bad_signature": for metrics and the log.
std::string_view reason_name(Reason reason);
constexpr bool is_allowed(Reason reason) { return reason <= Reason::kTokenHolds; }

// Written by one worker, read by whoever collects metrics.
struct CheckCounters {
  std::array<std::atomic<std::uint64_t>, kReasons> decisions{};
  std::atomic<std::uint64_t> known_good = 0;  // tokens found in the table of good ones
  std::atomic<std::uint64_t> known_bad = 0;   // and of bad ones
  std::atomic<std::uint64_t> signatures_verified = 0;
  std::atomic<std::uint64_t> macs_verified = 0;
  std::atomic<std::uint64_t> renewals = 0;
};

}  // namespace nearfield::access
