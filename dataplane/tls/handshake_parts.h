// The inside of Handshake, shared by its sources: handshake.cc (the step object), and
// handshake_server.cc and handshake_client.cc (what only one side does).
#pragma once

#include <mbedtls/ssl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/tls/client_hello.h"
#include "dataplane/tls/handshake.h"
#include "dataplane/tls/handshake_early_data.h"
#include "dataplane/tls/secrets.h"
#include "dataplane/tls/session_ticket.h"
#include "dataplane/tls/suites.h"

namespace nearfield::tls {

// Watches what goes out: counts encrypted records since the library last read, and sees alerts.
class OutputWatch {
 public:
  void input_taken() { since_input_ = 0; }
  void see(std::span<const std::byte> bytes);
  std::uint64_t records_since_input() const { return since_input_; }
  // The last record was an alert: its description; -1: it was not; kHidden: an encrypted one.
  int alert() const { return alert_; }
  static constexpr int kHidden = 256;
  // Of that record, with its header.
  std::size_t alert_bytes() const { return alert_bytes_; }

 private:
  void end_record();

  std::uint64_t since_input_ = 0;
  std::array<std::byte, 7> head_{};  // of the record under way: header and two bytes of content
  std::size_t head_bytes_ = 0;
  std::size_t left_ = 0;  // bytes of the record still to come, once the header is whole
  int alert_ = -1;
  std::size_t alert_bytes_ = 0;
};

struct Handshake::Parts {
  enum class State : std::uint8_t { running, finished, failed };

  // One of the two.
  std::shared_ptr<const ServerSettings> server;
  std::shared_ptr<const ClientSettings> client;
  std::string server_name;  // of a client
  std::string peer_names;  // of a client whose server has another name: what its certificate is for

  State state = State::running;
  unsigned steps = 0;
  bool ended = false;
  WallTime now{};

  ClientHelloReader hello;  // of a server
  // Of the peer; before the hello is whole its last record, afterwards what the library has not
  // read.
  std::vector<std::byte> input;
  std::size_t read = 0;         // of input
  std::size_t record_left = 0;  // bytes of the record the library is reading
  int plain_alert = -1;         // of that record, see handshake.cc
  bool has_record = false;      // the library got one
  bool is_not_tls = false;      // of a client: the first bytes of the server are no record
  EarlyDataFilter early_data;   // of a server
  std::size_t total_input = 0;
  std::vector<std::byte> output;
  std::size_t total_output = 0;
  bool is_output_full = false;
  OutputWatch watch;

  bool started = false;
  mbedtls_ssl_context ssl{};

  // From the library's callback; secret.
  struct Exported {
    std::array<std::byte, kMaximumSecretBytes> client{};  // TLS 1.2: the master secret
    std::array<std::byte, kMaximumSecretBytes> server{};
    std::array<std::byte, 32> client_random{};
    std::array<std::byte, 32> server_random{};
    bool complete = false;
  } exported;

  // The ticket accepted in the latest ClientHello.
  struct Accepted {
    std::array<std::byte, kMaximumSecretBytes> key{};  // secret; TLS 1.3
    std::size_t key_bytes = 0;
    std::string peer_certificate;
    WallTime full_handshake{};
    WallTime peer_not_after{};
  };
  std::optional<Accepted> candidate;  // while a ClientHello is parsed
  std::optional<Accepted> accepted;
  bool resumed = false;

  HandshakeFailure failure = HandshakeFailure::none;
  std::string message;
  int alert = -1;
  net::StreamSecurity security;
  ConnectionSecrets secrets;
  std::size_t maximum_fragment = 16384;

  Parts();
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts();

  bool is_server() const { return server != nullptr; }
  bool ready() const;
  // Whether this may be the beginning of a record, for all that is known of the peer.
  bool may_be_record(std::span<const std::byte> header) const;
  void read_hello(std::span<const std::byte> bytes);
  Step step();
  Step fail(HandshakeFailure why, std::optional<AlertDescription> with_alert, std::string text);
  Step fail(int code);
  // Between our Finished and the end of the handshake, in TLS 1.3.
  bool is_behind_finished();
  // An alert of then: the client reads with the application's keys (RFC 8446 A.2), the library
  // still writes with those of its flight.
  void send_application_alert(AlertDescription description);
  const Suite* agreed_suite() const;  // once ServerHello is there
  Step finish();
  bool derive_secrets();

  // handshake_server.cc
  Step begin_server();
  std::string check_client_certificate();  // empty: fine
  int choose_certificate();
  int write_ticket(const mbedtls_ssl_session& session, std::span<std::byte> place,
                   std::size_t& bytes, std::uint32_t& lifetime);
  int read_ticket(mbedtls_ssl_session& session, std::span<const std::byte> ticket);
  void settle_resumption();                                        // when the handshake keys exist
  void tell_early_data(std::span<const std::byte> client_secret);  // then, too
  void drop_accepted();

  // handshake_client.cc
  Step begin_client();
  std::string check_server_certificate();  // empty: fine

  // What both do to begin.
  Step set_up(const mbedtls_ssl_config* config);
};

// The handshake whose step runs on this thread: the library hands its ticket callbacks nothing
// that leads to the connection.
Handshake::Parts*& current_handshake();

}  // namespace nearfield::tls
