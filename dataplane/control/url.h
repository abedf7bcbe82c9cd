// Url: an address as people write it to the control interface, brought into the form that requests
// have. Strict about what no request could ask for: such an address matches nothing, and an answer
// about it would hide the slip.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/base/error.h"
#include "dataplane/http/request_head.h"

namespace nearfield::control {

struct Url {
  http::Scheme scheme = http::Scheme::kHttp;
  std::string authority;  // in the normal form (http/authority.h)
  std::string_view path;  // "/" when there is none
  std::optional<std::string_view> query;

  // Views of `text`, which holds at most 64 KiB of visible ASCII. Refused: other schemes than http
  // and https, user information, a fragment, a host that no request can name.
  static Result<Url> parse(std::string_view text);

  std::string target() const;  // path and query as a request line has them
};

}  // namespace nearfield::control
