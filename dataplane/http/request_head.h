// RequestHead: what a request asks, after parsing and validation. Whatever holds one may trust it:
// one Host, one framing, a target without control bytes. Reused from message to message without
// giving memory back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/http/fields.h"
#include "dataplane/http/method.h"

namespace nearfield::http {

enum class Scheme : std::uint8_t { kHttp, kHttps };
constexpr std::string_view scheme_text(Scheme scheme) {
  return scheme == Scheme::kHttp ? "http" : "https";
}

enum class BodyFraming : std::uint8_t {
  kNone,        // no body
  kLength,      // content_length bytes (may be 0)
  kChunked,     //
  kUntilClose,  // responses only: the body ends where the connection does
};

struct RequestHead {
  Method method = Method::kGet;
  std::string method_text = "GET";
  Scheme scheme = Scheme::kHttp;  // as the parser was configured, or as the stream is protected
  // Host in lower case with the port as received ("example.net", "example.net:8080", "[::1]:80");
  // "" only for an empty Host field of an HTTP/1.1 request, or for HTTP/1.0 without one.
  std::string authority;
  // Origin form as received, '/'-rooted, without fragment: "/path?query"; "*" for OPTIONS *. This
  // is what is forwarded.
  std::string target = "/";
  std::uint32_t path_size = 1;  // where the '?' stands, or target.size()
  // 1 or 2. With 2 the minor is 1: what may be said to HTTP/1.1 may be said to its successor.
  std::uint8_t version_major = 1;
  std::uint8_t version_minor = 1;
  BodyFraming framing = BodyFraming::kNone;  // kNone, kLength or kChunked
  bool keep_alive = true;            // the client lets the connection live on after this exchange
  bool expect_continue = false;      // Expect: 100-continue on HTTP/1.1
  std::uint64_t content_length = 0;  // with kLength
  Fields fields;

  std::string_view path() const { return std::string_view(target).substr(0, path_size); }
  // Without the '?'; nullopt when there is no '?', "" for a bare one.
  std::optional<std::string_view> query() const {
    if (path_size >= target.size()) return std::nullopt;
    return std::string_view(target).substr(path_size + 1);
  }
  // Whether content follows the head of an HTTP/1.1 message.
  bool has_content() const {
    return framing == BodyFraming::kChunked ||
           (framing == BodyFraming::kLength && content_length > 0);
  }
  bool is_asterisk() const { return target == "*"; }
  void clear();
};

// Printable ASCII without '#': a fragment is never sent (RFC 9112 3.2), and bytes outside ASCII
// mean different things to different origins. Odd but harmless characters such as '|' pass.
bool is_request_target(std::string_view target);

}  // namespace nearfield::http
