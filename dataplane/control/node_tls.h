// NodeTls: what the TLS of all workers shares: helper threads, certificates, ticket keys; how a
// reload exchanges them, and when an operator is told that a certificate ends.
//
// Invariant: a reload takes effect whole or not at all: prepare() reads and checks every file and
// changes nothing, use() cannot fail. Control thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/control/config_tls.h"
#include "dataplane/control/log.h"
#include "dataplane/control/tls_snapshot.h"
#include "dataplane/control/worker_tls.h"
#include "dataplane/tls/ticket_keys.h"

namespace nearfield::control {

// An operator hears of a certificate's end from this long before it, then daily.
inline constexpr std::chrono::days kExpiryNotice{30};
inline constexpr std::chrono::hours kExpiryLook{24};

// A line for the log.
struct TlsNotice {
  LogLevel level = LogLevel::warn;
  std::string text;
};

// A warning for each certificate that ends within kExpiryNotice, an error for one that has ended.
std::vector<TlsNotice> expiry_notices(const std::vector<tls::CertificateExpiry>& certificates,
                                      WallTime now);

class NodeTls {
 public:
  // Starts the helpers and reads what `config` names. Without addresses in it there are no
  // certificates and no listener speaks TLS; origins may.
  static Result<std::unique_ptr<NodeTls>> make(const TlsConfig& config, WallTime now);
  ~NodeTls();
  NodeTls(const NodeTls&) = delete;
  NodeTls& operator=(const NodeTls&) = delete;

  // What a reload brings; holds keys.
  struct Prepared {
    std::shared_ptr<const tls::ServerSettings> settings;
    std::shared_ptr<tls::TicketKeys> ticket_keys;
    std::shared_ptr<tls::TicketKeys> replacement;  // what `ticket_keys` will hold, if not null
    std::vector<std::string> warnings;             // of the ticket keys' file
  };
  Result<Prepared> prepare(const TlsConfig& wanted, WallTime now) const;
  // The keys of `wanted` that follow a reload.
  void use(Prepared prepared, const TlsConfig& wanted);

  // For a worker made now, and for one told of a reload.
  WorkerTls worker() const;
  const TlsService& service() const { return service_; }
  const TlsConfig& config() const { return config_; }  // in force

  // What is wrong but bearable with what is in use, expiry included; each once.
  std::vector<TlsNotice> notices(WallTime now) const;

  // For the log of a start, when listeners speak TLS.
  std::string summary() const;
  // Totals are left to whoever knows the workers.
  TlsSnapshot snapshot() const;

 private:
  explicit NodeTls(const TlsConfig& config);

  TlsConfig config_;
  std::shared_ptr<tls::TicketKeys> ticket_keys_;
  std::vector<std::string> ticket_warnings_;
  TlsService service_;
  std::string engine_warning_;  // before engine_, whose choice writes it
  const tls::AeadEngine* engine_;
  const std::unique_ptr<tls::HandshakeTally> tally_;
  const std::unique_ptr<tls::HandshakePool> pool_;
};

}  // namespace nearfield::control
