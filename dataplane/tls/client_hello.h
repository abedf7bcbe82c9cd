// ClientHello: what a server wants to know of a client's first message before it spends anything on
// it (RFC 8446 4.1.2). The library parses the same bytes again and is the one that decides; this
// reader comes first because it costs a few hundred bytes instead of a context of 45 KiB, says
// plainly what is not TLS, and puts a hello split over many records back into one record (the
// library wants the first four bytes of a message in one record).
//
// Invariant: complete only when the message is syntactically whole; everything in ClientHello is
// bounded by kMaximumClientHelloBytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/tls/handshake.h"
#include "dataplane/tls/record.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

struct ClientHello {
  bool tls13 = false;                   // offered
  bool fallback = false;                // TLS_FALLBACK_SCSV (RFC 7507)
  bool extended_master_secret = false;  // RFC 7627
  bool psk_with_ephemeral = false;      // psk_dhe_ke (RFC 8446 4.2.9)
  bool early_data = false;              // may follow (RFC 8446 4.2.10)
  // Bit i: kSuites[i], kGroups[i], kSignatures[i] is offered.
  std::uint16_t suites = 0;
  std::uint8_t groups = 0;
  std::uint16_t signatures = 0;
  bool chacha_first = false;  // ChaCha20 comes before every AES suite: a device without AES
  // SNI in lower case without a final dot; empty when there is none or it is no DNS name.
  std::string server_name;
  std::vector<std::string> protocols;  // ALPN, at most kMaximumProtocols of them are kept

  static constexpr std::size_t kMaximumProtocols = 32;

  bool offers(std::uint16_t suite) const;
  bool offers_signature(std::uint16_t signature) const;
  bool offers_group(std::uint16_t group) const;
};

// A DNS name as it may stand in SNI, in lower case without a final dot; empty: it is not one.
std::string normal_server_name(std::span<const std::byte> name);

class ClientHelloReader {
 public:
  enum class State : std::uint8_t { need_more, complete, refused };

  // `input` is everything received so far but what forget_consumed() was told of: the reader goes
  // on where it stopped. Nothing after the hello's last record is looked at. A record that goes on
  // beyond the hello is refused at its header.
  State read(std::span<const std::byte> input);
  State state() const { return state_; }

  // After complete.
  const ClientHello& hello() const { return hello_; }
  std::span<const std::byte> message() const { return message_; }  // with its four byte header
  std::size_t consumed() const { return position_; }               // bytes of input
  // consumed() bytes were removed from the front of the input: the reader has its copy.
  void forget_consumed() { position_ = 0; }
  void drop_message() { message_ = {}; }

  // After refused.
  HandshakeFailure failure() const { return failure_; }
  // To send; none: the peer would not understand it.
  std::optional<AlertDescription> alert() const { return alert_; }
  std::string_view reason() const { return reason_; }

 private:
  State refuse(HandshakeFailure failure, std::optional<AlertDescription> alert,
               std::string_view reason);
  State refuse_longer_record();
  std::size_t message_bytes() const;  // what its header says, once that is there
  State take_record(std::span<const std::byte> fragment);
  bool parse();

  State state_ = State::need_more;
  std::size_t position_ = 0;  // of the next record header
  std::vector<std::byte> message_;
  ClientHello hello_;
  HandshakeFailure failure_ = HandshakeFailure::none;
  std::optional<AlertDescription> alert_;
  std::string_view reason_;
};

}  // namespace nearfield::tls
