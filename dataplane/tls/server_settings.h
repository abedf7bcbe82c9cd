// ServerSettings: everything the server side of a handshake needs, made from files once and never
// changed. A reload makes new settings and hands them to new handshakes; those under way keep
// theirs. What is not offered is not configurable: CBC, static RSA, finite-field Diffie-Hellman,
// renegotiation, compression, early data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/random_source.h"

namespace nearfield::tls {

class TicketKeys;

enum class ClientCertificates : std::uint8_t { none, optional, required };

struct ServerOptions {
  // At least one; the first is served to clients that name no server or one we do not know. A name
  // may have an ECDSA and an RSA certificate: the client's signature algorithms decide.
  std::vector<CertificateFiles> certificates;
  bool tls12 = true;  // TLS 1.3 is always on
  // ALPN in order of preference, at most 8 of at most 32 bytes; empty: the extension is ignored.
  std::vector<std::string> protocols = {"h2", "http/1.1"};
  ClientCertificates client_certificates = ClientCertificates::none;
  std::string client_ca_file;               // PEM; needed unless `none`
  std::shared_ptr<TicketKeys> ticket_keys;  // null: no tickets, every handshake is a full one
  RandomSource random = system_random;
};

class ServerSettings {
 public:
  // `now` decides what is warned about.
  static Result<std::shared_ptr<const ServerSettings>> make(const ServerOptions& options,
                                                            WallTime now);
  // Whether the client_ca_file of `options` can be used; the only file that make() reads beside
  // certificates and their keys. Nothing else of them is looked at.
  static Result<void> check_client_ca(const ServerOptions& options);
  ServerSettings(const ServerSettings&) = delete;
  ServerSettings& operator=(const ServerSettings&) = delete;
  ~ServerSettings();

  // What make() found wrong but bearable, for the log.
  const std::vector<std::string>& warnings() const;
  std::vector<CertificateExpiry> expiries() const;

  // For Handshake only.
  struct Parts;
  const Parts& parts() const { return *parts_; }

 private:
  explicit ServerSettings(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace nearfield::tls
