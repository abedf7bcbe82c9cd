// Strangers: what a stack keeps of flows that are not connections: half-open ones, ended ones, and
// the secrets by which it recognises what it does not keep. Internal to the stack.
#pragma once

#include "dataplane/net/rate_limit.h"
#include "dataplane/net/tcp/connection_table.h"
#include "dataplane/net/tcp/core.h"
#include "dataplane/net/tcp/initial_sequence.h"
#include "dataplane/net/tcp/stack.h"
#include "dataplane/net/tcp/syn_cache.h"
#include "dataplane/net/tcp/syn_cookie.h"
#include "dataplane/net/tcp/time_wait.h"

namespace nearfield::net::tcp {

struct Stack::Strangers {
  explicit Strangers(const StackOptions& options);

  Header syn_ack(const Core& core, const SynCache::Entry& entry) const;
  // What answers an unacceptable segment while the handshake is under way.
  Header acknowledgment(const Core& core, const SynCache::Entry& entry) const;
  // Without a place to remember the peer's offer.
  Header syn_ack_with_cookie(const Core& core, const Flow& flow, const PeerOffer& offer) const;

  ConnectionTable table;
  SynCache half_open;
  TimeWaitTable time_wait;
  InitialSequence initial;
  SynCookies cookies;
  RateLimit resets;
  MonotonicTime cookie_sent_at{};  // the epoch: never
};

// 0.0.0.0, as Endpoint holds it.
inline Address any_v4() {
  Address address;
  address.bytes[10] = address.bytes[11] = 0xff;
  return address;
}

}  // namespace nearfield::net::tcp
