// The authority of an http target as Host and absolute-form carry it: host[:port], brought to the
// one form that keys and comparisons use.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/http/request_head.h"

namespace nearfield::http {

// Appends `text` in lower case, without a port that is empty or the scheme's default (RFC
// 3986 6.2.3), leading zeros of a port dropped. False, and `out` unchanged, when it is empty, has
// user information, or a byte outside letters, digits, "-._~" and (in brackets) an IPv6 literal, or
// a port that is no number up to 65535.
bool append_authority(std::string& out, std::string_view text, Scheme scheme);

// An authority at its port: the host as it stands, and the port's text, "" where there is none. The
// colons of an IPv6 literal are within its brackets.
struct SplitAuthority {
  std::string_view host;
  std::string_view port;
};
SplitAuthority split_authority(std::string_view authority);

}  // namespace nearfield::http
