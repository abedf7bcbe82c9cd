// Handshake: one TLS handshake without a socket. Bytes of the peer go in with feed(), step() runs
// the library as far as they last, take_output() is what to send. Once finished it gives secrets,
// what was agreed, and the bytes of the peer that already belong to the connection; then it is
// thrown away (it holds about 45 KiB from the first whole ClientHello on; before, a few hundred
// bytes, what there is of the hello and its last record: however short its records are, hardly more
// than kMaximumClientHelloBytes).
//
// A first ClientHello may come in records of any length. Later messages that are not encrypted (a
// second ClientHello, a client's flight of TLS 1.2, a server's) may be spread over records too, but
// the library wants the four bytes of a message's header in one record and refuses the handshake
// otherwise. RFC 8446 5.1 allows it; no client known to us does it.
//
// Invariant: the secrets say with which sequence numbers the record layer goes on; every record the
// library sent under the application keys (tickets, TLS 1.2's Finished) is counted.
//
// A step costs up to some milliseconds of CPU (a signature) and never waits. The object may be used
// by one thread after another (a worker feeds, a helper steps), never by two at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/net/security.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

class ClientSettings;
class ServerSettings;

// Why a handshake failed, for counters; the message is for people.
enum class HandshakeFailure : std::uint8_t {
  none,
  not_tls,             // the first bytes are no TLS: clear HTTP on the port, scanners
  version,             // SSL 2 to TLS 1.1
  no_common_choice,    // suite, group, signature algorithm
  no_common_protocol,  // ALPN (RFC 7301 3.2)
  peer_certificate,    // missing, not trusted, wrong name, not pinned
  peer_alert,          // the peer gave up: it does not trust us, mostly
  malformed,           // breaks the protocol
  too_large,           // more input than a handshake may have
  ended,               // the peer closed in between (see end_of_input())
  internal,
};
inline constexpr std::size_t kHandshakeFailures = 11;
std::string_view text(HandshakeFailure failure);  // "not_tls", ...: for metrics' labels

class Handshake {
 public:
  enum class Step : std::uint8_t { need_more, finished, failed };

  // Bounds: a handshake that gets or makes more fails with too_large.
  static constexpr std::size_t kMaximumClientHelloBytes = 16 * 1024;
  static constexpr std::size_t kMaximumInputBytes = 128 * 1024;  // until finished, all flights
  static constexpr std::size_t kMaximumOutputBytes = 128 * 1024;
  static constexpr unsigned kMaximumSteps = 512;

  static std::unique_ptr<Handshake> server(std::shared_ptr<const ServerSettings> settings);
  // `server_name`: a DNS name (sent as SNI and verified) or an address in text (verified only).
  static std::unique_ptr<Handshake> client(std::shared_ptr<const ClientSettings> settings,
                                           std::string_view server_name);
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;
  ~Handshake();  // wipes everything secret

  // Takes a copy. True when step() can get further now: a whole ClientHello or record is there, or
  // something to refuse. False: do not bother to step, wait for more. Cheap. Also call it with
  // bytes that arrived while a step ran on another thread, after that step.
  bool feed(std::span<const std::byte> bytes);
  // The peer closed its direction: the next step fails.
  void end_of_input();
  // What it holds of what was fed: bounded also before there is a step.
  std::size_t input_bytes() const;
  // Same answer as feed()'s. A client is ready at once: it speaks first.
  bool ready() const;
  // The next step only says no, which costs nothing: whoever feeds may take it at once, without a
  // helper.
  bool refused() const;

  // Runs as far as the input lasts. `now` is for tickets. After finished or failed: not again.
  Step step(WallTime now);

  // What the steps so far want sent, in order; empties it. After a failure this is the alert.
  std::vector<std::byte> take_output();

  // After failed.
  HandshakeFailure failure() const;
  const std::string& message() const;
  int alert() const;  // that was sent (RFC 8446 6), -1: none

  // After finished.
  const net::StreamSecurity& security() const;
  // Once; the copy here is wiped.
  ConnectionSecrets take_secrets();
  // What followed the handshake: records for the record layer to open.
  std::vector<std::byte> take_leftover();

  // The longest content of a record the peer takes: 16384, or less when a client of TLS 1.2 asked
  // for it (RFC 6066 4); then 512 to 4096.
  std::size_t maximum_fragment_bytes() const;

  bool is_client() const;
  bool resumed() const;

  struct Parts;  // for the source files of the handshake

 private:
  explicit Handshake(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace nearfield::tls
