// TlsConfig: where listeners speak TLS, with which certificates, and what handshakes may cost;
// plain values. docs/configuration.md is the manual of every key.
//
// Invariant: a TlsConfig that came out of a checked Config has certificates when it has addresses.
// Whether the files are there and good is found when they are read (node_tls.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/secure_acceptor.h"
#include "dataplane/tls/server_settings.h"

namespace nearfield::control {

struct TlsConfig {
  static constexpr std::size_t kMaximumCertificates = 256;
  static constexpr std::size_t kMaximumProtocols = 8;

  // --- fixed at start ---
  std::vector<net::Endpoint> listen;
  tls::HandshakePoolOptions helpers;

  // --- follow a reload ---
  std::vector<tls::CertificateFiles> certificates;  // `key` is never empty
  bool tls12 = true;                                // the lowest version, if not 1.3
  std::vector<std::string> protocols = {"h2", "http/1.1"};
  tls::ClientCertificates client_certificates = tls::ClientCertificates::none;
  std::string client_ca_file;
  bool tickets = true;
  std::string ticket_keys_file;  // empty: keys of its own
  tls::HandshakeLimits handshakes;
};

std::string_view client_certificates_text(tls::ClientCertificates choice);
Result<tls::ClientCertificates> parse_client_certificates(std::string_view text);
// "1.2" and "1.3": whether TLS 1.2 is spoken.
std::string_view minimum_version_text(bool tls12);
Result<bool> parse_minimum_version(std::string_view text);

}  // namespace nearfield::control
