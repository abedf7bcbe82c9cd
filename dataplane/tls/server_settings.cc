#include "dataplane/tls/server_settings.h"

#include <mbedtls/sha256.h>

#include <algorithm>
#include <format>

#include "cache/base/assert.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/server_settings_parts.h"
#include "dataplane/tls/suites.h"
#include "dataplane/tls/ticket_keys.h"

namespace nearfield::tls {
namespace {

constexpr std::size_t kMaximumCertificates = 1024;
constexpr std::size_t kMaximumCaBytes = 4 * 1024 * 1024;

void add(CertificateSet& set, const Certificate& certificate) {
  const Certificate*& place = certificate.key_type() == KeyType::ecdsa ? set.ecdsa : set.rsa;
  if (place == nullptr) place = &certificate;  // the first given wins
}

void index(ServerSettings::Parts& parts) {
  for (const auto& certificate : parts.certificates) {
    for (const std::string& name : certificate->names()) {
      if (name.starts_with("*."))
        add(parts.wildcard[name.substr(2)], *certificate);
      else
        add(parts.exact[name], *certificate);
    }
  }
  // The default is the first certificate, and its twin with the other kind of key.
  const Certificate& first = *parts.certificates.front();
  add(parts.fallback, first);
  for (const auto& other : parts.certificates)
    if (other->names() == first.names()) add(parts.fallback, *other);
}

Result<void> load_client_ca(ServerSettings::Parts& parts) {
  const ServerOptions& options = parts.options;
  std::string hashed(1, static_cast<char>('0' + static_cast<int>(options.client_certificates)));
  if (options.client_certificates != ClientCertificates::none) {
    if (options.client_ca_file.empty())
      return failure(
          "client certificates are asked for but no file with their certification authorities is "
          "given");
    Result<std::string> text = read_small_file(options.client_ca_file, kMaximumCaBytes);
    if (!text) return std::unexpected(text.error());
    const int code = mbedtls_x509_crt_parse(
        &parts.client_ca, reinterpret_cast<const unsigned char*>(text->data()), text->size());
    if (code != 0)
      return failure(std::format(
          "{} is not a list of certificates in PEM: {}", options.client_ca_file,
          code > 0 ? std::format("{} of them cannot be read", code) : library_error(code)));
    hashed += *text;
  }
  mbedtls_sha256(reinterpret_cast<const unsigned char*>(hashed.data()), hashed.size(),
                 as_chars(parts.client_authority.data()), 0);
  return {};
}

Result<void> set_up_configs(ServerSettings::Parts& parts) {
  const ServerOptions& options = parts.options;
  for (const Aead aead : {Aead::aes_128_gcm, Aead::aes_256_gcm, Aead::chacha20_poly1305}) {
    std::unique_ptr<LibraryConfig>& config = parts.configs[static_cast<std::size_t>(aead)];
    config = std::make_unique<LibraryConfig>(MBEDTLS_SSL_IS_SERVER, options.random);
    const Result<void> set = config->set_up(options.tls12, {aead}, aead, options.protocols);
    if (!set) return set;
    install_server_callbacks(config->get(), options.ticket_keys != nullptr);
    mbedtls_ssl_conf_session_tickets(config->get(), options.ticket_keys != nullptr
                                                        ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED
                                                        : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    // A client that opens several connections at once may use one ticket for all; every
    // connection brings the next.
    mbedtls_ssl_conf_new_session_tickets(config->get(), options.ticket_keys != nullptr ? 1 : 0);
    switch (options.client_certificates) {
      case ClientCertificates::none:
        mbedtls_ssl_conf_authmode(config->get(), MBEDTLS_SSL_VERIFY_NONE);
        break;
      case ClientCertificates::optional:
        mbedtls_ssl_conf_authmode(config->get(), MBEDTLS_SSL_VERIFY_OPTIONAL);
        break;
      case ClientCertificates::required:
        mbedtls_ssl_conf_authmode(config->get(), MBEDTLS_SSL_VERIFY_REQUIRED);
        break;
    }
    if (options.client_certificates != ClientCertificates::none)
      mbedtls_ssl_conf_ca_chain(config->get(), &parts.client_ca, nullptr);
  }
  return {};
}

}  // namespace

ServerSettings::Parts::Parts() { mbedtls_x509_crt_init(&client_ca); }
ServerSettings::Parts::~Parts() { mbedtls_x509_crt_free(&client_ca); }

const CertificateSet& ServerSettings::Parts::certificates_for(std::string_view server_name) const {
  if (const auto found = exact.find(std::string(server_name)); found != exact.end())
    return found->second;
  // One label only (RFC 6125 6.4.3).
  if (const std::size_t dot = server_name.find('.'); dot != std::string_view::npos && dot != 0) {
    if (const auto found = wildcard.find(std::string(server_name.substr(dot + 1)));
        found != wildcard.end())
      return found->second;
  }
  return fallback;
}

const LibraryConfig& ServerSettings::Parts::config_for(const ClientHello& hello) const {
  Aead aead = Aead::aes_128_gcm;
  const auto offers = [&](Aead wanted) {
    return std::ranges::any_of(kSuites, [&](const Suite& suite) {
      return suite.aead == wanted && hello.offers(suite.id) &&
             suite.version == (hello.tls13 ? Version::tls13 : Version::tls12);
    });
  };
  if (hello.chacha_first && offers(Aead::chacha20_poly1305))
    aead = Aead::chacha20_poly1305;
  else if (!offers(Aead::aes_128_gcm))
    aead = offers(Aead::aes_256_gcm) ? Aead::aes_256_gcm : Aead::chacha20_poly1305;
  return *configs[static_cast<std::size_t>(aead)];
}

const Certificate* ServerSettings::Parts::choose(const ClientHello& hello, bool tls13) const {
  const CertificateSet& set = certificates_for(hello.server_name);
  if (set.ecdsa == nullptr || set.rsa == nullptr) return set.ecdsa != nullptr ? set.ecdsa : set.rsa;
  // Both: ECDSA costs a fifth of RSA to sign with.
  const bool ecdsa_suite = tls13 || std::ranges::any_of(kSuites, [&](const Suite& suite) {
                             return suite.key == SuiteKey::ecdsa && hello.offers(suite.id);
                           });
  const bool ecdsa_signature = hello.offers_signature(0x0403) || hello.offers_signature(0x0503);
  // In TLS 1.2 the curves are those of certificates as well (RFC 8422 5.1).
  const bool ecdsa_group = tls13 || hello.groups == 0 || hello.offers_group(set.ecdsa->group());
  return ecdsa_suite && ecdsa_signature && ecdsa_group ? set.ecdsa : set.rsa;
}

std::string_view ServerSettings::Parts::protocol_for(const ClientHello& hello) const {
  for (const std::string& protocol : options.protocols)
    if (std::ranges::contains(hello.protocols, protocol)) return protocol;
  return {};
}

TicketBinding ServerSettings::Parts::binding_for(const ClientHello& hello, Version version) const {
  TicketBinding binding;
  binding.version = version;
  binding.client_authority = client_authority;
  binding.server_name = hello.server_name;
  binding.protocol = protocol_for(hello);
  if (version == Version::tls12) {
    binding.extended_master_secret = hello.extended_master_secret;
    binding.key_types = certificates_for(hello.server_name).key_types();
    binding.suites = hello.suites;
    binding.groups = hello.groups;
    binding.signatures = hello.signatures;
    binding.chacha_first = hello.chacha_first;
  }
  return binding;
}

ServerSettings::ServerSettings(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ServerSettings::~ServerSettings() = default;

Result<std::shared_ptr<const ServerSettings>> ServerSettings::make(const ServerOptions& options,
                                                                   WallTime now) {
  if (Result<void> started = start_library(); !started) return std::unexpected(started.error());
  if (options.certificates.empty())
    return failure("no certificate is given: TLS needs at least one");
  if (options.certificates.size() > kMaximumCertificates)
    return failure(std::format("more than {} certificates are given", kMaximumCertificates));
  if (const std::string wrong = check_protocols(options.protocols); !wrong.empty())
    return failure(wrong);
  auto parts = std::make_unique<Parts>();
  parts->options = options;
  for (const CertificateFiles& files : options.certificates) {
    auto certificate = Certificate::load(files, now, parts->warnings);
    if (!certificate) return std::unexpected(certificate.error());
    parts->certificates.push_back(*std::move(certificate));
  }
  index(*parts);
  if (Result<void> loaded = load_client_ca(*parts); !loaded) return std::unexpected(loaded.error());
  if (Result<void> set = set_up_configs(*parts); !set) return std::unexpected(set.error());
  return std::shared_ptr<const ServerSettings>(new ServerSettings(std::move(parts)));
}

Result<void> ServerSettings::check_client_ca(const ServerOptions& options) {
  if (Result<void> started = start_library(); !started) return started;
  Parts parts;
  parts.options = options;
  return load_client_ca(parts);
}

const std::vector<std::string>& ServerSettings::warnings() const { return parts_->warnings; }

std::vector<CertificateExpiry> ServerSettings::expiries() const {
  std::vector<CertificateExpiry> all;
  for (const auto& certificate : parts_->certificates) all.push_back(certificate->expiry());
  return all;
}

}  // namespace nearfield::tls
