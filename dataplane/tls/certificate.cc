#include "dataplane/tls/certificate.h"

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <cstring>
#include <format>
#include <span>
#include <utility>

#include "dataplane/tls/client_hello.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/random_source.h"
#include "dataplane/tls/secret_file.h"
#include "dataplane/tls/secrets.h"
#include "dataplane/tls/verification.h"

namespace nearfield::tls {
namespace {

constexpr std::size_t kMaximumFileBytes = 256 * 1024;
// The library sends a Certificate message in one record of 16 KiB or not at all. A little is its
// own: headers, TLS 1.3's context.
constexpr std::size_t kMaximumChainBytes = 16'000;
// Of each certificate: its length, TLS 1.3's extensions (RFC 8446 4.4.2).
constexpr std::size_t kEntryBytes = 5;

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& byte : lower)
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  return lower;
}

std::string common_name(const mbedtls_x509_crt& certificate) {
  for (const mbedtls_x509_name* part = &certificate.subject; part != nullptr; part = part->next)
    if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0)
      return lower_case({reinterpret_cast<const char*>(part->val.p), part->val.len});
  return {};
}

bool has_alternative_names(const mbedtls_x509_crt& certificate) {
  return mbedtls_x509_crt_has_ext_type(&certificate, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) != 0;
}

std::vector<std::string> dns_names(const mbedtls_x509_crt& certificate) {
  std::vector<std::string> names;
  for (const AlternativeName& name : alternative_names(certificate))
    if (!name.is_address) names.push_back(lower_case(name.value));
  if (!has_alternative_names(certificate))
    if (std::string name = common_name(certificate); !name.empty())
      names.push_back(std::move(name));
  return names;
}

// A key or signature that the library has no code for, rather than one that is damaged.
bool is_unknown_kind(int code) {
  // Codes are sums: of what failed, above these bits, and of why.
  constexpr int kReasonBits = 0x7f;
  const int what = code < 0 ? -(-code & ~kReasonBits) : 0;
  return what == MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG || what == MBEDTLS_ERR_PK_UNKNOWN_PK_ALG ||
         what == MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE;
}

Result<KeyType> check_key(const mbedtls_pk_context& key, const std::string& file) {
  const std::size_t bits = mbedtls_pk_get_bitlen(&key);
  switch (mbedtls_pk_get_type(&key)) {
    case MBEDTLS_PK_RSA:
      if (bits >= 2048 && bits <= 8192) return KeyType::rsa;
      return failure(std::format(
          "{} holds an RSA key of {} bits: use ECDSA on P-256, or RSA of 2048 to 8192 bits", file,
          bits));
    case MBEDTLS_PK_ECKEY:
    case MBEDTLS_PK_ECDSA: {
      const mbedtls_ecp_group_id group = mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(key));
      if (group == MBEDTLS_ECP_DP_SECP256R1 || group == MBEDTLS_ECP_DP_SECP384R1)
        return KeyType::ecdsa;
      return failure(
          std::format("{} holds an ECDSA key on another curve than P-256 and P-384, which "
                      "clients do not know: make one on P-256",
                      file));
    }
    default:
      return failure(std::format(
          "{} holds a key that is neither ECDSA nor RSA: make an ECDSA key on P-256", file));
  }
}

}  // namespace

WallTime wall_time(const mbedtls_x509_time& time) {
  using std::chrono::year_month_day;
  const year_month_day date{std::chrono::year(time.year),
                            std::chrono::month(static_cast<unsigned>(time.mon)),
                            std::chrono::day(static_cast<unsigned>(time.day))};
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(time.hour) +
         std::chrono::minutes(time.min) + std::chrono::seconds(time.sec);
}

Certificate::Certificate() = default;
Certificate::~Certificate() = default;

void Certificate::ChainDeleter::operator()(mbedtls_x509_crt* chain) const {
  mbedtls_x509_crt_free(chain);
  delete chain;
}

void Certificate::KeyDeleter::operator()(mbedtls_pk_context* key) const {
  mbedtls_pk_free(key);  // wipes
  delete key;
}

