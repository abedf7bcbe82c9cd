// OriginConnection: one HTTP/1.1 connection to an origin server, over TLS when its url is https,
// from the SYN to the last byte, carrying one exchange at a time.
//
// opening -> idle <-> exchanging -> (draining -> idle) -> closing. It is used again only after a
// response that came whole, with no byte too many, on a connection both sides keep alive, with the
// request written out. Anything else ends it.
//
// The awkward part is re-entrancy: an Exchange or an owner may do anything in its callbacks, also
// let go of this exchange or give this connection the next one. So callbacks that end something are
// the last thing done, with nothing of the old exchange touched after. The object owns itself: it
// lives until its stream's on_closed(), which the transport never calls from within our own calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/http/method.h"
#include "dataplane/http/response_parser.h"
#include "dataplane/net/reactor.h"
#include "dataplane/origin/client.h"
#include "dataplane/origin/config.h"
#include "dataplane/origin/directory.h"

namespace nearfield::tls {
class SecureConnector;
class SecureStream;
}  // namespace nearfield::tls

namespace nearfield::origin {

class OriginConnection;

// What one worker makes its connections with.
struct OriginTransport {
  net::Reactor& reactor;
  tls::SecureConnector* secure = nullptr;  // needed for https servers
  http::ResponseLimits limits;
};

// Why a connection over TLS did not come to stand.
enum class TlsFailure : std::uint8_t {
  none,       // it had nothing to do with TLS
  broken,     // the server ended it within the handshake, or was too slow
  refused,    // one side does not accept the other: the same again would end the same
  overloaded  // this node could not do the handshake now
};

struct ExchangeFailure {
  OriginFailureKind kind;
  std::string message;
  bool request_begun = false;    // a byte of the request may have left
  bool response_begun = false;   // a byte of a response came
  bool connection_kept = false;  // the connection had served an exchange before
};

// What hears about one request and its response. on_complete() or on_failure() is last, once;
// nothing after abandon().
class Exchange {
 public:
  virtual void on_interim(const http::ResponseHead& head) = 0;
  virtual void on_head(http::ResponseHead&& head) = 0;
  virtual std::size_t on_body(std::span<const std::byte> bytes) = 0;  // as OriginObserver::on_body
  virtual void on_complete(http::Fields&& trailers) = 0;
  virtual void on_failure(const ExchangeFailure& failure) = 0;

 protected:
  ~Exchange() = default;
};

class ConnectionOwner {
 public:
  virtual void on_opened(OriginConnection& connection) = 0;
  virtual void on_open_failed(OriginConnection& connection, net::CloseReason reason) = 0;
  // A response came whole and the connection can be used again.
  virtual void on_free(OriginConnection& connection) = 0;
  // Must not be used again; it goes away by itself. Once, last (instead of on_opened() or after
  // it).
  virtual void on_gone(OriginConnection& connection) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class OriginConnection final : public net::StreamHandler {
 public:
  // What abandon() reads and drops rather than closing the connection: about what a new connection
  // costs a server.
  static constexpr std::uint64_t kDrainBytes = 64 * 1024;
  static constexpr Duration kDrainTime = std::chrono::seconds(2);

  // Null when the transport is out of resources. `origin` is one of `group`. `timeout` is until it
  // can carry a request: the TLS handshake is part of it.
  static OriginConnection* open(const OriginTransport& transport, const net::Endpoint& peer,
                                Duration timeout, std::shared_ptr<const OriginGroupEntry> group,
                                const Origin& origin, ConnectionOwner& owner);

  OriginConnection(const OriginConnection&) = delete;
  OriginConnection& operator=(const OriginConnection&) = delete;

  void set_owner(ConnectionOwner& owner) { owner_ = &owner; }
  // The owner loses interest: closes, nothing is told. With an exchange under way: a programming
  // error.
  void discard();

  // The connection must be free. `head` is sent as it is, then `body`, which must stay until the
  // exchange ended or was abandoned.
  void begin(std::string head, std::string_view body, http::Method method, Exchange& exchange);
  // The exchange's owner no longer wants it. Keeps the connection only if that is cheap.
  void abandon();
  // After Exchange::on_body() took less than it was given.
  void resume();

  bool free() const { return state_ == State::idle; }
  const net::Endpoint& peer() const { return peer_; }
  bool kept() const { return exchanges_ > 0; }
  // While opening: the connection stands, its TLS handshake is under way or has just failed.
  bool is_handshaking() const;
  // Within ConnectionOwner::on_open_failed(): what was wrong with TLS, and a line that says so.
  TlsFailure tls_failure() const { return tls_failure_; }
  const std::string& tls_problem() const { return tls_problem_; }

  void on_connected() override;
  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override;
  void on_send_ready(net::SendPlan& plan) override;
  void on_released(std::uint64_t bytes) override;
  void on_closed(net::CloseReason reason) override;

 private:
  enum class State { opening, idle, exchanging, draining, closing };
  enum class Leaving { in_order, at_once };

  OriginConnection(const OriginTransport& transport, const net::Endpoint& peer,
                   std::shared_ptr<const OriginGroupEntry> group, const Origin& origin,
                   ConnectionOwner& owner);
  ~OriginConnection();

  void read(std::span<const std::byte> bytes, std::size_t& position);
  bool read_held(std::span<const std::byte> bytes, std::size_t& position);
  bool read_step(std::span<const std::byte> bytes, std::size_t& position);
  void read_head();
  std::size_t deliver(std::span<const std::byte> body);
  bool active() const { return state_ == State::exchanging || state_ == State::draining; }
  void finish(bool surplus);
  void fail(OriginFailureKind kind, std::string_view what);
  void leave(Leaving how);
  void become_idle();
  void arm(Duration after);
  void on_timer();
  void note_tls_failure();
  std::string how_it_broke(net::CloseReason reason) const;
  ExchangeFailure failure_now(OriginFailureKind kind, std::string_view what) const;
  Duration keep_idle() const;
  std::string_view where_it_ended() const;

  net::Reactor& reactor_;
  net::Stream* stream_ = nullptr;
  tls::SecureStream* secure_ = nullptr;  // the same, when it is one
  ConnectionOwner* owner_;
  const std::shared_ptr<const OriginGroupEntry> group_;
  const Origin& origin_;
  const net::Endpoint peer_;
  net::Timer timer_;
  State state_ = State::opening;
  bool opened_ = false;
  std::uint64_t exchanges_ = 0;  // finished
  TlsFailure tls_failure_ = TlsFailure::none;
  std::string tls_problem_;
  std::optional<Duration> peer_keep_idle_;  // Keep-Alive: timeout=N, as the server said last

  // --- the exchange under way ---
  Exchange* exchange_ = nullptr;
  http::ResponseParser parser_;
  std::string head_;
  std::string_view body_;
  std::size_t body_sent_ = 0;  // appended to the plan
  bool head_sent_ = false;
  std::uint64_t unreleased_bytes_ = 0;  // appended, not yet released
  bool head_read_ = false;
  bool keep_alive_ = false;
  bool receive_ended_ = false;
  std::optional<std::uint64_t> remaining_;  // of a body of known length, not yet delivered
  bool paused_ = false;
  bool resume_wanted_ = false;  // resume() came before the pause it answers
  std::size_t held_body_ = 0;   // bytes the parser is done with but the exchange did not take yet,
  std::size_t held_framing_ = 0;  // and chunk framing behind them: the transport offers both again
};

}  // namespace nearfield::origin
