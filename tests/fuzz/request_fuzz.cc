// A listener's bytes. The first byte says how they are cut; the rest is the connection. What must
// hold: the same messages come out whole and cut, nothing ambiguous is accepted, an accepted head
// written out reads the same again, and the semantics on top survive every accepted head.
#include <string>
#include <vector>

#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_key.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/cors.h"
#include "dataplane/http/forward.h"
#include "dataplane/http/invalidate.h"
#include "dataplane/http/range.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/vary.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::http;
using fuzz::bytes_of;
using fuzz::text_of;

namespace {

constexpr int kMaxMessages = 8;
constexpr nearfield::WallTime kNow{std::chrono::seconds(1'750'000'000)};

RequestLimits limits() {
  RequestLimits limits;
  limits.max_head_bytes = 2048;
  limits.max_target_bytes = 256;
  limits.max_field_count = 16;
  limits.max_trailer_bytes = 128;
  limits.max_trailer_count = 3;
  limits.max_chunk_line_bytes = 32;
  limits.max_body_bytes = 512;
  return limits;
}

struct Message {
  std::string head;
  std::string body;
  std::string trailers;
  bool operator==(const Message&) const = default;
};

struct Transcript {
  std::vector<Message> messages;
  bool error = false;
  bool operator==(const Transcript&) const = default;
};

std::string text_of_head(const RequestHead& head) {
  std::string text = head.method_text + " " + head.target + " HTTP/1." +
                     std::to_string(head.version_minor) + "\r\n";
  head.fields.append_to(text);
  return text + "\r\n";
}

// No reading of these bytes but one: lines end in CRLF, none is folded, no control bytes, one Host,
// one framing.
void check_unambiguous(std::string_view raw, const RequestHead& head) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const auto byte = static_cast<unsigned char>(raw[i]);
    FUZZ_CHECK(byte >= 0x20 || byte == '\t' || byte == '\r' || byte == '\n');
    FUZZ_CHECK(byte != 0x7f);
    if (byte == '\r') FUZZ_CHECK(i + 1 < raw.size() && raw[i + 1] == '\n');
    if (byte == '\n') FUZZ_CHECK(i > 0 && raw[i - 1] == '\r');
    if (byte == '\n' && i + 1 < raw.size()) FUZZ_CHECK(raw[i + 1] != ' ' && raw[i + 1] != '\t');
  }
  FUZZ_CHECK(head.fields.count("Host") == 1 ||
             (head.version_minor == 0 && head.fields.count("Host") == 0));
  FUZZ_CHECK(head.fields.count("Content-Length") <= 1);
  FUZZ_CHECK(head.fields.count("Transfer-Encoding") <= 1);
  FUZZ_CHECK(
      !(head.fields.contains("Content-Length") && head.fields.contains("Transfer-Encoding")));
  FUZZ_CHECK(head.method != Method::kConnect);
  FUZZ_CHECK(head.target == "*" || head.target.starts_with('/'));
  FUZZ_CHECK(head.path_size <= head.target.size());
}

void check_rereads(const RequestHead& head) {
  RequestParser parser;
  const std::string text = text_of_head(head);
  FUZZ_CHECK(parser.feed(bytes_of(text)).event == ParseEvent::kHead);
  FUZZ_CHECK(parser.head().fields == head.fields);
  FUZZ_CHECK(parser.head().target == head.target);
  FUZZ_CHECK(parser.head().framing == head.framing);
  FUZZ_CHECK(parser.head().content_length == head.content_length);
  FUZZ_CHECK(parser.head().keep_alive == head.keep_alive);
}

void check_semantics(const RequestHead& head) {
  static const QueryRules rules =
      *QueryRules::make(std::vector<std::string>{"CMCD", "token*"}, false);
  std::string key;
  append_cache_key(key, head, rules);
  FUZZ_CHECK(key.starts_with("http://" + head.authority));
  // Normalising twice changes nothing.
  if (!head.is_asterisk()) {
    RequestHead again;
    again.authority = head.authority;
    again.target = key.substr(7 + head.authority.size());
    again.path_size =
        static_cast<std::uint32_t>(std::min(again.target.find('?'), again.target.size()));
    std::string second;
    append_cache_key(second, again, rules);
    FUZZ_CHECK(second == key);
  }
  std::string target;
  append_forward_target(target, head, rules);
  FUZZ_CHECK(target.size() <= head.target.size());

  parse_request_directives(head.fields);
  Fields stored;
  stored.add("ETag", "\"a\"");
  stored.add("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
  const Validators validators = Validators::of(stored, kNow);
  evaluate_preconditions(head.fields, validators, kNow);
  if_range_holds(head.fields, validators, kNow);
  if (const auto range = head.fields.find("Range")) {
    if (const auto parsed = parse_range(*range)) resolve_ranges(*parsed, 1000);
  }
  std::string vary;
  append_vary_key(vary, "accept-encoding,accept-language,cookie", head.fields);
  FUZZ_CHECK(vary_matches("accept-encoding,accept-language,cookie", vary, head.fields));
  if (const auto referer = head.fields.find("Referer")) resolve_same_origin(head, *referer, rules);

  RequestHead forwarded = head;
  remove_hop_by_hop(forwarded.fields);
  FUZZ_CHECK(!forwarded.fields.contains("Connection"));
  FUZZ_CHECK(!forwarded.fields.contains("Transfer-Encoding"));
  FUZZ_CHECK(forwarded.fields.count("Host") == head.fields.count("Host"));
  update_max_forwards(forwarded);
  remove_conditions(forwarded.fields);
  append_via(forwarded.fields, 1, "nearfield");
  FUZZ_CHECK(via_contains(forwarded.fields, "nearfield"));
  Fields response = cors_fields(&head.fields, head, {});
  if (is_preflight(head)) append_preflight_fields(response, head, {});
}

Transcript read(std::string_view input, std::uint32_t seed) {
  Transcript transcript;
  fuzz::Cutter cutter(seed);
  RequestParser parser(limits());
  Message message;
  std::size_t consumed = 0;
  std::size_t offered = 0;
  std::size_t message_start = 0;
  while (true) {
    if (consumed == offered && offered < input.size())
      offered += cutter.next(input.size() - offered);
    const ParseStep step = parser.feed(bytes_of(input.substr(consumed, offered - consumed)));
    FUZZ_CHECK(step.consumed <= offered - consumed);
    consumed += step.consumed;
    switch (step.event) {
      case ParseEvent::kNeedMore:
        FUZZ_CHECK(consumed == offered);
        if (offered == input.size()) return transcript;
        break;
      case ParseEvent::kHead:
        if (seed == 0) {
          check_unambiguous(input.substr(message_start, consumed - message_start), parser.head());
          check_rereads(parser.head());
          check_semantics(parser.head());
        }
        message.head = text_of_head(parser.head());
        break;
      case ParseEvent::kBody:
        FUZZ_CHECK(!step.body.empty());
        message.body += text_of(step.body);
        FUZZ_CHECK(message.body.size() <= limits().max_body_bytes);
        break;
      case ParseEvent::kComplete:
        if (parser.head().framing == BodyFraming::kLength) {
          FUZZ_CHECK(message.body.size() == parser.head().content_length);
        }
        parser.trailers().append_to(message.trailers);
        transcript.messages.push_back(std::move(message));
        if (transcript.messages.size() == kMaxMessages) return transcript;
        message = {};
        parser.reset();
        message_start = consumed;
        break;
      case ParseEvent::kError:
        FUZZ_CHECK(parser.error().status >= 400 && !parser.error().reason.empty());
        transcript.error = true;
        return transcript;
      case ParseEvent::kInterim:
        FUZZ_CHECK(false);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input = text_of(data + 1, size - 1);
  const Transcript whole = read(input, 0);
  FUZZ_CHECK(read(input, data[0] + 1u) == whole);
  return 0;
}
