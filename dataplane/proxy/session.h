// Session: one listener's connection. Reads HTTP/1.1 requests one after the other, runs an exchange
// for each, and keeps every clock that protects the node: slow heads, slow bodies, silence, slow
// readers. A connection that begins as HTTP/2 (by ALPN over TLS, by its preface in clear text, RFC
// 9113 3.2, 3.3) is handed to an Http2Session as a whole.
//
// Invariants: requests are answered in order; what follows an ambiguous request is never read; an
// idle session holds no parser and no exchange (they come from the worker's pool), so that a
// hundred thousand quiet listeners cost what their sockets cost. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/net/prefix_limiter.h"
#include "dataplane/net/stream.h"
#include "dataplane/net/timer.h"
#include "dataplane/proxy/exchange.h"
#include "dataplane/proxy/reading_pace.h"

namespace nearfield::proxy {

class Http2Session;
class Http2Stream;
class Session;
struct RequestWork;

// Whoever owns the sessions and lends them what an active request needs.
class SessionOwner {
 public:
  virtual std::unique_ptr<RequestWork> lend_work() = 0;
  virtual void return_work(std::unique_ptr<RequestWork> work) = 0;
  virtual std::unique_ptr<Http2Stream> lend_stream() = 0;
  virtual void return_stream(std::unique_ptr<Http2Stream> stream) = 0;
  virtual void session_ended(Session& session) = 0;

 protected:
  ~SessionOwner() = default;
};

class Session final : public net::StreamHandler, private Exchange::Host {
 public:
  Session(WorkerContext& context, SessionOwner& owner, net::Stream& stream,
          net::PrefixLimiter::Slot slot);
  ~Session();

  // Closes now if idle, else after the response under way.
  void drain();
  // Accepted while draining: it queued before, so its first request is answered; then it closes.
  void drain_after_one() { draining_ = true; }
  void abort() { stream_.abort(); }

  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override;
  void on_send_ready(net::SendPlan& plan) override;
  void on_released(std::uint64_t bytes) override;
  void on_closed(net::CloseReason reason) override;

  // Place in the owner's list.
  std::size_t index = 0;

 private:
  enum class Wait : std::uint8_t { idle, head, body, response, sending, closing };

  void exchange_has_more() override { stream_.wake_sender(); }
  const net::Endpoint& exchange_peer() const override { return stream_.peer(); }
  const net::StreamSecurity* exchange_security() const override { return stream_.security(); }

  // Looks for the preface of HTTP/2; the same as on_receive().
  std::size_t sniff(std::span<const std::byte> bytes);
  void become_http2();
  std::size_t parse(std::span<const std::byte> bytes);
  bool head_complete();
  void request_complete();
  void refuse(std::uint16_t status, std::string_view reason);
  void exchange_done(bool cut_short);
  bool closes_next() const;
  bool answering() const;
  void end_exchange(bool cut_short);
  void take_work();
  void give_work();
  void wait_for(Wait wait);
  void on_timer();
  void close();

  WorkerContext& context_;
  SessionOwner& owner_;
  net::Stream& stream_;
  net::PrefixLimiter::Slot slot_;
  net::Timer timer_;
  MonotonicTime deadline_{};
  std::unique_ptr<RequestWork> work_;
  // Of bodies that are whole in the plan but not yet released: the cache must not forget them
  // before.
  std::vector<cache::BlobReader> unreleased_;
  std::uint64_t outstanding_bytes_ = 0;  // in the plan, not yet released
  std::unique_ptr<Http2Session> http2_;  // then nothing else here is in use
  ReadingPace pace_;
  std::uint32_t requests_ = 0;
  Wait wait_ = Wait::idle;
  // Bytes of the preface that came so far and were not parsed; kSettled: HTTP/1.1 it is.
  static constexpr std::uint8_t kSettled = 0xff;
  std::uint8_t preface_bytes_ = 0;
  bool secure_ = false;
  bool agreed_http2_ = false;  // by ALPN
  bool draining_ = false;
  bool closing_ = false;
  bool peer_ended_ = false;
  std::uint32_t stalled_checks_ =
      0;  // nothing owed to the peer and nothing to send: the origin is what is slow
  bool continue_owed_ = false;  // 100 Continue
};

}  // namespace nearfield::proxy
