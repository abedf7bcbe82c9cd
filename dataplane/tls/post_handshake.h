// PostHandshake: reads the handshake messages that may follow a finished handshake. TLS 1.3:
// KeyUpdate, and on a client NewSessionTicket, which is skipped. TLS 1.2: the peer's wish to
// renegotiate, which is always denied. Anything else is refused at its first byte (RFC 8446 4.6,
// RFC 5246 7.4.1).
//
// Messages may be spread over records and records may hold several (RFC 8446 5.1); nothing is
// buffered for that, since of every message only the header and one byte matter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "dataplane/tls/record.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

// A KeyUpdate message on the wire (RFC 8446 4.6.3): what to seal, as ContentType::handshake, before
// our own sending keys change.
using KeyUpdateMessage = std::array<std::byte, 5>;
constexpr KeyUpdateMessage key_update_message(bool update_requested) {
  return {std::byte{24}, std::byte{0}, std::byte{0}, std::byte{1},
          update_requested ? std::byte{1} : std::byte{0}};
}

class PostHandshake {
 public:
  // Longest message skipped: a ticket may carry 2^16-1 bytes and as many of extensions
  // (RFC 8446 4.6.1); nobody sends a tenth of it. Also for the ClientHello of a renegotiation.
  static constexpr std::size_t kMaximumMessageBytes = 65536;

  struct Found {
    bool key_update = false;  // the last message of the record was one
    bool update_requested = false;
    bool renegotiation = false;
  };

  PostHandshake(Version version, bool is_server) : version_(version), is_server_(is_server) {}

  // The plaintext of one handshake record. On failure the alert to send; the object is then of no
  // further use.
  std::expected<Found, AlertDescription> read_record(std::span<const std::byte> plaintext);

  // A message has begun and not ended: records of other types are forbidden now (RFC 8446 5.1).
  bool within_message() const { return header_bytes_ != 0; }

 private:
  std::expected<void, AlertDescription> check_type() const;
  std::expected<void, AlertDescription> check_length() const;

  Version version_;
  bool is_server_;
  std::array<std::byte, 4> header_{};  // type, 24 bits of length
  std::size_t header_bytes_ = 0;
  std::size_t body_bytes_left_ = 0;
};

}  // namespace nearfield::tls
