#include "dataplane/tls/library_config.h"

#include <algorithm>
#include <array>
#include <format>

#include "cache/base/assert.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/suites.h"

namespace nearfield::tls {
namespace {

template <std::size_t count>
constexpr std::array<std::uint16_t, count + 1> terminated(
    const std::array<std::uint16_t, count>& list) {
  std::array<std::uint16_t, count + 1> longer{};
  std::ranges::copy(list, longer.begin());
  return longer;
}

// The library keeps pointers to these.
constexpr auto kGroupList = terminated(kGroups);
constexpr auto kSignatureList = terminated(kSignatures);
static_assert(MBEDTLS_SSL_IANA_TLS_GROUP_NONE == 0 && MBEDTLS_TLS1_3_SIG_NONE == 0);

}  // namespace

LibraryConfig::LibraryConfig(int endpoint, const RandomSource& random) : endpoint_(endpoint) {
  mbedtls_ssl_config_init(&config_);
  // The library asks for a mutable pointer; library_random() does not change what it points to.
  mbedtls_ssl_conf_rng(&config_, library_random, const_cast<RandomSource*>(&random));
}

LibraryConfig::~LibraryConfig() { mbedtls_ssl_config_free(&config_); }

Result<void> LibraryConfig::set_up(bool tls12, const std::vector<Aead>& tls13_suites, Aead first,
                                   const std::vector<std::string>& protocols) {
  const int code = mbedtls_ssl_config_defaults(&config_, endpoint_, MBEDTLS_SSL_TRANSPORT_STREAM,
                                               MBEDTLS_SSL_PRESET_DEFAULT);
  if (code != 0) return failure("cannot prepare TLS: " + library_error(code));
  mbedtls_ssl_conf_min_tls_version(&config_,
                                   tls12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3);
  mbedtls_ssl_conf_max_tls_version(&config_, MBEDTLS_SSL_VERSION_TLS1_3);
  mbedtls_ssl_conf_groups(&config_, kGroupList.data());
  mbedtls_ssl_conf_sig_algs(&config_, kSignatureList.data());
  // Resumption always with a new Diffie-Hellman exchange: no psk_ke.
  mbedtls_ssl_conf_tls13_key_exchange_modes(&config_,
                                            MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL |
                                                MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL);
  mbedtls_ssl_conf_renegotiation(&config_, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
  mbedtls_ssl_conf_legacy_renegotiation(&config_, MBEDTLS_SSL_LEGACY_NO_RENEGOTIATION);
  mbedtls_ssl_conf_extended_master_secret(&config_, MBEDTLS_SSL_EXTENDED_MS_ENABLED);
  mbedtls_ssl_conf_encrypt_then_mac(&config_, MBEDTLS_SSL_ETM_DISABLED);

  suites_.clear();
  for (const Aead aead : tls13_suites)
    for (const Suite& suite : kSuites)
      if (suite.version == Version::tls13 && suite.aead == aead) suites_.push_back(suite.id);
  if (tls12)
    for (const bool preferred : {true, false})
      for (const Suite& suite : kSuites)
        if (suite.version == Version::tls12 && (suite.aead == first) == preferred)
          suites_.push_back(suite.id);
  suites_.push_back(0);
  mbedtls_ssl_conf_ciphersuites(&config_, suites_.data());
  mbedtls_ssl_conf_preference_order(&config_, MBEDTLS_SSL_SRV_CIPHERSUITE_ORDER_SERVER);

  protocols_ = protocols;
  protocol_pointers_.clear();
  for (const std::string& protocol : protocols_) protocol_pointers_.push_back(protocol.c_str());
  protocol_pointers_.push_back(nullptr);
  if (!protocols_.empty() &&
      mbedtls_ssl_conf_alpn_protocols(&config_, protocol_pointers_.data()) != 0)
    return failure("the list of ALPN protocols is not acceptable");
  return {};
}

std::string check_protocols(const std::vector<std::string>& protocols) {
  if (protocols.size() > 8) return "more than 8 ALPN protocols";
  for (const std::string& protocol : protocols)
    if (protocol.empty() || protocol.size() > 32 || protocol.contains('\0'))
      return std::format("the ALPN protocol '{}' must have 1 to 32 bytes", protocol);
  return {};
}

}  // namespace nearfield::tls
