// What the tests of https origins share: servers made of our own server side of TLS, their
// certification authority, and a client with a connector; all in virtual time on tests/sim, the
// handshakes' helpers included.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/tls/secure_acceptor.h"
#include "dataplane/tls/secure_connector.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

namespace nearfield::origin {

// One connection of a TlsOrigin.
class TlsPeer final : public net::StreamHandler {
 public:
  explicit TlsPeer(net::Stream& stream) : stream_(&stream) {}

  void send(std::string_view bytes);
  void close();                 // close_notify and FIN after what was sent
  void close_without_notice();  // resets after what was sent, as a process that dies
  std::function<void(TlsPeer&, const std::string& request)> answer;
  net::Stream* stream() const { return stream_; }  // null when closed

  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override { close(); }
  void on_send_ready(net::SendPlan& plan) override;
  void on_released(std::uint64_t bytes) override;
  void on_closed(net::CloseReason reason) override;

 private:
  net::Stream* stream_;
  std::string received_;
  std::string outbox_;
  std::uint64_t unreleased_bytes_ = 0;
  bool closes_ = false;
  bool aborts_ = false;
};

class TlsOrigin final : private net::Acceptor {
 public:
  TlsOrigin(sim::World& world, tls::SecureContext& context, sim::SimReactor& machine,
            const std::string& endpoint, const tls::ServerOptions& options);

  std::function<void(TlsPeer&, const std::string& request)> answer;
  void always(std::string response);
  std::vector<std::string> requests;
  // Those whose handshake ended well, oldest first.
  std::vector<std::unique_ptr<TlsPeer>> peers;
  std::vector<std::string> asked_names;  // SNI of each

 private:
  net::StreamHandler* on_accept(net::Stream& stream) override;

  tls::HandshakeTally tally_;
  tls::SecureAcceptor acceptor_;
};

struct TlsOriginFixture : OriginFixture {
  explicit TlsOriginFixture(std::uint64_t seed = 1);
  ~TlsOriginFixture();

  // Certificates of these tests, made once a run.
  static tls::test::TestAuthority& authority();
  static tls::test::TestAuthority& stranger();  // nobody trusts it
  static tls::CertificateFiles certificate_of(const std::string& name);

  // Serves with the certificate of "origin.example" unless told otherwise.
  TlsOrigin& serve(const std::string& endpoint);
  TlsOrigin& serve(const std::string& endpoint, const tls::ServerOptions& options);
  // A group for every host that trusts authority().
  static OriginGroup secure_group(std::vector<std::string> urls = {"https://origin.example"});
  void run_helpers();
  bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::minutes(1));

  tls::HandshakePool pool{{.threads = 0}};
  tls::SecureContext server_context;
  tls::SecureContext client_context;
  tls::SecureConnector connector;
  std::vector<std::unique_ptr<TlsOrigin>> origins;
};

}  // namespace nearfield::origin
