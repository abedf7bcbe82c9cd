// The inside of ClientSettings, for the sources of handshakes.
#pragma once

#include <mbedtls/x509_crt.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/tls/client_settings.h"
#include "dataplane/tls/library_config.h"

namespace nearfield::tls {

struct ClientSettings::Parts {
  ClientOptions options;
  mbedtls_x509_crt ca{};
  std::shared_ptr<const Certificate> own;
  std::unique_ptr<LibraryConfig> config;
  std::vector<std::string> warnings;

  Parts() { mbedtls_x509_crt_init(&ca); }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() { mbedtls_x509_crt_free(&ca); }
};

}  // namespace nearfield::tls
