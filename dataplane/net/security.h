// StreamSecurity: what a handler may know about the protection of its stream: that there is any,
// what was agreed, and who the peer proved to be. A stream in clear text has none.
#pragma once

#include <string>
#include <string_view>

namespace nearfield::net {

struct StreamSecurity {
  std::string_view version;      // "TLSv1.3", "TLSv1.2"
  std::string_view cipher;       // the suite's IANA name
  std::string protocol;          // ALPN (RFC 7301): "h2", "http/1.1"; empty: none was agreed
  std::string server_name;       // SNI (RFC 6066 3) in lower case; empty: none was sent
  std::string peer_certificate;  // subject of the verified client certificate; empty: none
  bool resumed = false;
};

}  // namespace nearfield::net
