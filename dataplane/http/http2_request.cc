#include "dataplane/http/http2_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/http/authority.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

constexpr std::uint64_t kFieldOverheadBytes = 32;  // RFC 9113 6.5.2

// RFC 9113 8.2.2: what speaks of the connection has no place here.
bool is_of_the_connection(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 5> kNames = {
      "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};
  if (name == "te") return !equals_ignoring_case(value, "trailers");
  return std::ranges::find(kNames, name) != kNames.end();
}

bool has_upper_case(std::string_view name) {
  return std::ranges::any_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

void Http2RequestReader::begin(RequestHead& head, const RequestLimits& limits, Scheme scheme) {
  cookies_.clear();
  std::string kept = std::move(cookies_);
  *this = Http2RequestReader();
  cookies_ = std::move(kept);
  limits_ = limits;
  scheme_ = scheme;
  head.clear();
  head.version_major = 2;
  head.scheme = scheme;
}

bool Http2RequestReader::add(RequestHead& head, std::string_view name, std::string_view value) {
  section_bytes_ += name.size() + value.size() + kFieldOverheadBytes;
  if (section_bytes_ > limits_.max_head_bytes) {
    refuse(431, "the fields are too large");
    return true;
  }
  if (name.starts_with(':')) return add_pseudo(head, name, value);
  has_regular_ = true;
  if (++count_ > limits_.max_field_count) {
    refuse(431, "too many fields");
    return true;
  }
  // A value that begins or ends in white space is malformed (RFC 9113 8.2.1).
  if (has_upper_case(name) || is_of_the_connection(name, value) ||
      trim_ows(value).size() != value.size()) {
    return false;
  }
  if (name == "cookie") {
    if (!is_field_value(value)) return false;
    if (!cookies_.empty()) cookies_ += "; ";
    cookies_ += value;
    return true;
  }
  return head.fields.add_received(name, value);
}

void Http2RequestReader::skip(std::string_view name, std::string_view value) {
  section_bytes_ += name.size() + value.size() + kFieldOverheadBytes;
}

bool Http2RequestReader::add_pseudo(RequestHead& head, std::string_view name,
                                    std::string_view value) {
  if (has_regular_) return false;
  if (name == ":method") {
    if (std::exchange(has_method_, true) || !is_token(value)) return false;
    head.method_text = value;
    head.method = method_from(value);
    return true;
  }
  if (name == ":scheme") {
    if (std::exchange(has_scheme_, true) || value.empty()) return false;
    scheme_fits_ = equals_ignoring_case(value, scheme_text(scheme_));
    return true;
  }
  if (name == ":path") {
    if (std::exchange(has_path_, true) || value.empty()) return false;
    if (value.size() > limits_.max_target_bytes) {
      refuse(414, "the target is too long");
      return true;
    }
    head.target = value;
    // At once, so that a request refused for what follows is logged with its path.
    head.path_size = static_cast<std::uint32_t>(std::min(value.find('?'), value.size()));
    return true;
  }
  if (name == ":authority") {
    if (std::exchange(has_authority_, true)) return false;
    if (!append_authority(head.authority, value, scheme_)) refuse(400, "malformed authority");
    return true;
  }
  return false;
}

RequestError Http2RequestReader::take_authority(RequestHead& head) {
  const std::size_t hosts = head.fields.count("Host");
  if (hosts > 1) return {400, "more than one Host"};
  if (hosts == 0 && !has_authority_) return {400, "neither :authority nor Host"};
  if (hosts == 1) {
    std::string host;
    if (!append_authority(host, *head.fields.find("Host"), scheme_)) return {400, "malformed Host"};
    // RFC 9113 8.3.1: they must not differ.
    if (has_authority_ && host != head.authority)
      return {400, ":authority and Host name different authorities"};
    head.authority = host;
  } else {
    // As HTTP/1.1 would have said it (RFC 9113 8.3.1).
    head.fields.add("Host", head.authority);
  }
  return {400, {}};
}

RequestError Http2RequestReader::finish(RequestHead& head, bool end_stream) {
  if (!error_.reason.empty()) return error_;
  if (head.method == Method::kConnect) return {501, "CONNECT is not implemented"};
  if (!has_method_ || !has_scheme_ || !has_path_) return {400, "a pseudo field is missing"};
  // RFC 9110 7.4: what is asked of one scheme is not answered on a connection of the other.
  if (!scheme_fits_) return {421, "this connection is not for that scheme"};
  if (RequestError wrong = take_authority(head); !wrong.reason.empty()) return wrong;
  if (!is_request_target(head.target)) return {400, "forbidden character in the request target"};
  if (head.target == "*") {
    if (head.method != Method::kOptions) return {400, "asterisk form is for OPTIONS"};
  } else if (head.target.front() != '/') {
    return {400, "the target is no path"};
  }
  if (!cookies_.empty()) head.fields.add("Cookie", cookies_);
  const FramingFields framing = read_framing(head.fields, 1);
  if (!framing.fault.empty()) return {400, framing.fault};
  if (framing.length > limits_.max_body_bytes) return {413, "request body too large"};
  head.content_length = framing.length;
  head.framing = end_stream           ? BodyFraming::kNone
                 : framing.has_length ? BodyFraming::kLength
                                      : BodyFraming::kChunked;
  head.expect_continue = !end_stream && head.fields.list_contains("Expect", "100-continue");
  return {400, {}};
}

}  // namespace nearfield::http
