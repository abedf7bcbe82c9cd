// SecureAcceptor: the acceptor of a place where listeners speak TLS: gives every connection a
// SecureStream, bounds how many handshakes are under way, and hands finished ones to the acceptor
// above as streams. One a worker, on its thread.
//
// Invariant: a connection is counted as a handshake, against the process's and its client prefix's
// bound, from its first moment until the handshake ended; a reload changes what new handshakes are
// made with and touches no connection.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "dataplane/net/prefix_limiter.h"
#include "dataplane/net/reactor.h"
#include "dataplane/tls/secure_context.h"
#include "dataplane/tls/secure_stream.h"

namespace nearfield::tls {

struct HandshakeLimits {
  // From the connection to the end of the handshake. Over: reset.
  Duration timeout = std::chrono::seconds(10);
  // From the connection to the end of the ClientHello. Over: reset.
  Duration hello_timeout = std::chrono::seconds(4);
  // Under way in this process, queued or waiting for the client. Over: whoever has been without a
  // whole ClientHello for longest is reset, else the new one. Each holds some 50 KiB while a helper
  // works on it, at worst 200 KiB, and a few hundred bytes before.
  std::uint32_t total = 4096;
  // Of one client prefix. Carrier-grade NAT puts many listeners behind one.
  std::uint32_t per_prefix = 512;
  int prefix_v4_bits = 24;
  int prefix_v6_bits = 56;

  bool operator==(const HandshakeLimits&) const = default;
};

// What all workers count together.
struct HandshakeTally {
  // Counts one more, unless there are `maximum`: there never are more, not even for a moment.
  bool take(std::uint32_t maximum);

  std::atomic<std::uint32_t> total{0};
  net::PrefixLimiter prefixes;
};

class SecureAcceptor final : public net::Acceptor, private SecureOwner {
 public:
  // All outlive it; every connection has ended before it does. `above` is called as a transport
  // calls an acceptor.
  SecureAcceptor(SecureContext& context, HandshakeTally& tally, net::Acceptor& above,
                 std::shared_ptr<const ServerSettings> settings, const HandshakeLimits& limits);
  ~SecureAcceptor();

  void apply(std::shared_ptr<const ServerSettings> settings, const HandshakeLimits& limits);
  net::StreamHandler* on_accept(net::Stream& stream) override;

  std::size_t connections() const { return streams_.size(); }  // handshakes included
  std::size_t handshakes() const { return handshakes_; }
  // Resets those whose handshake is under way; the others are the application's.
  void abort_handshakes();

 private:
  struct Entry;

  bool make_room();
  void on_hello(SecureStream& stream) override;
  net::StreamHandler* on_secured(SecureStream& stream) override;
  void on_handshake_failed(SecureStream& stream) override;
  void on_secure_ended(SecureStream& stream) override;
  void handshake_over(Entry& entry);

  SecureContext& context_;
  HandshakeTally& tally_;
  net::Acceptor& above_;
  std::shared_ptr<const ServerSettings> settings_;
  HandshakeLimits limits_;
  std::vector<std::unique_ptr<Entry>> streams_;
  std::list<Entry*> silent_;  // without a whole ClientHello, oldest first
  std::size_t handshakes_ = 0;
};

}  // namespace nearfield::tls
