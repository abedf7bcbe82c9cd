// Signed URIs. The input is a target with whatever token, a line feed, and Cookie fields. What must
// hold: nothing is allowed without a signature that verified but what no origin takes for a path of
// the signed rule, the check and its explanation agree, and what is stripped holds no token and is
// stripped once.
#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/access/policy_parts.h"
#include "tests/fuzz/access_fuzz_support.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::access;

namespace {

int digit_value(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef0123456789ABCDEF";
  const std::size_t at = kDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at % 16);
}

// A path as the most lenient origin reads it: decoded, without path parameters, empty and dot
// segments.
std::string as_read_leniently(std::string_view path) {
  std::string decoded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool is_encoded = path[i] == '%' && i + 2 < path.size() &&
                            digit_value(path[i + 1]) >= 0 && digit_value(path[i + 2]) >= 0;
    char c = path[i];
    if (is_encoded) {
      c = static_cast<char>(digit_value(path[i + 1]) * 16 + digit_value(path[i + 2]));
      i += 2;
    }
    decoded += c == '\\' ? '/' : c;
  }
  std::vector<std::string_view> segments;
  for (std::string_view rest = decoded; !rest.empty();) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view segment = rest.substr(0, std::min(end, rest.find(';')));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  std::string read;
  for (const std::string_view segment : segments) read += "/" + std::string(segment);
  return read + "/";
}

}  // namespace

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
  std::string cleaned;
  std::string cleaned_again;
  FUZZ_CHECK(explanation.target == loggable(world.policy(), decision.target, cleaned));
  FUZZ_CHECK(loggable(world.policy(), explanation.target, cleaned_again) == explanation.target);
  FUZZ_CHECK(explanation.reason == decision.reason || decision.reason == Reason::kBusy);
  const bool has_signature = std::ranges::any_of(explanation.steps, [](const ExplainStep& step) {
    return step.subject == "signature" && step.verdict == ExplainStep::Verdict::kHolds;
  });
  const std::string_view path = decision.target.substr(0, decision.target.find('?'));
  const bool is_elsewhere =
      decision.reason == Reason::kOpen && !as_read_leniently(path).starts_with("/albums/");
  FUZZ_CHECK(!decision.allowed() || has_signature || is_elsewhere);

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
