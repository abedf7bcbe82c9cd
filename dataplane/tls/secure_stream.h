// SecureStream: a TLS connection. Below it is a transport's stream, whose handler it is; to the
// application above it is a stream like any other. First a handshake (by the helpers), then
// records.
//
// Sending stays pull: the application's plan of clear text waits here, the transport's plan names
// records that are sealed when the transport asks for their bytes, and again if it asks again. So
// no ciphertext is kept per connection, and the clear text is the cache's own memory, pinned until
// the peer has it.
//
// handshaking -> open -> ending -> (transport closes) -> closed
// A client's stream is connecting first. The awkward part is what can overlap: bytes arrive while a
// helper works on the handshake (kept, bounded), an application that pauses has been given half a
// record (the rest is kept here, at most one record and what followed the handshake), and a
// connection may die while a helper has its handshake (the job is cancelled and comes back to
// nobody).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/reactor.h"
#include "dataplane/net/stream.h"
#include "dataplane/net/timer.h"
#include "dataplane/tls/client_settings.h"
#include "dataplane/tls/handshake.h"
#include "dataplane/tls/record.h"
#include "dataplane/tls/record_opener.h"
#include "dataplane/tls/secure_context.h"
#include "dataplane/tls/server_settings.h"

namespace nearfield::tls {

class SecureStream;

// Whoever made the stream, and owns it.
class SecureOwner {
 public:
  // The handshake is finished. Who listens from now on; null refuses the connection.
  virtual net::StreamHandler* on_secured(SecureStream& stream) = 0;
  // A listener's ClientHello is whole and goes to the helpers.
  virtual void on_hello(SecureStream& stream) { static_cast<void>(stream); }
  // The connection ended before that; failure() and problem() say why.
  virtual void on_handshake_failed(SecureStream& stream) = 0;
  // Last; the owner destroys the stream within it.
  virtual void on_secure_ended(SecureStream& stream) = 0;

 protected:
  ~SecureOwner() = default;
};

class SecureStream final : public net::Stream, public net::StreamHandler, private net::PlanSource {
 public:
  // A listener's: the handshake begins with what arrives. `timeout` is all of it, `hello_timeout`
  // until the ClientHello is whole.
  SecureStream(SecureContext& context, SecureOwner& owner, net::Stream& transport,
               std::shared_ptr<const ServerSettings> settings, Duration hello_timeout,
               Duration timeout);
  // To a server: attach() follows with the transport's stream, which connects. `handler` hears
  // on_connected() when the handshake is finished, or on_closed(), while problem() is still there.
  SecureStream(SecureContext& context, SecureOwner& owner,
               std::shared_ptr<const ClientSettings> settings, std::string_view server_name,
               net::StreamHandler& handler, Duration timeout);
  void attach(net::Stream& transport) { transport_ = &transport; }
  SecureStream(const SecureStream&) = delete;
  SecureStream& operator=(const SecureStream&) = delete;
  ~SecureStream();

  // Connected, the handshake is not over.
  bool is_handshaking() const { return phase_ == Phase::handshaking; }
  // Why there was no handshake: one line without a newline; empty while there is nothing to say.
  const std::string& problem() const { return problem_; }
  HandshakeFailure failure() const { return failure_; }
  net::Stream* transport() const { return transport_; }  // below
  std::size_t memory_bytes() const;                      // beyond the object, plans excepted

  // Place in the owner's list.
  std::size_t index = 0;

  // --- Stream, for the application ---
  void wake_sender() override;
  void resume_receive() override;
  void close_after_send() override;
  void abort() override;
  std::uint64_t acknowledged_bytes() override { return transport_->acknowledged_bytes(); }
  const net::Endpoint& peer() const override { return transport_->peer(); }
  const net::Endpoint& local() const override { return transport_->local(); }
  const net::StreamSecurity* security() const override;

  // --- StreamHandler, for the transport ---
  void on_connected() override;
  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override;
  void on_send_ready(net::SendPlan& plan) override;
  void on_released(std::uint64_t bytes) override;
  void on_closed(net::CloseReason reason) override;

  // --- for the context ---
  void on_step(std::unique_ptr<HandshakeJob> job);

 private:
  enum class Phase : std::uint8_t { connecting, handshaking, open, ending, closed };
  struct Handshaking;
  struct Established;
  struct Held;

  // --- handshake ---
  void submit_step();
  void on_stepped();
  void on_finished();
  void set_failure(HandshakeFailure failure);
  void fail_handshake(HandshakeFailure failure, std::string message);

  // --- receiving ---
  std::size_t open_records(std::span<const std::byte> bytes);
  bool deliver(std::span<const std::byte> data);  // false: held, nothing more now
  void deliver_held();
  void end_receiving();
  void refuse(AlertDescription alert);

  // --- sending ---
  void commit(net::SendPlan& plan);
  void commit_data(net::SendPlan& plan);
  void commit_message(net::SendPlan& plan, ContentType type, std::span<const std::byte> message);
  void commit_alert(net::SendPlan& plan, AlertLevel level, AlertDescription alert);
  bool change_keys(net::SendPlan& plan);
  Sealing& sealing();
  std::uint64_t uncommitted_bytes() const { return clear_.size_bytes() - committed_bytes_; }

  // --- PlanSource ---
  std::size_t peek(std::uint64_t offset, std::uint64_t maximum_bytes, std::span<iovec> vectors,
                   std::uint64_t* covered_bytes) override;
  void release(std::uint64_t bytes) override;

  void on_timer();

  SecureContext& context_;
  SecureOwner& owner_;
  net::Stream* transport_ = nullptr;
  net::StreamHandler* handler_ = nullptr;
  std::unique_ptr<Handshaking> handshaking_;  // until its last byte is in the plan
  std::unique_ptr<Established> established_;
  std::unique_ptr<Sealing> sealing_;  // while something is owed
  std::unique_ptr<Held> held_;        // while the application pauses
  net::SendPlan clear_;
  std::uint64_t committed_bytes_ = 0;  // of clear_, that are cut into records
  std::uint64_t released_bytes_ = 0;   // to be told to the handler
  net::Timer timer_;  // the handshake's deadline; then a handler's wish to go on receiving
  MonotonicTime handshake_deadline_{};
  Phase phase_;
  const bool is_client_;
  bool resume_wanted_ = false;
  bool receive_end_due_ = false;
  bool receive_ended_ = false;  // told
  bool is_truncated_ = false;   // without close_notify
  bool close_wanted_ = false;   // by the application
  bool closing_alert_due_ = false;
  bool update_due_ = false;        // our KeyUpdate
  std::uint8_t refusals_due_ = 0;  // to renegotiate
  AlertDescription closing_alert_ = AlertDescription::close_notify;
  HandshakeFailure failure_ = HandshakeFailure::none;
  net::CloseReason reason_ = net::CloseReason::finished;  // ours, when it is not the transport's
  bool reason_known_ = false;
  std::uint32_t burst_bytes_ = 0;  // sent since the connection was idle
  MonotonicTime last_sent_{};
  std::string problem_;
};

}  // namespace nearfield::tls
