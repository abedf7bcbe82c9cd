// Certificate: one chain and its private key, as read from two PEM files, checked for what would
// only be noticed by clients otherwise. Immutable after load(); shared by every handshake of the
// settings that hold it, on all threads.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"

struct mbedtls_x509_crt;
struct mbedtls_x509_time;
struct mbedtls_pk_context;

namespace nearfield::tls {

struct CertificateFiles {
  std::string chain;  // PEM: the certificate first, then the intermediates up to the root's child
  std::string key;    // PEM, not encrypted; may be the same file as `chain`
};

enum class KeyType : std::uint8_t { ecdsa, rsa };

// Of a listener's certificate the names matter, of one shown to origins they do not.
enum class CertificateUse : std::uint8_t { listeners, origins };

// Of a certificate's validity (X.509 has no time zone but UTC).
WallTime wall_time(const mbedtls_x509_time& time);

// What metrics and warnings say of one certificate.
struct CertificateExpiry {
  std::string file;                // of the chain
  std::string subject;             // RFC 4514 like text: "CN=cache.example"
  std::vector<std::string> names;  // see Certificate::names()
  WallTime not_after;
};

class Certificate {
 public:
  // Refuses, naming the file and the mend: unreadable or unparsable files, a chain too long to be
  // sent, a key that does not belong to the certificate, keys other than ECDSA on P-256 or P-384
  // and RSA of 2048 to 8192 bits. Appends to `warnings`: expired, not valid yet, key file readable
  // by others; of listeners' also: no name that clients look at.
  static Result<std::shared_ptr<const Certificate>> load(
      const CertificateFiles& files, WallTime now, std::vector<std::string>& warnings,
      CertificateUse use = CertificateUse::listeners);
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  ~Certificate();  // wipes the key

  KeyType key_type() const { return key_type_; }
  // The curve of an ECDSA key as TLS numbers it (RFC 8422 5.1.1); 0 for RSA.
  std::uint16_t group() const;
  // DNS names in lower case, wildcards as "*.example"; without the subject alternative name
  // extension the subject's Common Name, to choose by.
  const std::vector<std::string>& names() const { return expiry_.names; }
  const CertificateExpiry& expiry() const { return expiry_; }

  // For the library, which takes no const pointers and does not write.
  mbedtls_x509_crt* chain() const { return chain_.get(); }
  // The library signs with an RSA key under that key's lock: there are some copies, given in turn,
  // so that helper threads do not wait for each other.
  mbedtls_pk_context* key() const;

 private:
  Certificate();
  struct ChainDeleter {
    void operator()(mbedtls_x509_crt* chain) const;
  };
  struct KeyDeleter {
    void operator()(mbedtls_pk_context* key) const;
  };

  std::unique_ptr<mbedtls_x509_crt, ChainDeleter> chain_;
  std::array<std::unique_ptr<mbedtls_pk_context, KeyDeleter>, 4> keys_;
  mutable std::atomic<unsigned> next_key_{0};
  KeyType key_type_ = KeyType::ecdsa;
  CertificateExpiry expiry_;
};

// The certificates that end within `within` of `now` or have ended, as sentences for a log.
std::vector<std::string> expiry_warnings(const std::vector<CertificateExpiry>& certificates,
                                         WallTime now, Duration within = std::chrono::days(30));

}  // namespace nearfield::tls
