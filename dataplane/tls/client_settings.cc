#include "dataplane/tls/client_settings.h"

#include <mbedtls/base64.h>

#include <algorithm>
#include <format>

#include "dataplane/tls/client_settings_parts.h"
#include "dataplane/tls/handshake_parts.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/verification.h"

namespace nearfield::tls {
namespace {

constexpr std::size_t kMaximumCaBytes = 4 * 1024 * 1024;

Result<void> load_ca(ClientSettings::Parts& parts) {
  const ClientOptions& options = parts.options;
  if (!options.verify) return {};
  const std::string file =
      options.ca_file.empty() ? std::string(ClientSettings::kSystemCaFile) : options.ca_file;
  const Result<std::string> text = read_small_file(file, kMaximumCaBytes);
  if (!text) return std::unexpected(text.error());
  const int code = mbedtls_x509_crt_parse(
      &parts.ca, reinterpret_cast<const unsigned char*>(text->data()), text->size());
  if (code < 0 || parts.ca.raw.p == nullptr)
    return failure(std::format("{} holds no certificate in PEM that can be read: {}", file,
                               code < 0 ? library_error(code) : "none of them"));
  // The system's bundle may hold kinds of keys the library does not know.
  if (code > 0)
    parts.warnings.push_back(
        std::format("{} certificates of {} cannot be read and are not trusted", code, file));
  return {};
}

int digit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  return -1;
}

}  // namespace

ClientSettings::ClientSettings(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ClientSettings::~ClientSettings() = default;

Result<std::shared_ptr<const ClientSettings>> ClientSettings::make(const ClientOptions& options,
                                                                   WallTime now) {
  if (Result<void> started = start_library(); !started) return std::unexpected(started.error());
  if (const std::string wrong = check_protocols(options.protocols); !wrong.empty())
    return failure(wrong);
  auto parts = std::make_unique<Parts>();
  parts->options = options;
  if (Result<void> loaded = load_ca(*parts); !loaded) return std::unexpected(loaded.error());
  if (!options.verify && options.pins.empty())
    parts->warnings.push_back(
        "the origin's certificate is not verified and not pinned: whoever is in between can read "
        "and change what comes from it");
  parts->config = std::make_unique<LibraryConfig>(MBEDTLS_SSL_IS_CLIENT, parts->options.random);
  const Result<void> set = parts->config->set_up(
      options.tls12, {Aead::aes_128_gcm, Aead::aes_256_gcm, Aead::chacha20_poly1305},
      Aead::aes_128_gcm, options.protocols);
  if (!set) return std::unexpected(set.error());
  mbedtls_ssl_config* config = parts->config->get();
  // Without verification the certificate is still parsed, and that the peer has its key is still
  // proven: pins need both.
  mbedtls_ssl_conf_authmode(
      config, options.verify ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_OPTIONAL);
  if (options.verify) {
    mbedtls_ssl_conf_ca_chain(config, &parts->ca, nullptr);
    mbedtls_ssl_conf_verify(config, verify_server_certificate, nullptr);
  }
  // Connections to origins are kept and few: sessions are not resumed.
  mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
  if (!options.own.chain.empty()) {
    auto own = Certificate::load(options.own, now, parts->warnings, CertificateUse::origins);
    if (!own) return std::unexpected(own.error());
    parts->own = *std::move(own);
    const int code = mbedtls_ssl_conf_own_cert(config, parts->own->chain(), parts->own->key());
    if (code != 0) return failure("cannot use the own certificate: " + library_error(code));
  }
  return std::shared_ptr<const ClientSettings>(new ClientSettings(std::move(parts)));
}

Result<PublicKeyPin> ClientSettings::parse_pin(std::string_view text) {
  PublicKeyPin pin{};
  std::string_view encoded = text;
  // Both ways of writing are in use; base64 may begin with a slash itself.
  constexpr std::size_t kBase64Bytes = 44;
  for (const std::string_view prefix : {"sha256/", "sha256//"}) {
    if (!text.starts_with(prefix) || text.size() != prefix.size() + kBase64Bytes) continue;
    encoded.remove_prefix(prefix.size());
    std::size_t bytes = 0;
    if (mbedtls_base64_decode(as_chars(pin.data()), pin.size(), &bytes,
                              reinterpret_cast<const unsigned char*>(encoded.data()),
                              encoded.size()) == 0 &&
        bytes == pin.size())
      return pin;
  }
  bool hexadecimal = encoded.size() == pin.size() * 2;
  for (std::size_t i = 0; hexadecimal && i < pin.size(); ++i) {
    const int high = digit(encoded[2 * i]);
    const int low = digit(encoded[2 * i + 1]);
    hexadecimal = high >= 0 && low >= 0;
    pin[i] = static_cast<std::byte>(high * 16 + low);
  }
  if (hexadecimal) return pin;
  return failure(std::format(
      "'{}' is not the SHA-256 of a public key: write sha256/ and 44 characters of base64, or 64 "
      "hexadecimal digits",
      text));
}

const std::vector<std::string>& ClientSettings::warnings() const { return parts_->warnings; }

std::vector<CertificateExpiry> ClientSettings::expiries() const {
  if (parts_->own == nullptr) return {};
  return {parts_->own->expiry()};
}

}  // namespace nearfield::tls
