// SecureContext: what the TLS connections of one worker share: the reactor, the engine, the helper
// pool with the worker's mailbox, where records are opened, pooled sealings, counters.
//
// Made and used on the worker's thread, counters excepted. It outlives every SecureStream.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/base/count.h"
#include "cache/base/recycler.h"
#include "dataplane/net/reactor.h"
#include "dataplane/tls/aead.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/record_opener.h"
#include "dataplane/tls/sealing.h"

namespace nearfield::tls {

// X(name, "help")
#define NEARFIELD_TLS_COUNTERS(X)                                                                \
  X(handshakes_begun, "TLS handshakes begun by listeners")                                       \
  X(handshakes_finished, "TLS handshakes of listeners that ended well")                          \
  X(handshakes_resumed, "Of these, sessions resumed")                                            \
  X(handshakes_failed, "TLS handshakes of listeners that failed")                                \
  X(handshakes_expired, "TLS handshakes given up because the listener took too long")            \
  X(handshakes_evicted, "TLS handshakes given up for a new one: nothing came of them")           \
  X(handshakes_refused_total, "Connections reset because too many TLS handshakes are under way") \
  X(handshakes_refused_prefix,                                                                   \
    "Connections reset because too many TLS handshakes of their client prefix are under way")    \
  X(handshakes_refused_queue, "Connections reset because the TLS helpers' queue was full")       \
  X(origin_handshakes_finished, "TLS handshakes with origins that ended well")                   \
  X(origin_handshakes_failed, "TLS handshakes with origins that failed")                         \
  X(records_refused, "TLS connections ended because the peer sent a bad record or message")      \
  X(alerts_received, "TLS connections ended by a fatal alert of the peer")                       \
  X(key_updates_received, "TLS keys renewed by a peer")                                          \
  X(key_updates_sent, "TLS keys renewed by this node")                                           \
  X(truncated, "TLS connections whose peer ended without saying so (close_notify)")

// Written by the worker only, read by anyone.
struct SecureCounters {
#define NEARFIELD_TLS_MEMBER(name, help) std::atomic<std::uint64_t> name{0};
  NEARFIELD_TLS_COUNTERS(NEARFIELD_TLS_MEMBER)
#undef NEARFIELD_TLS_MEMBER
  std::atomic<std::uint64_t> connections_open{0};  // of listeners, handshakes included
};

class SecureContext {
 public:
  // All outlive it.
  SecureContext(net::Reactor& worker_reactor, HandshakePool& helper_pool,
                const AeadEngine& aead_engine);
  ~SecureContext();
  SecureContext(const SecureContext&) = delete;
  SecureContext& operator=(const SecureContext&) = delete;

  net::Reactor& reactor;
  HandshakePool& pool;
  const AeadEngine& engine;
  RecordOpener::Workspace opening;
  SecureCounters counters;

  const Ref<HandshakeMailbox>& mailbox() const { return mailbox_; }
  std::unique_ptr<Sealing> lend_sealing();
  void return_sealing(std::unique_ptr<Sealing> sealing);

 private:
  void take_results();

  Ref<Signal> signal_;
  Ref<HandshakeMailbox> mailbox_;
  // 3 KiB of keys each.
  Recycler<Sealing, 256> idle_;
};

}  // namespace nearfield::tls
