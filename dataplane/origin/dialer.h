// Dialer: one new connection to an origin server: look its name up, try its addresses, hand over
// the first that stands.
//
// Addresses are tried in the resolver's order; the next one starts when one fails or 250 ms after
// the last one started, and they run side by side (RFC 8305 section 5, without its DNS part), so
// that a broken IPv6 path costs a quarter of a second once: the address that worked is tried first
// next time. All of it together has the group's connect time-out.
//
// Over TLS an address has won when its handshake is finished, not before: a path that lets the
// first packets through and loses the rest, or a server with the wrong certificate, loses to the
// next address. Handshakes cost both sides, so at most two run side by side, and one that must make
// room for addresses still to be tried has only its share of the time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/origin/connection.h"
#include "dataplane/origin/resolver.h"

namespace nearfield::origin {

class Dialer;

struct DialFailure {
  OriginFailureKind kind = OriginFailureKind::unreachable;  // or timed_out, or overloaded when this
                                                            // node ran out of something
  std::string message;
  // Every address was reached, and there was no agreement about TLS: the same server again would
  // end the same.
  bool is_refusal = false;
};

// on_dialed() or on_dial_failed(), once, never within start(), nothing after destruction. May
// destroy the dialer.
class DialObserver {
 public:
  virtual void on_dialed(Dialer& dialer, OriginConnection& connection) = 0;  // owner is to be set
  virtual void on_dial_failed(Dialer& dialer, const DialFailure& failure) = 0;

 protected:
  ~DialObserver() = default;
};

class Dialer final : private ConnectionOwner {
 public:
  static constexpr Duration kNextAddressAfter = std::chrono::milliseconds(250);
  static constexpr std::size_t kHandshakesAtOnce = 2;

  Dialer(const OriginTransport& transport, Resolver& resolver,
         std::shared_ptr<const OriginGroupEntry> group, const Origin& origin,
         DialObserver& observer);
  ~Dialer();  // gives up

  // `first` goes before all other addresses, if it is still one of the server's.
  void start(std::optional<net::Address> first);

 private:
  struct Answer;

  void on_resolved(const Resolution& resolution);
  void try_next();
  bool may_try_more(MonotonicTime now) const;
  Duration patience(MonotonicTime now) const;
  void on_timer();
  void on_deadline(bool is_handshaking);
  void fail(OriginFailureKind kind, std::string_view what);
  void discard_attempts();

  void on_opened(OriginConnection& connection) override;
  void on_open_failed(OriginConnection& connection, net::CloseReason reason) override;
  void on_free(OriginConnection&) override {}
  void on_gone(OriginConnection&) override {}

  const OriginTransport transport_;
  Resolver& resolver_;
  const std::shared_ptr<const OriginGroupEntry> group_;
  const Origin& origin_;
  DialObserver& observer_;
  net::Timer timer_;
  MonotonicTime deadline_{};
  std::optional<net::Address> first_;
  std::shared_ptr<Answer> answer_;  // while the name is being looked up
  std::vector<net::Address> addresses_;
  std::size_t next_address_ = 0;
  std::vector<OriginConnection*> attempts_;
  std::optional<DialFailure> pending_failure_;  // told from the timer
  std::string last_problem_;
  bool out_of_resources_ = false;
  bool all_refused_ = true;
};

}  // namespace nearfield::origin
