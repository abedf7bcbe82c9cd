// LibraryConfig: the library's configuration with what server and client sides have in common:
// versions, groups, signature algorithms, randomness; and lists that it points into. Internal to
// the settings.
#pragma once

#include <mbedtls/ssl.h>

#include <string>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/tls/random_source.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

class LibraryConfig {
 public:
  // `endpoint`: MBEDTLS_SSL_IS_SERVER or MBEDTLS_SSL_IS_CLIENT. `random` must outlive it.
  LibraryConfig(int endpoint, const RandomSource& random);
  LibraryConfig(const LibraryConfig&) = delete;
  LibraryConfig& operator=(const LibraryConfig&) = delete;
  ~LibraryConfig();

  // Suites of TLS 1.3 as given; those of TLS 1.2 with `first` before the others.
  Result<void> set_up(bool tls12, const std::vector<Aead>& tls13_suites, Aead first,
                      const std::vector<std::string>& protocols);

  mbedtls_ssl_config* get() { return &config_; }
  const mbedtls_ssl_config* get() const { return &config_; }
  const std::vector<int>& suites() const { return suites_; }  // ends with a 0

 private:
  const int endpoint_;
  mbedtls_ssl_config config_;
  std::vector<int> suites_;
  std::vector<std::string> protocols_;
  std::vector<const char*> protocol_pointers_;
};

// "" or what is wrong with the list.
std::string check_protocols(const std::vector<std::string>& protocols);

}  // namespace nearfield::tls
