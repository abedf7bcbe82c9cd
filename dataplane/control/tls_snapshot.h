// TlsSnapshot: what a node's TLS is and has done at one moment, as plain values; part of a
// NodeSnapshot. Nothing secret is in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/net/endpoint.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/secure_context.h"

namespace nearfield::control {

// Sums over workers; members as in tls::SecureCounters.
struct TlsTotals {
#define NEARFIELD_DECLARE_TLS_TOTAL(name, help) std::uint64_t name = 0;
  NEARFIELD_TLS_COUNTERS(NEARFIELD_DECLARE_TLS_TOTAL)
#undef NEARFIELD_DECLARE_TLS_TOTAL
  std::uint64_t connections_open = 0;

  void add(const tls::SecureCounters& counters);
};

struct TlsSnapshot {
  std::vector<net::Endpoint> listen;  // as bound; empty: no listener speaks TLS
  std::string engine;                 // what encrypts records
  std::string minimum_version;
  std::vector<std::string> protocols;
  std::string client_certificates;  // none, optional, required
  bool tickets = false;
  std::string ticket_keys_file;  // empty: keys of its own
  std::size_t ticket_keys = 0;
  std::vector<tls::CertificateExpiry> certificates;         // shown to listeners
  std::vector<tls::CertificateExpiry> origin_certificates;  // shown to origins

  TlsTotals totals;
  std::uint64_t handshakes_open = 0;  // of listeners, under way now
  tls::HandshakePoolCounts pool;      // origins' handshakes included
};

}  // namespace nearfield::control
