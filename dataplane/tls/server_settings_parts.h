// The inside of ServerSettings, for the sources of handshakes.
#pragma once

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/tls/client_hello.h"
#include "dataplane/tls/library_config.h"
#include "dataplane/tls/server_settings.h"
#include "dataplane/tls/session_ticket.h"

namespace nearfield::tls {

// The certificates for one name.
struct CertificateSet {
  const Certificate* ecdsa = nullptr;
  const Certificate* rsa = nullptr;

  // Bits for TicketBinding::key_types.
  std::uint8_t key_types() const {
    return static_cast<std::uint8_t>((ecdsa != nullptr ? 1 : 0) | (rsa != nullptr ? 2 : 0));
  }
};

struct ServerSettings::Parts {
  ServerOptions options;
  std::vector<std::shared_ptr<const Certificate>> certificates;
  std::unordered_map<std::string, CertificateSet> exact;
  std::unordered_map<std::string, CertificateSet> wildcard;  // by what follows "*."
  CertificateSet fallback;
  mbedtls_x509_crt client_ca{};
  std::array<std::byte, 32> client_authority{};
  // By the AEAD it prefers: the library lets the client's order decide in TLS 1.3, so each offers
  // one suite there.
  std::array<std::unique_ptr<LibraryConfig>, 3> configs;
  std::vector<std::string> warnings;

  Parts();
  ~Parts();
  const CertificateSet& certificates_for(std::string_view server_name) const;
  const LibraryConfig& config_for(const ClientHello& hello) const;
  // The one to serve: the cheaper to sign with that the client can verify. Null: none.
  const Certificate* choose(const ClientHello& hello, bool tls13) const;
  // Of our protocols the first that the client offers; empty: none.
  std::string_view protocol_for(const ClientHello& hello) const;
  TicketBinding binding_for(const ClientHello& hello, Version version) const;
};

// Installs the callbacks of a server's handshake (handshake_server.cc).
void install_server_callbacks(mbedtls_ssl_config* config, bool tickets);

}  // namespace nearfield::tls
