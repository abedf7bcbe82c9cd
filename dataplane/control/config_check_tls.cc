#include "dataplane/control/config_check_tls.h"

#include <algorithm>
#include <format>
#include <set>

namespace nearfield::control {
namespace {

// What browsers ask of a domain before they take it into their preload lists.
constexpr std::chrono::hours kPreloadAge(24 * 365);

// Whether a socket on `wide` takes what is meant for `narrow`: ":80" has every address of both
// families, "0.0.0.0:80" every IPv4 one.
bool covers(const net::Endpoint& wide, const net::Endpoint& narrow) {
  if (wide.port == 0 || wide.port != narrow.port) return false;
  if (wide.address == narrow.address || wide.address == net::Address()) return true;
  return wide.address.is_v4() && narrow.address.is_v4() &&
         wide.address.truncated(0, 0) == wide.address;
}

// The kernel would refuse the second of the two, as if another process had the port.
void check_one_list(const std::vector<net::Endpoint>& list, std::string_view key,
                    const ComplainOfKey& complain) {
  for (const net::Endpoint& wide : list) {
    for (const net::Endpoint& narrow : list) {
      if (wide == narrow || !covers(wide, narrow)) continue;
      complain(key, std::format("has {}, which is every address, beside {}: remove one",
                                wide.text(), narrow.text()));
      return;
    }
  }
}

void check_both_lists(const Config& config, const ComplainOfKey& complain) {
  for (const net::Endpoint& tls : config.tls.listen) {
    for (const net::Endpoint& clear : config.listen) {
      if (!covers(tls, clear) && !covers(clear, tls)) continue;
      complain("tls.listen",
               std::format("has {}, and node.listen has {}: one address speaks TLS or clear text, "
                           "use another port for one of them",
                           tls.text(), clear.text()));
      return;
    }
  }
}

void check_admin(const Config& config, const ComplainOfKey& complain) {
  if (!config.admin) return;
  const auto clashes = [&](const net::Endpoint& listen) {
    return covers(listen, *config.admin) || covers(*config.admin, listen);
  };
  const char* key = std::ranges::any_of(config.listen, clashes)       ? "node.listen"
                    : std::ranges::any_of(config.tls.listen, clashes) ? "tls.listen"
                                                                      : nullptr;
  if (key != nullptr) {
    complain("node.admin", std::format("is also in {}: use another port", key));
  }
}

void check_certificates(TlsConfig& tls, const ComplainOfKey& complain) {
  if (!tls.listen.empty() && tls.certificates.empty()) {
    complain("tls.certificates",
             "is missing: name the certificate of tls.listen, like certificates = [{ certificate = "
             "\"/etc/nearfield/tls/fullchain.pem\", key = \"/etc/nearfield/tls/key.pem\" }]");
  }
  if (tls.listen.empty() && !tls.certificates.empty()) {
    complain("tls.listen",
             "is missing: certificates want an address to be used at, like listen = [\":443\"]");
  }
  std::set<std::string> chains;
  for (std::size_t i = 0; i < tls.certificates.size(); ++i) {
    tls::CertificateFiles& files = tls.certificates[i];
    const std::string key = std::format("tls.certificates[{}].certificate", i);
    if (files.chain.empty()) {
      complain(key, "is missing: name the PEM file with the certificate and its intermediates");
    } else if (!chains.insert(files.chain).second) {
      complain(key, std::format("'{}' is there twice: remove one", files.chain));
    }
    if (files.key.empty()) files.key = files.chain;
  }
}

void check_tls(TlsConfig& tls, const ComplainOfKey& complain) {
  check_certificates(tls, complain);
  const bool asks = tls.client_certificates != tls::ClientCertificates::none;
  if (asks && tls.client_ca_file.empty()) {
    complain("tls.client_ca",
             "is missing: name the PEM file with the authorities that sign client certificates");
  }
  if (!tls.tickets && !tls.ticket_keys_file.empty()) {
    complain("tls.ticket_keys", "is of no use with tickets = false: remove one of them");
  }
  if (tls.helpers.maximum_jobs_per_prefix > tls.helpers.maximum_jobs) {
    complain("tls.helpers.queue_per_prefix", "is larger than tls.helpers.queue, which it is in");
  }
  if (tls.handshakes.per_prefix > tls.handshakes.total) {
    complain("tls.handshakes.per_prefix",
             "is larger than tls.handshakes.total, which it is a part of");
  }
}

void check_https(const Config& config, const ComplainOfKey& complain) {
  const proxy::HttpsPolicy& https = config.settings.https;
  if (https.redirect && config.tls.listen.empty()) {
    complain("https.redirect",
             "sends listeners to TLS, which this node does not speak: write [tls] with listen and "
             "certificates");
  }
  if (https.hsts_subdomains && https.hsts == https.hsts.zero()) {
    complain("https.hsts_subdomains",
             "is part of hsts, which is 0s: write how long, like \"365d\"");
  }
  if (https.hsts_preload && (https.hsts < kPreloadAge || !https.hsts_subdomains)) {
    complain("https.hsts_preload",
             "is taken by browsers only with hsts = \"365d\" or more and hsts_subdomains = true");
  }
}

}  // namespace

void check_listening(Config& config, const ComplainOfKey& complain) {
  if (config.listen.empty() && config.tls.listen.empty() && config.tls.certificates.empty()) {
    complain("node.listen",
             "is missing: name at least one address, like listen = [\":80\"], here or in [tls]");
  }
  check_one_list(config.listen, "node.listen", complain);
  check_one_list(config.tls.listen, "tls.listen", complain);
  check_both_lists(config, complain);
  check_admin(config, complain);
  check_tls(config.tls, complain);
  check_https(config, complain);
}

}  // namespace nearfield::control
