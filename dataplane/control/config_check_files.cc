// Every file is looked at on its own, by the functions that a start reads it with, so that the
// messages are the same.
#include "dataplane/control/config_check_files.h"

#include <format>

#include "dataplane/origin/directory.h"
#include "dataplane/tls/server_settings.h"
#include "dataplane/tls/ticket_keys.h"

namespace nearfield::control {
namespace {

void check_listeners(const TlsConfig& config, WallTime now, const ComplainOfKey& complain,
                     std::vector<std::string>& warnings) {
  for (std::size_t i = 0; i < config.certificates.size(); ++i) {
    const tls::CertificateFiles& files = config.certificates[i];
    if (files.chain.empty()) continue;  // complained of
    const auto loaded = tls::Certificate::load(files, now, warnings);
    if (!loaded) complain(std::format("tls.certificates[{}]", i), loaded.error().message);
  }
  tls::ServerOptions authorities;
  authorities.client_certificates = config.client_certificates;
  authorities.client_ca_file = config.client_ca_file;
  if (!config.client_ca_file.empty()) {
    const auto good = tls::ServerSettings::check_client_ca(authorities);
    if (!good) complain("tls.client_ca", good.error().message);
  }
  if (!config.tickets || config.ticket_keys_file.empty()) return;
  const auto keys = tls::TicketKeys::load(config.ticket_keys_file, warnings);
  if (!keys) complain("tls.ticket_keys", keys.error().message);
}

void check_origins(const Config& config, WallTime now, const ComplainOfKey& complain,
                   std::vector<std::string>& warnings) {
  for (std::size_t i = 0; i < config.origins.size(); ++i) {
    const origin::OriginGroup& group = config.origins[i];
    if (!group.speaks_tls() || !group.validate()) continue;  // complained of
    const auto made = origin::OriginDirectory::create({group}, nullptr, {}, nullptr,
                                                      {.available = true, .now = now});
    if (!made) {
      complain(std::format("origin[{}].tls", i), made.error().message);
      continue;
    }
    warnings.insert(warnings.end(), (*made)->warnings().begin(), (*made)->warnings().end());
  }
}

}  // namespace

void check_tls_files(const Config& config, WallTime now, const ComplainOfKey& complain,
                     std::vector<std::string>& warnings) {
  if (!config.tls.listen.empty()) check_listeners(config.tls, now, complain, warnings);
  check_origins(config, now, complain, warnings);
}

}  // namespace nearfield::control