Result<std::shared_ptr<const Certificate>> Certificate::load(const CertificateFiles& files,
                                                             WallTime now,
                                                             std::vector<std::string>& warnings,
                                                             CertificateUse use) {
  if (Result<void> started = start_library(); !started) return std::unexpected(started.error());
  std::shared_ptr<Certificate> made(new Certificate());
  Result<std::string> chain_text = read_small_file(files.chain, kMaximumFileBytes);
  if (!chain_text) return std::unexpected(chain_text.error());
  made->chain_.reset(new mbedtls_x509_crt);
  mbedtls_x509_crt_init(made->chain_.get());
  const int parsed = mbedtls_x509_crt_parse(
      made->chain_.get(), reinterpret_cast<const unsigned char*>(chain_text->data()),
      chain_text->size());
  // The file may hold the key as well, and that is a part that is no certificate of course.
  wipe(std::as_writable_bytes(std::span(chain_text->data(), chain_text->size())));
  if (is_unknown_kind(parsed))
    return failure(
        std::format("{} holds a certificate whose key or signature is neither ECDSA on a known "
                    "curve nor RSA (Ed25519, perhaps): make an ECDSA key on P-256, and have it "
                    "signed by such a key",
                    files.chain));
  // Others of the file could be read: of the rest only the number is known.
  if (parsed > 0)
    return failure(
        std::format("{} of the certificates in {} cannot be read: damaged, or with a key or "
                    "signature that is neither ECDSA on a known curve nor RSA (Ed25519, perhaps)",
                    parsed, files.chain));
  if (parsed < 0)
    return failure(std::format("{} is not a chain of certificates in PEM: {}", files.chain,
                               library_error(parsed)));

  std::size_t chain_bytes = 0;
  std::size_t certificates = 0;
  for (const mbedtls_x509_crt* one = made->chain_.get(); one != nullptr; one = one->next) {
    chain_bytes += one->raw.len + kEntryBytes;
    ++certificates;
  }
  if (chain_bytes > kMaximumChainBytes)
    return failure(std::format(
        "{} holds {} certificates, {} bytes of DER: TLS sends {} at most; keep the server's "
        "certificate and the intermediates up to the root's child",
        files.chain, certificates, chain_bytes, kMaximumChainBytes));

  Result<std::string> key_text = read_small_file(files.key, kMaximumFileBytes);
  if (!key_text) return std::unexpected(key_text.error());
  for (std::unique_ptr<mbedtls_pk_context, KeyDeleter>& copy : made->keys_) {
    copy.reset(new mbedtls_pk_context);
    mbedtls_pk_init(copy.get());
    const int code =
        mbedtls_pk_parse_key(copy.get(), reinterpret_cast<const unsigned char*>(key_text->data()),
                             key_text->size(), nullptr, 0, library_random, nullptr);
    if (code == 0) continue;
    wipe(std::as_writable_bytes(std::span(key_text->data(), key_text->size())));
    if (is_unknown_kind(code))
      return failure(std::format(
          "{} holds a key that is neither ECDSA on a known curve nor RSA: make an ECDSA key on "
          "P-256",
          files.key));
    if (files.key == files.chain && code == MBEDTLS_ERR_PK_KEY_INVALID_FORMAT)
      return failure(
          std::format("{} holds certificates but no private key: name the file that does with "
                      "`key` (--key), beside `certificate`",
                      files.chain));
    return failure(std::format("{} is not a private key in PEM without a passphrase: {}", files.key,
                               library_error(code)));
  }
  wipe(std::as_writable_bytes(std::span(key_text->data(), key_text->size())));

  const Result<KeyType> type = check_key(*made->keys_[0], files.key);
  if (!type) return std::unexpected(type.error());
  made->key_type_ = *type;
  if (mbedtls_pk_check_pair(&made->chain_->pk, made->keys_[0].get(), library_random, nullptr) != 0)
    return failure(
        std::format("the private key {} does not belong to the first certificate of {}: give the "
                    "key it was made with, and put the server's certificate first",
                    files.key, files.chain));

  CertificateExpiry& expiry = made->expiry_;
  expiry.file = files.chain;
  expiry.subject = certificate_subject(*made->chain_);
  expiry.names = dns_names(*made->chain_);
  expiry.not_after = wall_time(made->chain_->valid_to);
  if (use == CertificateUse::listeners) {
    if (!has_alternative_names(*made->chain_))
      warnings.push_back(
          std::format("the certificate {} has no subject alternative name; clients do not look at "
                      "its Common Name (RFC 9525)",
                      files.chain));
    else if (alternative_names(*made->chain_).empty())
      warnings.push_back(
          std::format("the certificate {} names no host: clients will refuse it", files.chain));
  }
  if (now > expiry.not_after)
    warnings.push_back(std::format("the certificate {} ({}) has expired on {:%F %R} UTC: renew it",
                                   files.chain, expiry.subject, expiry.not_after));
  if (const WallTime begin = wall_time(made->chain_->valid_from); now < begin)
    warnings.push_back(
        std::format("the certificate {} ({}) is valid only from {:%F %R} UTC on: is the clock "
                    "right?",
                    files.chain, expiry.subject, begin));
  if (std::string exposed = exposure_warning("private key", files.key); !exposed.empty())
    warnings.push_back(std::move(exposed));
  return made;
}

std::uint16_t Certificate::group() const {
  if (key_type_ != KeyType::ecdsa) return 0;
  constexpr std::uint16_t kSecp256r1 = 23;
  constexpr std::uint16_t kSecp384r1 = 24;
  return mbedtls_pk_get_bitlen(keys_[0].get()) > 256 ? kSecp384r1 : kSecp256r1;
}

mbedtls_pk_context* Certificate::key() const {
  if (key_type_ == KeyType::ecdsa) return keys_[0].get();
  return keys_[next_key_.fetch_add(1, std::memory_order_relaxed) % keys_.size()].get();
}

std::vector<std::string> expiry_warnings(const std::vector<CertificateExpiry>& certificates,
                                         WallTime now, Duration within) {
  std::vector<std::string> warnings;
  for (const CertificateExpiry& certificate : certificates) {
    const auto left = certificate.not_after - now;
    if (left < std::chrono::seconds(0))
      warnings.push_back(
          std::format("the certificate {} ({}) has expired on {:%F %R} UTC: renew it",
                      certificate.file, certificate.subject, certificate.not_after));
    else if (left <= within)
      warnings.push_back(std::format("the certificate {} ({}) expires in {} days, on {:%F %R} UTC",
                                     certificate.file, certificate.subject,
                                     std::chrono::floor<std::chrono::days>(left).count(),
                                     certificate.not_after));
  }
  return warnings;
}

}  // namespace nearfield::tls
