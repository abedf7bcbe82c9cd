// The keys under [tls] and [https].
#include <algorithm>
#include <format>

#include "dataplane/control/config_keys.h"

namespace nearfield::control {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr std::uint64_t kManyHandshakes = 1'000'000;

// RFC 7301 3.1 allows any bytes; nobody registered others than these.
Result<void> is_protocol(std::string_view text) {
  const bool good = !text.empty() && text.size() <= 32 &&
                    std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
  if (good && (text == "h2" || text == "http/1.1")) return {};
  return failure(
      std::format("'{}' is not a protocol a node speaks: use \"h2\" and \"http/1.1\"", text));
}

void visit_certificate(ConfigVisitor& visitor, tls::CertificateFiles& files) {
  visitor.text("certificate", files.chain, is_file_path);
  visitor.text("key", files.key, is_file_path);
}

void visit_handshakes(ConfigVisitor& visitor, tls::HandshakeLimits& limits) {
  visitor.duration("timeout", limits.timeout, milliseconds(100), minutes(10));
  visitor.integer("total", limits.total, 1, kManyHandshakes);
  visitor.integer("per_prefix", limits.per_prefix, 1, kManyHandshakes);
  visitor.integer("prefix_v4_bits", limits.prefix_v4_bits, 8, 32);
  visitor.integer("prefix_v6_bits", limits.prefix_v6_bits, 16, 128);
}

void visit_helpers(ConfigVisitor& visitor, tls::HandshakePoolOptions& helpers) {
  visitor.integer("threads", helpers.threads, 1, 64);
  visitor.integer("queue", helpers.maximum_jobs, 1, kManyHandshakes);
  visitor.integer("queue_per_prefix", helpers.maximum_jobs_per_prefix, 1, kManyHandshakes);
  visitor.integer("nice", helpers.nice, 0, 19);
}

}  // namespace

void visit_tls(ConfigVisitor& visitor, TlsConfig& tls) {
  visit_endpoints(visitor, "listen", tls.listen);
  visitor.tables<tls::CertificateFiles>(
      "certificates", tls.certificates, TlsConfig::kMaximumCertificates, "certificate",
      [&](tls::CertificateFiles& files) { visit_certificate(visitor, files); });
  visit_parsed(visitor, "minimum_version", minimum_version_text(tls.tls12), parse_minimum_version,
               tls.tls12);
  visitor.texts("protocols", tls.protocols, TlsConfig::kMaximumProtocols, is_protocol);
  visit_parsed(visitor, "client_certificates", client_certificates_text(tls.client_certificates),
               parse_client_certificates, tls.client_certificates);
  visitor.text("client_ca", tls.client_ca_file, is_file_path);
  visitor.boolean("tickets", tls.tickets);
  visitor.text("ticket_keys", tls.ticket_keys_file, is_file_path);
  visitor.table("handshakes", [&] { visit_handshakes(visitor, tls.handshakes); });
  visitor.table("helpers", [&] { visit_helpers(visitor, tls.helpers); });
}

void visit_https(ConfigVisitor& visitor, proxy::HttpsPolicy& https) {
  visitor.boolean("redirect", https.redirect);
  visitor.integer("redirect_port", https.redirect_port, 1, 65535);
  visitor.duration("hsts", https.hsts, Duration::zero(), hours(24 * 3650));
  visitor.boolean("hsts_subdomains", https.hsts_subdomains);
  visitor.boolean("hsts_preload", https.hsts_preload);
}

}  // namespace nearfield::control
