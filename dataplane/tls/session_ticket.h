// SessionTicket: the protected content of a session ticket: the library's session and, around it,
// what the library does not bind a session to but a session must not outlive (RFC 8446 4.6.1, RFC
// 6066 3, RFC 7627 5.3, RFC 5246 7.4.1.2). A ticket whose surroundings changed is not an error: it
// is refused and a full handshake follows.
//
// Times are the wall clock's: the library's own is the time since this machine started,
// which says nothing on another node or after a restart.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

// Must be equal in the ticket and in the handshake that presents it.
struct TicketBinding {
  Version version = Version::tls13;
  // SHA-256 of the setting of client certificates and of the certification authorities.
  std::array<std::byte, 32> client_authority{};
  std::string server_name;
  std::string protocol;
  // TLS 1.2 only, 0 otherwise: what the choice of the suite hangs on, because the library chooses
  // again while resuming, and a client fails when the suite changes.
  bool extended_master_secret = false;
  std::uint8_t key_types = 0;
  std::uint16_t suites = 0;
  std::uint8_t groups = 0;
  std::uint16_t signatures = 0;
  bool chacha_first = false;

  bool operator==(const TicketBinding&) const = default;
};

struct SessionTicket {
  TicketBinding binding;
  WallTime created{};
  // Of the full handshake it all goes back to: later tickets of the session inherit it, so that a
  // session cannot be renewed for ever.
  WallTime full_handshake{};
  // notAfter of the client's certificate, inherited as well; WallTime::max(): there is none.
  WallTime peer_not_after = WallTime::max();
  std::string peer_certificate;        // subject; empty: none
  std::span<const std::byte> session;  // the library's serialisation; secret
};

// RFC 8446 4.6.1: no ticket is used longer than 7 days; here not even through renewal.
inline constexpr std::chrono::days kMaximumSessionAge{7};

// Until when a session of that ticket may go on.
WallTime session_end(const SessionTicket& ticket);

// The content to be sealed; the caller wipes it.
std::vector<std::byte> encode(const SessionTicket& ticket);
// Nothing when it is not one of ours (of another version of this program). `session` points into
// `content`.
std::optional<SessionTicket> decode(std::span<const std::byte> content);

}  // namespace nearfield::tls
