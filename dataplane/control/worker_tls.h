// What a worker needs to speak TLS: what it shares with the other workers, and what a reload
// exchanges.
#pragma once

#include <memory>

#include "dataplane/tls/aead.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/secure_acceptor.h"
#include "dataplane/tls/secure_connector.h"
#include "dataplane/tls/secure_context.h"
#include "dataplane/tls/server_settings.h"

namespace nearfield::control {

// How handshakes of listeners are made from now on.
struct TlsService {
  std::shared_ptr<const tls::ServerSettings> settings;  // null: no listener speaks TLS
  tls::HandshakeLimits limits;
};

struct WorkerTls {
  // These outlive the worker; never null.
  tls::HandshakePool* pool = nullptr;
  tls::HandshakeTally* tally = nullptr;
  const tls::AeadEngine* engine = nullptr;
  TlsService service;
};

}  // namespace nearfield::control
