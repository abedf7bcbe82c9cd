#include "dataplane/http/framing.h"

#include <array>

namespace nearfield::http {

FramingFields read_framing(const Fields& fields, std::uint8_t version_minor) {
  FramingFields framing;
  const std::size_t lengths = fields.count("Content-Length");
  const std::size_t codings = fields.count("Transfer-Encoding");
  if (lengths > 1) {
    framing.fault = "more than one Content-Length";
    return framing;
  }
  if (codings > 0) {
    if (lengths > 0) {
      framing.fault = "Content-Length beside Transfer-Encoding";
    } else if (version_minor == 0) {
      framing.fault = "Transfer-Encoding on HTTP/1.0";
    } else if (codings > 1) {
      framing.fault = "more than one Transfer-Encoding";
    } else if (const auto value = fields.find("Transfer-Encoding");
               equals_ignoring_case(*value, "chunked")) {
      framing.chunked = true;
    } else {
      // Only "something, chunked" could be understood by someone who knows the coding.
      ListReader list(*value);
      std::size_t chunked = 0;
      bool last_is_chunked = false;
      bool tokens = true;
      while (const auto coding = list.next()) {
        last_is_chunked = equals_ignoring_case(*coding, "chunked");
        chunked += last_is_chunked ? 1 : 0;
        tokens = tokens && is_token(*coding);
      }
      framing.unknown_coding = tokens && (chunked == 0 || (chunked == 1 && last_is_chunked)) &&
                               !value->empty() && !equals_ignoring_case(*value, "identity");
      framing.fault = framing.unknown_coding ? "transfer coding other than chunked"
                                             : "malformed Transfer-Encoding";
    }
    return framing;
  }
  if (lengths == 1) {
    const auto length = parse_decimal(*fields.find("Content-Length"));
    if (!length || *length > INT64_MAX) {
      framing.fault = "malformed Content-Length";
      return framing;
    }
    framing.has_length = true;
    framing.length = *length;
  }
  return framing;
}

bool wants_keep_alive(const Fields& fields, std::uint8_t version_minor) {
  if (!fields.contains("Connection")) return version_minor >= 1;
  if (fields.list_contains("Connection", "close")) return false;
  return version_minor >= 1 || fields.list_contains("Connection", "keep-alive");
}

void remove_forbidden_trailers(Fields& trailers) {
  static constexpr std::array<std::string_view, 24> kForbidden = {"Transfer-Encoding",
                                                                  "Content-Length",
                                                                  "Host",
                                                                  "Trailer",
                                                                  "TE",
                                                                  "Connection",
                                                                  "Keep-Alive",
                                                                  "Upgrade",
                                                                  "Proxy-Connection",
                                                                  "Authorization",
                                                                  "Cookie",
                                                                  "Set-Cookie",
                                                                  "Cache-Control",
                                                                  "CDN-Cache-Control",
                                                                  "Expires",
                                                                  "Age",
                                                                  "Date",
                                                                  "Vary",
                                                                  "Location",
                                                                  "Content-Encoding",
                                                                  "Content-Type",
                                                                  "Content-Range",
                                                                  "Range",
                                                                  "Expect"};
  if (trailers.empty()) return;
  trailers.remove_if([](const Field& field) {
    for (std::string_view name : kForbidden) {
      if (equals_ignoring_case(field.name, name)) return true;
    }
    return false;
  });
}

}  // namespace nearfield::http
