#include "dataplane/control/node_tls.h"

#include <algorithm>
#include <boost/algorithm/string/join.hpp>
#include <format>
#include <utility>

namespace nearfield::control {

std::vector<TlsNotice> expiry_notices(const std::vector<tls::CertificateExpiry>& certificates,
                                      WallTime now) {
  std::vector<TlsNotice> notices;
  for (const tls::CertificateExpiry& one : certificates) {
    const LogLevel level = one.not_after < now ? LogLevel::error : LogLevel::warn;
    for (std::string& text : tls::expiry_warnings({one}, now, kExpiryNotice)) {
      notices.push_back({level, std::move(text)});
    }
  }
  return notices;
}

// A reload leaves the pool as it is, the length of its prefixes included.
static tls::HandshakePoolOptions pool_options(const TlsConfig& config) {
  tls::HandshakePoolOptions options = config.helpers;
  options.prefix_v4_bits = config.handshakes.prefix_v4_bits;
  options.prefix_v6_bits = config.handshakes.prefix_v6_bits;
  return options;
}

NodeTls::NodeTls(const TlsConfig& config)
    : config_(config),
      engine_(&tls::AeadEngine::choose(&engine_warning_)),
      tally_(std::make_unique<tls::HandshakeTally>()),
      pool_(std::make_unique<tls::HandshakePool>(pool_options(config))) {}

NodeTls::~NodeTls() = default;

Result<std::unique_ptr<NodeTls>> NodeTls::make(const TlsConfig& config, WallTime now) {
  std::unique_ptr<NodeTls> made(new NodeTls(config));
  if (config.listen.empty()) return made;
  auto prepared = made->prepare(config, now);
  if (!prepared) return std::unexpected(prepared.error());
  made->use(*std::move(prepared), config);
  return made;
}

Result<NodeTls::Prepared> NodeTls::prepare(const TlsConfig& wanted, WallTime now) const {
  Prepared prepared;
  if (wanted.listen.empty()) return prepared;
  if (wanted.tickets && !wanted.ticket_keys_file.empty()) {
    auto loaded = tls::TicketKeys::load(wanted.ticket_keys_file, prepared.warnings);
    if (!loaded) return std::unexpected(loaded.error());
    prepared.ticket_keys = *std::move(loaded);
    if (ticket_keys_ != nullptr && wanted.ticket_keys_file == config_.ticket_keys_file) {
      prepared.replacement = std::exchange(prepared.ticket_keys, ticket_keys_);
    }
  } else if (wanted.tickets) {
    const bool has_own = ticket_keys_ != nullptr && config_.ticket_keys_file.empty();
    prepared.ticket_keys = has_own ? ticket_keys_ : tls::TicketKeys::make(now);
  }
  tls::ServerOptions options;
  options.certificates = wanted.certificates;
  options.tls12 = wanted.tls12;
  options.protocols = wanted.protocols;
  options.client_certificates = wanted.client_certificates;
  options.client_ca_file = wanted.client_ca_file;
  options.ticket_keys = prepared.ticket_keys;
  auto settings = tls::ServerSettings::make(options, now);
  if (!settings) return std::unexpected(settings.error());
  prepared.settings = *std::move(settings);
  return prepared;
}

void NodeTls::use(Prepared prepared, const TlsConfig& wanted) {
  if (prepared.settings == nullptr) return;
  if (prepared.replacement) prepared.ticket_keys->replace_by(*prepared.replacement);
  ticket_keys_ = std::move(prepared.ticket_keys);
  ticket_warnings_ = std::move(prepared.warnings);
  TlsConfig now = wanted;
  now.listen = config_.listen;
  now.helpers = config_.helpers;
  config_ = std::move(now);
  service_ = {.settings = std::move(prepared.settings), .limits = config_.handshakes};
}

WorkerTls NodeTls::worker() const {
  return {.pool = pool_.get(), .tally = tally_.get(), .engine = engine_, .service = service_};
}

std::vector<TlsNotice> NodeTls::notices(WallTime now) const {
  if (service_.settings == nullptr) return {};
  std::vector<TlsNotice> notices = expiry_notices(service_.settings->expiries(), now);
  if (!engine_warning_.empty()) notices.push_back({LogLevel::warn, engine_warning_});
  for (const std::string& text : service_.settings->warnings()) {
    if (std::ranges::find(notices, text, &TlsNotice::text) == notices.end()) {
      notices.push_back({LogLevel::warn, text});
    }
  }
  for (const std::string& text : ticket_warnings_) notices.push_back({LogLevel::warn, text});
  return notices;
}

std::string NodeTls::summary() const {
  const std::size_t certificates = config_.certificates.size();
  const std::string protocols = boost::algorithm::join(config_.protocols, ", ");
  const std::string tickets = ticket_keys_ == nullptr            ? "off"
                              : config_.ticket_keys_file.empty() ? "with keys of its own"
                                                                 : config_.ticket_keys_file;
  return std::format("TLS from version {} by {}: {} certificate{}, protocols {}, tickets {}",
                     minimum_version_text(config_.tls12), engine_->name(), certificates,
                     certificates == 1 ? "" : "s", protocols.empty() ? "none" : protocols, tickets);
}

TlsSnapshot NodeTls::snapshot() const {
  TlsSnapshot snapshot;
  snapshot.engine = engine_->name();
  snapshot.minimum_version = minimum_version_text(config_.tls12);
  snapshot.protocols = config_.protocols;
  snapshot.client_certificates = client_certificates_text(config_.client_certificates);
  snapshot.tickets = ticket_keys_ != nullptr;
  snapshot.ticket_keys_file = config_.ticket_keys_file;
  snapshot.ticket_keys = ticket_keys_ ? ticket_keys_->key_count() : 0;
  if (service_.settings) snapshot.certificates = service_.settings->expiries();
  snapshot.handshakes_open = tally_->total.load(std::memory_order_relaxed);
  snapshot.pool = pool_->counts();
  return snapshot;
}

}  // namespace nearfield::control
