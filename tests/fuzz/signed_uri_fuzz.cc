// Signed URIs. The input is a target with whatever token, a line feed, and Cookie fields. What must
// hold: nothing is allowed without a signature that verified, the check and its explanation agree,
// and what is stripped holds no token and is stripped once.
#include <algorithm>
#include <string>

#include "dataplane/access/policy_parts.h"
#include "tests/fuzz/access_fuzz_support.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::access;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::text_of(data, size);
  const std::size_t line = input.find('\n');
  const std::string target = "/" + std::string(input.substr(0, line));
  if (target.find('\0') != std::string::npos) return 0;
  http::Fields fields;
  if (line != std::string_view::npos) fields.add("Cookie", input.substr(line + 1));

  fuzz::AccessWorld& world = fuzz::AccessWorld::get();
  AccessRequest request = world.request(target, fields);
  const Decision decision = world.check(request);
  const Explanation explanation = explain(world.policy(), request, nullptr);
  FUZZ_CHECK(explanation.target == decision.target);
  FUZZ_CHECK(explanation.reason == decision.reason || decision.reason == Reason::kBusy);
  const bool has_signature = std::ranges::any_of(explanation.steps, [](const ExplainStep& step) {
    return step.subject == "signature" && step.verdict == ExplainStep::Verdict::kHolds;
  });
  FUZZ_CHECK(!decision.allowed() || has_signature);

  std::string again;
  std::vector<FoundToken> found;
  FUZZ_CHECK(!strip_tokens(decision.target, world.policy().parts().names, again, found));
  remove_token_fields(world.policy(), fields);
  FUZZ_CHECK(!carries_token_fields(world.policy(), &fields));

  // The parsers by themselves, without the way through a target.
  if (const auto envelope = parse_signed_uri_token(input)) {
    FUZZ_CHECK(envelope->signature.size() == 32 || envelope->signature.size() == 64);
    FUZZ_CHECK(envelope->token.memory_bytes() < std::size_t{1} << 20);
    ExpressionCache expressions(2);
    if (envelope->token.container) expressions.matches(*envelope->token.container, target);
    if (envelope->token.renewal) {
      const std::string renewed =
          renew_signed_uri_token(envelope->token, world.signing_key(), request.now, "node");
      const auto second = parse_signed_uri_token(renewed);
      FUZZ_CHECK(renewed.size() > kMaximumTokenBytes || second.has_value());
    }
  }
  open_sealed(input, {});
  return 0;
}
