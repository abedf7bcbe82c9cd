// ClientSettings: everything the client side of a handshake (towards an origin) needs, made from
// files once and never changed. The peer is verified unless that was switched off by name; the
// time is the system's, read by the library.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/random_source.h"

namespace nearfield::tls {

using PublicKeyPin = std::array<std::byte, 32>;  // SHA-256 of the DER SubjectPublicKeyInfo

struct ClientOptions {
  bool verify = true;    // the chain and the name; false also allows pins alone
  std::string ca_file;   // PEM bundle; empty: the system's (kSystemCaFile)
  CertificateFiles own;  // both empty: none
  // When any are given, the peer's own certificate must have one of these keys.
  std::vector<PublicKeyPin> pins;
  std::vector<std::string> protocols = {"http/1.1"};  // ALPN
  bool tls12 = true;
  RandomSource random = system_random;
};

class ClientSettings {
 public:
  static constexpr std::string_view kSystemCaFile = "/etc/ssl/certs/ca-certificates.crt";

  static Result<std::shared_ptr<const ClientSettings>> make(const ClientOptions& options,
                                                            WallTime now);
  // "sha256/BASE64" as curl's --pinnedpubkey and HPKP wrote it, or 64 hexadecimal digits.
  static Result<PublicKeyPin> parse_pin(std::string_view text);
  ClientSettings(const ClientSettings&) = delete;
  ClientSettings& operator=(const ClientSettings&) = delete;
  ~ClientSettings();

  const std::vector<std::string>& warnings() const;
  std::vector<CertificateExpiry> expiries() const;  // of the own certificate

  // For Handshake only.
  struct Parts;
  const Parts& parts() const { return *parts_; }

 private:
  explicit ClientSettings(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace nearfield::tls
