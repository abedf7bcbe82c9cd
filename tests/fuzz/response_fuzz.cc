// An origin's bytes. The first byte says how they are cut, the second which method was asked. What
// must hold: the same comes out whole and cut, a body called complete has the length it was said to
// have, and caching semantics survive every accepted head.
#include <string>
#include <vector>

#include "dataplane/http/conditional.h"
#include "dataplane/http/forward.h"
#include "dataplane/http/invalidate.h"
#include "dataplane/http/range.h"
#include "dataplane/http/response_parser.h"
#include "dataplane/http/reuse.h"
#include "dataplane/http/storability.h"
#include "dataplane/http/update.h"
#include "dataplane/http/vary.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::http;
using fuzz::bytes_of;
using fuzz::text_of;

namespace {

constexpr WallTime kNow{std::chrono::seconds(1'750'000'000)};

ResponseLimits limits() {
  ResponseLimits limits;
  limits.max_head_bytes = 2048;
  limits.max_field_count = 24;
  limits.max_interim_count = 3;
  limits.max_trailer_bytes = 128;
  limits.max_trailer_count = 3;
  limits.max_chunk_line_bytes = 32;
  return limits;
}

struct Transcript {
  std::vector<std::string> interims;
  std::string head;
  std::string body;
  std::string trailers;
  bool complete = false;
  bool error = false;
  ResponseEnd end = ResponseEnd::kNothing;
  std::size_t consumed = 0;

  bool operator==(const Transcript& other) const {
    if (error || other.error)
      return error == other.error && interims == other.interims && head == other.head;
    return interims == other.interims && head == other.head && body == other.body &&
           trailers == other.trailers && complete == other.complete && end == other.end &&
           consumed == other.consumed;
  }
};

void check_semantics(const ResponseHead& head, Method method) {
  const CacheDirectives directives = parse_response_directives(head.fields);
  const CachePolicy policy;
  const Freshness freshness = compute_freshness(
      head.status, head.fields, directives, {kNow - std::chrono::milliseconds(1500), kNow}, policy);
  FUZZ_CHECK(freshness.lifetime.count() >= 0 && freshness.lifetime <= kMaxSeconds);
  FUZZ_CHECK(freshness.initial_age.count() >= 0 && freshness.initial_age <= kMaxSeconds);
  FUZZ_CHECK(freshness.age(kNow + kMaxSeconds) <= kMaxSeconds);

  RequestHead request;
  request.method = method;
  request.authority = "a.net";
  request.target = "/b/c?d";
  request.path_size = 4;
  const Storability verdict =
      may_store(request, {}, head.status, head.fields, directives, freshness, policy);
  FUZZ_CHECK(!storability_token(verdict).empty());
  if (verdict == Storability::kStorable) {
    FUZZ_CHECK(method == Method::kGet);
    FUZZ_CHECK(!directives.is_private);
    FUZZ_CHECK(vary_names(head.fields).has_value());
  }
  const ReuseDecision decision =
      decide_reuse(freshness, {}, kNow + std::chrono::seconds(5), policy);
  if (decision.reuse == Reuse::kFresh) FUZZ_CHECK(!directives.no_cache);
  if (freshness.stale_forbidden) {
    FUZZ_CHECK(!may_serve_on_error(freshness, {}, kNow + kMaxSeconds, policy));
    FUZZ_CHECK(decision.reuse != Reuse::kStaleRevalidate);
  }

  Fields stored = head.fields;
  prepare_for_storage(stored, directives, policy);
  FUZZ_CHECK(!stored.contains("Connection") && !stored.contains("Transfer-Encoding"));
  ensure_date(stored, kNow);
  FUZZ_CHECK(stored.count("Date") == 1);
  Fields updated = stored;
  update_stored_fields(updated, stored);
  FUZZ_CHECK(updated.size() <= stored.size() + 1);
  FUZZ_CHECK(updated.combined("Content-Length") == stored.combined("Content-Length"));
  confirms(stored, stored, false);
  head_effect(head.status, stored, stored, head.content_length);
  Fields conditional;
  add_validators(conditional, stored);
  add_range(conditional, 5, std::nullopt, stored, kNow);
  evaluate_preconditions(conditional, Validators::of(stored, kNow), kNow);
  request.method = Method::kPost;
  FUZZ_CHECK(invalidated_keys(request, head.status, head.fields, {}).size() <= 3);
  if (const auto range = head.fields.find("Content-Range")) parse_content_range(*range);
}

Transcript read(std::string_view input, Method method, std::uint32_t seed) {
  Transcript transcript;
  fuzz::Cutter cutter(seed);
  ResponseParser parser(limits());
  parser.begin(method);
  std::size_t offered = 0;
  while (true) {
    if (transcript.consumed == offered && offered < input.size())
      offered += cutter.next(input.size() - offered);
    const ParseStep step =
        parser.feed(bytes_of(input.substr(transcript.consumed, offered - transcript.consumed)));
    FUZZ_CHECK(step.consumed <= offered - transcript.consumed);
    transcript.consumed += step.consumed;
    bool done = false;
    switch (step.event) {
      case ParseEvent::kNeedMore:
        FUZZ_CHECK(transcript.consumed == offered);
        done = offered == input.size();
        break;
      case ParseEvent::kInterim:
        FUZZ_CHECK(parser.head().status >= 100 && parser.head().status < 200);
        transcript.interims.emplace_back(parser.head().fields.text());
        break;
      case ParseEvent::kHead:
        FUZZ_CHECK(parser.head().status >= 200);
        transcript.head =
            std::to_string(parser.head().status) + " " + std::string(parser.head().fields.text());
        if (seed == 0) check_semantics(parser.head(), method);
        break;
      case ParseEvent::kBody:
        FUZZ_CHECK(!step.body.empty());
        FUZZ_CHECK(method != Method::kHead && parser.head().status != 204 &&
                   parser.head().status != 304);
        transcript.body += text_of(step.body);
        break;
      case ParseEvent::kComplete:
        transcript.complete = true;
        parser.trailers().append_to(transcript.trailers);
        done = true;
        break;
      case ParseEvent::kError:
        FUZZ_CHECK(!parser.error().empty());
        transcript.error = true;
        FUZZ_CHECK(parser.finish() == ResponseEnd::kTruncated);
        return transcript;
    }
    if (done) break;
  }
  transcript.end = parser.finish();
  if (transcript.complete) FUZZ_CHECK(transcript.end == ResponseEnd::kComplete);
  if (transcript.end == ResponseEnd::kComplete && parser.head().framing == BodyFraming::kLength) {
    FUZZ_CHECK(transcript.body.size() == parser.head().content_length);
  }
  return transcript;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Method method = (data[1] & 1) != 0 ? Method::kHead : Method::kGet;
  const std::string_view input = text_of(data + 2, size - 2);
  const Transcript whole = read(input, method, 0);
  FUZZ_CHECK(read(input, method, data[0] + 1u) == whole);
  return 0;
}
