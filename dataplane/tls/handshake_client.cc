// What only a client's handshake does: name the server, and check who answered.
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <format>

#include "dataplane/net/endpoint.h"
#include "dataplane/tls/client_settings_parts.h"
#include "dataplane/tls/handshake_parts.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/suites.h"
#include "dataplane/tls/verification.h"

namespace nearfield::tls {
namespace {

bool is_address(const std::string& name) { return net::Address::parse(name).has_value(); }

}  // namespace

Handshake::Step Handshake::Parts::begin_client() {
  if (ended)
    return fail(HandshakeFailure::ended, std::nullopt, "the peer closed before the handshake");
  const Step set = set_up(client->parts().config->get());
  if (set == Step::failed) return set;
  // Addresses are no server names (RFC 6066 3): they are verified afterwards.
  const int code =
      mbedtls_ssl_set_hostname(&ssl, is_address(server_name) ? nullptr : server_name.c_str());
  if (code != 0)
    return fail(
        HandshakeFailure::internal, std::nullopt,
        std::format("'{}' cannot be a server's name: {}", server_name, library_error(code)));
  return set;
}

std::string Handshake::Parts::check_server_certificate() {
  const ClientOptions& options = client->parts().options;
  const mbedtls_x509_crt* peer = mbedtls_ssl_get_peer_cert(&ssl);
  if (peer == nullptr) return "the server sent no certificate";
  if (options.verify && is_address(server_name)) {
    // The library takes mutable pointers and reads only; the chain was verified in the handshake.
    auto& settings = const_cast<ClientSettings::Parts&>(client->parts());
    std::uint32_t flags = 0;
    mbedtls_x509_crt_verify(const_cast<mbedtls_x509_crt*>(peer), &settings.ca, nullptr,
                            server_name.c_str(), &flags, nullptr, nullptr);
    if (flags != 0)
      return std::format("the certificate of the peer is not trusted: {}",
                         verification_text(flags, server_name, certificate_names(*peer)));
  }
  if (!options.pins.empty()) {
    PublicKeyPin pin{};
    mbedtls_sha256(peer->pk_raw.p, peer->pk_raw.len, as_chars(pin.data()), 0);
    if (!std::ranges::contains(options.pins, pin))
      return std::format("the public key of {} is none of those pinned", server_name);
  }
  return {};
}

}  // namespace nearfield::tls
