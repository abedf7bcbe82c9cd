// SecureConnector: connects to servers that speak TLS. One a worker, on its thread; owns the
// streams it made until their on_closed().
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "dataplane/net/reactor.h"
#include "dataplane/tls/secure_context.h"
#include "dataplane/tls/secure_stream.h"

namespace nearfield::tls {

class SecureConnector final : private SecureOwner {
 public:
  explicit SecureConnector(SecureContext& context);
  ~SecureConnector();  // every connection has ended
  SecureConnector(const SecureConnector&) = delete;
  SecureConnector& operator=(const SecureConnector&) = delete;

  // As Reactor::connect(): null with out of resources only; else `handler` hears on_connected()
  // when the handshake has ended well, or on_closed(). options.timeout is for the connection and
  // the handshake together. Within on_closed() the stream's problem() says what was wrong with TLS,
  // if anything was.
  SecureStream* connect(const net::Endpoint& peer, const net::ConnectOptions& options,
                        std::shared_ptr<const ClientSettings> settings,
                        std::string_view server_name, net::StreamHandler& handler);

 private:
  net::StreamHandler* on_secured(SecureStream& stream) override;
  void on_handshake_failed(SecureStream& stream) override;
  void on_secure_ended(SecureStream& stream) override;

  struct Entry;
  SecureContext& context_;
  std::vector<std::unique_ptr<Entry>> streams_;
};

}  // namespace nearfield::tls
