// What an operator says about origins, as plain values: which hosts a group serves, where its
// origins are, and every bound a call to them has. Reading it from a file is control's business;
// OriginGroup::validate() says what is wrong in the words of the file.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"

namespace nearfield::origin {

enum class Scheme { http, https };

struct OriginServer {
  Scheme scheme = Scheme::http;
  std::string host;         // a name, 192.0.2.1, or 2001:db8::1 (without brackets)
  std::uint16_t port = 80;  // 443 is the usual one of https
  std::uint32_t priority =
      1;  // 1-1000; the lowest with a healthy server is used, higher ones are stand-bys
  std::uint32_t weight = 1;  // 1-1000; share of the calls among servers of one priority

  // host:port, or [2001:db8::1]:port: its name in logs and metrics.
  std::string name() const;
  // "https://host:port", as parse_origin_url() takes it.
  std::string url() const;
  bool operator==(const OriginServer&) const = default;
};

// "http://host", "https://host:8443", "http://[2001:db8::1]:8080", a closing '/' allowed. Without a
// port: 80 or 443. No user, path, query or fragment.
Result<OriginServer> parse_origin_url(std::string_view url);

// Applied to the path of every request: first strip, then add. "/music" strips "/music", "/music/a"
// and "/music?q", not "/musical"; a path that does not begin with `strip` keeps all of itself. "*"
// (OPTIONS) is left alone.
struct PathMapping {
  std::string strip;  // empty, or begins with '/' and does not end with one
  std::string add;    // the same

  bool operator==(const PathMapping&) const = default;
};

struct OriginTimeouts {
  Duration wait = std::chrono::seconds(10);    // for a free connection, beyond `connect`
  Duration connect = std::chrono::seconds(5);  // name look-up included, all addresses together
  Duration first_byte =
      std::chrono::seconds(30);  // from the request's last byte to the end of the response's head
  Duration idle =
      std::chrono::seconds(15);   // between bytes of a body, while we are ready to take them
  std::optional<Duration> whole;  // the call, retries included

  bool operator==(const OriginTimeouts&) const = default;
};

// For one server and one worker.
struct OriginPoolLimits {
  std::uint32_t connections = 64;       // 1-65536, being opened included
  std::uint32_t idle_connections = 16;  // kept open without a call
  Duration keep_idle = std::chrono::seconds(30);
  std::uint32_t waiting_calls = 1024;  // beyond: overloaded at once

  bool operator==(const OriginPoolLimits&) const = default;
};

// Passive: calls that fail (not answered, or not in HTTP; a 5xx is an answer) put a server aside,
// for a time that doubles from `eject` to `eject_maximum` (jitter of a quarter), after which one
// call may probe it. One that is alone in its group is put aside only for what cannot be connected
// to: with nobody else to ask, one object it chokes on must not take the others away.
// Active: with a `path`, one worker asks every server for it.
struct HealthCheck {
  std::uint32_t failures_to_eject = 5;  // 1-1000 in a row
  Duration eject = std::chrono::seconds(1);
  Duration eject_maximum = std::chrono::seconds(10);

  std::string path;  // empty: no active checks
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);  // the whole check
  std::uint32_t unhealthy_after = 3;           // failed checks in a row
  std::uint32_t healthy_after = 2;             // good checks in a row
  std::uint16_t expected_status = 200;         // 100-599; 0 is any from 200 to 399

  bool operator==(const HealthCheck&) const = default;
};

// For the https servers of a group. Each must prove to be the host of its url (or `server_name`)
// with a certificate that leads to one of the trusted ones.
struct OriginTls {
  bool verify = true;       // false: anyone in between may pose as the server, `pins` excepted
  std::string ca_file;      // PEM bundle of what is trusted; empty: the system's
  std::string server_name;  // asked for (SNI) and verified instead of the host of the url
  // For servers that want to know who asks: PEM, the certificate first. Both or none.
  std::string certificate_file;
  std::string key_file;
  // Public keys of which the server's certificate must have one: "sha256/BASE64" or 64 hexadecimal
  // digits, the SHA-256 of the SubjectPublicKeyInfo. At most 16.
  std::vector<std::string> pins;
  std::string minimum_version = "1.2";  // or "1.3"

  bool operator==(const OriginTls&) const = default;
};

struct OriginGroup {
  std::string name;
  // As listeners ask for them: "music.example", "music.example:8080", "*.music.example" (any depth,
  // not music.example itself), "*". The most exact wins. Lower case; at most one group a pattern.
  std::vector<std::string> hosts;
  std::vector<OriginServer> servers;
  std::string host_header;  // sent instead of the listener's Host when not empty
  PathMapping path;
  OriginTimeouts timeouts;
  OriginPoolLimits pool;
  std::uint32_t retries = 2;  // 0-16, beyond the first attempt
  HealthCheck health;
  OriginTls tls;

  bool speaks_tls() const;  // one of its servers is https

  // Nothing, or an Error like "origin group 'music': servers[1].weight is 0: use 1 to 1000".
  Result<void> validate() const;
  bool operator==(const OriginGroup&) const = default;
};

// One of them has an https server: workers need a tls::SecureConnector.
bool speaks_tls(const std::vector<OriginGroup>& groups);

// Each group by itself, and that names and host patterns are not used twice. Opens no file.
Result<void> validate(const std::vector<OriginGroup>& groups);

// Everything from everywhere comes from one server: `--origin URL`.
Result<OriginGroup> group_of_one(std::string_view url);

}  // namespace nearfield::origin
