// See access_why.h.
#include "dataplane/control/access_why.h"

#include <boost/json.hpp>
#include <format>
#include <iterator>
#include <utility>

#include "dataplane/access/explain.h"
#include "dataplane/control/json_text.h"
#include "dataplane/control/url.h"

namespace nearfield::control {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaximumFields = 100;

Result<void> take_url(std::string_view text, WhyQuestion& question) {
  auto url = Url::parse(text);
  if (!url) return std::unexpected(url.error());
  question.scheme = url->scheme;
  question.authority = std::move(url->authority);
  question.target = url->target();
  return {};
}

std::string_view text_of(access::ExplainStep::Verdict verdict) {
  using Verdict = access::ExplainStep::Verdict;
  return verdict == Verdict::kHolds     ? "holds"
         : verdict == Verdict::kRefuses ? "refuses"
                                        : "information";
}

Result<void> take_member(std::string_view name, const json::value& value, WhyQuestion& question) {
  if (name == "fields") {
    const json::object* fields = value.if_object();
    if (fields == nullptr || fields->size() > kMaximumFields)
      return failure("'fields' is not an object of at most 100 fields");
    for (const auto& [field, content] : *fields) {
      if (!content.is_string()) return failure("a value in 'fields' is not a text");
      if (!question.fields.add_received(field, content.get_string()))
        return failure("'fields' has a name or value that no HTTP field can have");
    }
    return {};
  }
  if (!value.is_string()) return failure(std::format("'{}' is not a text", name));
  const std::string_view text = value.get_string();
  if (name == "url") return take_url(text, question);
  if (name == "method") {
    question.method = text;
    return {};
  }
  if (name == "client") {
    const auto address = net::Address::parse(text);
    if (!address) return std::unexpected(address.error());
    question.client = *address;
    return {};
  }
  return failure(std::format("'{}' is not known: use url, client, method and fields", name));
}

}  // namespace

Result<WhyQuestion> parse_why_question(std::string_view body) {
  boost::system::error_code code;
  json::parse_options options;
  options.max_depth = 4;
  const json::value value = json::parse(body, code, {}, options);
  if (code) return failure("the body is not JSON: " + code.message());
  const json::object* object = value.if_object();
  if (object == nullptr) return failure("the body is not a JSON object");
  WhyQuestion question;
  for (const auto& [name, content] : *object) {
    if (auto taken = take_member(name, content, question); !taken)
      return std::unexpected(taken.error());
  }
  if (question.authority.empty()) return failure("'url' is missing");
  return question;
}

std::string why_json(const access::AccessPolicy& policy, const WhyQuestion& question,
                     const access::ReplayTable* replayed, const WhyClock& clock) {
  const access::Explanation explanation =
      access::explain(policy,
                      {.method = question.method,
                       .scheme = question.scheme,
                       .authority = question.authority,
                       .target = question.target,
                       .fields = &question.fields,
                       .client = question.client,
                       .now = clock.now,
                       .monotonic_now = clock.monotonic_now,
                       .clock_synchronised = clock.synchronised},
                      replayed, clock.floor);
  // By hand: what tokens say need not be UTF-8, and JSON must be.
  std::string body =
      std::format(R"({{"schema":1,"allowed":{})", access::is_allowed(explanation.reason));
  const auto member = [&body](std::string_view name, std::string_view text) {
    std::format_to(std::back_inserter(body), R"(,"{}":)", name);
    append_json_string(body, text);
  };
  member("reason", access::reason_name(explanation.reason));
  member("rule", explanation.rule);
  member("target", explanation.target);
  body += R"(,"steps":[)";
  for (const access::ExplainStep& step : explanation.steps) {
    std::format_to(std::back_inserter(body), R"({}{{"verdict":"{}")",
                   &step == explanation.steps.data() ? "" : ",", text_of(step.verdict));
    member("subject", step.subject);
    member("detail", step.detail);
    body += '}';
  }
  body += "]}";
  return body;
}

}  // namespace nearfield::control
