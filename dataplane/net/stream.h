// Stream and StreamHandler: a byte stream as seen from above a transport, the same for kernel
// sockets, our own TCP, TLS on either, and the simulated network of the tests; for accepted and for
// connecting streams.
//
// The transport owns the Stream; the application owns the handler. All calls of one stream happen
// on its worker's thread. The handler hears on_closed() exactly once, last; after it the Stream
// must not be touched. A handler may call any method of its Stream from within a callback; the
// transport delivers consequences later, never re-entrantly.
//
// Sending is pull: the transport asks on_send_ready() when the plan runs low and there is room
// towards the peer; a handler that had nothing calls wake_sender() when that changes. Receiving has
// back-pressure: on_receive() says how much it took; what it left is kept (bounded by the
// transport) and offered again, with what followed, after resume_receive().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/endpoint.h"
#include "dataplane/net/security.h"
#include "dataplane/net/send_plan.h"

namespace nearfield::net {

class Staging;

enum class CloseReason {
  finished,         // both directions ended in order
  peer_reset,       // RST, or a send to a closed peer
  aborted,          // our abort()
  connect_refused,  // only for connect()
  connect_failed,   // unreachable, no local port, ...
  timed_out,        // connect time-out, or the kernel's
  out_of_resources  // no descriptor, no buffer
};

class StreamHandler {
 public:
  virtual void on_connected() {}  // streams made by connect() only
  // Bytes from the peer, in order. Returns how many are consumed; fewer than given pauses receiving
  // until resume_receive().
  virtual std::size_t on_receive(std::span<const std::byte> bytes) = 0;
  // The peer will send no more (FIN). Sending may go on.
  virtual void on_receive_end() = 0;
  // Room towards the peer: append what there is. Appending nothing is fine.
  virtual void on_send_ready(SendPlan& plan) = 0;
  // `bytes` more of the plan were released: the peer has them, or the kernel has its own copy.
  virtual void on_released(std::uint64_t bytes) { (void)bytes; }
  virtual void on_closed(CloseReason reason) = 0;

 protected:
  ~StreamHandler() = default;
};

class Stream {
 public:
  virtual void wake_sender() = 0;
  virtual void resume_receive() = 0;
  // After what is in the plan: FIN, then a bounded wait in which what the peer still sends is read
  // and dropped (so that a RST does not destroy a response in flight, RFC 9112 9.6), then
  // on_closed(finished).
  virtual void close_after_send() = 0;
  // Now, with a RST where the transport can. on_closed(aborted) follows.
  virtual void abort() = 0;
  // Bytes the peer has acknowledged since the stream began, as well as the transport can tell; for
  // slow-reader checks.
  virtual std::uint64_t acknowledged_bytes() = 0;
  virtual const Endpoint& peer() const = 0;
  virtual const Endpoint& local() const = 0;
  // Null: clear text. Stays as it is until on_closed().
  virtual const StreamSecurity* security() const { return nullptr; }
  // Where a source of its plan makes bytes (net/staging.h); null: plans with sources cannot be
  // sent.
  virtual Staging* staging() { return nullptr; }

 protected:
  ~Stream() = default;
};

}  // namespace nearfield::net
