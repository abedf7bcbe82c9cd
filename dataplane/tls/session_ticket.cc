#include "dataplane/tls/session_ticket.h"

#include <algorithm>

#include "cache/base/assert.h"

namespace nearfield::tls {
namespace {

// Of the layout below; another value is another layout.
constexpr std::size_t kLayout = 2;

void put(std::vector<std::byte>& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::byte>(value >> shift & 0xff));
}

void put(std::vector<std::byte>& out, WallTime time) {
  put(out, static_cast<std::uint64_t>(time.time_since_epoch().count()), 8);
}

void put(std::vector<std::byte>& out, std::string_view text) {
  NEARFIELD_ASSERT(text.size() <= 0xffff);
  put(out, text.size(), 2);
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

class Taker {
 public:
  explicit Taker(std::span<const std::byte> bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  std::span<const std::byte> rest() const { return rest_; }
  std::span<const std::byte> take(std::size_t count) {
    ok_ = ok_ && count <= rest_.size();
    if (!ok_) return {};
    const std::span<const std::byte> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const std::byte byte : take(bytes)) value = value << 8 | std::to_integer<unsigned>(byte);
    return value;
  }
  WallTime time() { return WallTime(std::chrono::seconds(static_cast<std::int64_t>(number(8)))); }
  std::string text() {
    const std::span<const std::byte> bytes = take(number(2));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace

WallTime session_end(const SessionTicket& ticket) {
  return std::min(ticket.full_handshake + kMaximumSessionAge, ticket.peer_not_after);
}

std::vector<std::byte> encode(const SessionTicket& ticket) {
  const TicketBinding& binding = ticket.binding;
  std::vector<std::byte> out;
  // Once and large enough: growing would leave copies of the session behind.
  out.reserve(128 + binding.server_name.size() + binding.protocol.size() +
              ticket.peer_certificate.size() + ticket.session.size());
  put(out, kLayout, 1);
  put(out, static_cast<std::uint64_t>(binding.version), 1);
  out.insert(out.end(), binding.client_authority.begin(), binding.client_authority.end());
  put(out, binding.server_name);
  put(out, binding.protocol);
  put(out, binding.extended_master_secret ? 1 : 0, 1);
  put(out, binding.key_types, 1);
  put(out, binding.suites, 2);
  put(out, binding.groups, 1);
  put(out, binding.signatures, 2);
  put(out, binding.chacha_first ? 1 : 0, 1);
  put(out, ticket.created);
  put(out, ticket.full_handshake);
  put(out, ticket.peer_not_after);
  put(out, ticket.peer_certificate);
  out.insert(out.end(), ticket.session.begin(), ticket.session.end());
  return out;
}

std::optional<SessionTicket> decode(std::span<const std::byte> content) {
  Taker in(content);
  if (in.number(1) != kLayout) return std::nullopt;
  SessionTicket ticket;
  TicketBinding& binding = ticket.binding;
  binding.version = in.number(1) == 0 ? Version::tls12 : Version::tls13;
  const std::span<const std::byte> authority = in.take(binding.client_authority.size());
  std::ranges::copy(authority, binding.client_authority.begin());
  binding.server_name = in.text();
  binding.protocol = in.text();
  binding.extended_master_secret = in.number(1) != 0;
  binding.key_types = static_cast<std::uint8_t>(in.number(1));
  binding.suites = static_cast<std::uint16_t>(in.number(2));
  binding.groups = static_cast<std::uint8_t>(in.number(1));
  binding.signatures = static_cast<std::uint16_t>(in.number(2));
  binding.chacha_first = in.number(1) != 0;
  ticket.created = in.time();
  ticket.full_handshake = in.time();
  ticket.peer_not_after = in.time();
  ticket.peer_certificate = in.text();
  if (!in.ok()) return std::nullopt;
  ticket.session = in.rest();
  return ticket;
}

}  // namespace nearfield::tls
