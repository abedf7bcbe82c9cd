// A reader of handshake messages that goes byte by byte through headers and skips bodies.
#include "dataplane/tls/post_handshake.h"

#include <algorithm>

namespace nearfield::tls {

namespace {

// HandshakeType of RFC 8446 4 and RFC 5246 7.4.
constexpr std::byte kHelloRequest{0};
constexpr std::byte kClientHello{1};
constexpr std::byte kNewSessionTicket{4};
constexpr std::byte kKeyUpdate{24};

}  // namespace

std::expected<void, AlertDescription> PostHandshake::check_type() const {
  const std::byte type = header_[0];
  const bool allowed = version_ == Version::tls13
                           ? type == kKeyUpdate || (type == kNewSessionTicket && !is_server_)
                           : type == (is_server_ ? kClientHello : kHelloRequest);
  if (!allowed) return std::unexpected(AlertDescription::unexpected_message);
  return {};
}

std::expected<void, AlertDescription> PostHandshake::check_length() const {
  const bool acceptable = header_[0] == kKeyUpdate      ? body_bytes_left_ == 1
                          : header_[0] == kHelloRequest ? body_bytes_left_ == 0
                                                        : body_bytes_left_ <= kMaximumMessageBytes;
  if (!acceptable) return std::unexpected(AlertDescription::decode_error);
  return {};
}

std::expected<PostHandshake::Found, AlertDescription> PostHandshake::read_record(
    std::span<const std::byte> plaintext) {
  // RFC 8446 5.1: fragments of handshake messages are never empty.
  if (plaintext.empty()) return std::unexpected(AlertDescription::unexpected_message);
  Found found;
  while (!plaintext.empty()) {
    if (header_bytes_ < header_.size()) {
      header_[header_bytes_++] = plaintext.front();
      plaintext = plaintext.subspan(1);
      if (header_bytes_ == 1) {
        if (const auto type = check_type(); !type) return std::unexpected(type.error());
      }
      if (header_bytes_ < header_.size()) continue;
      body_bytes_left_ = std::to_integer<std::size_t>(header_[1]) << 16 |
                         std::to_integer<std::size_t>(header_[2]) << 8 |
                         std::to_integer<std::size_t>(header_[3]);
      if (const auto length = check_length(); !length) return std::unexpected(length.error());
    } else {
      if (header_[0] == kKeyUpdate) {
        const auto request = std::to_integer<unsigned>(plaintext.front());
        if (request > 1) return std::unexpected(AlertDescription::illegal_parameter);
        found.key_update = true;
        found.update_requested = request == 1;
      }
      const std::size_t skipped = std::min(plaintext.size(), body_bytes_left_);
      plaintext = plaintext.subspan(skipped);
      body_bytes_left_ -= skipped;
    }
    if (body_bytes_left_ != 0) continue;
    header_bytes_ = 0;  // the message is complete
    if (version_ == Version::tls12) found.renegotiation = true;
    // What follows a KeyUpdate is under other keys, so it must end its record: RFC 8446 5.1.
    if (found.key_update && !plaintext.empty()) {
      return std::unexpected(AlertDescription::unexpected_message);
    }
  }
  return found;
}

}  // namespace nearfield::tls
