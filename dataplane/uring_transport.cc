// Options of the ring keep their defaults: they were measured, and an operator could only guess.
#include "dataplane/uring_transport.h"

#include <utility>

#include "dataplane/net/uring/uring_reactor.h"

namespace nearfield {
namespace {

class UringTransport final : public control::Transport {
 public:
  explicit UringTransport(std::unique_ptr<net::UringReactor> reactor)
      : reactor_(std::move(reactor)) {}

  net::Reactor& reactor() override { return *reactor_; }
  Result<void> run() override { return reactor_->run(); }
  void stop() override { reactor_->stop(); }

  // The kernel knows more of its connections than we do: ss -ti.
  std::optional<std::vector<control::ConnectionReport>> connections(
      std::size_t, const std::optional<net::Endpoint>&) const override {
    return std::nullopt;
  }

  std::vector<control::TransportValue> values() const override {
    const net::UringStatistics now = reactor_->statistics();
    return {
        {"turns", "Turns of the workers' loops", now.turns, false},
        {"completions", "Completions taken from the kernel", now.completions, false},
        {"streams_open", "Connections open now, to listeners and origins", now.streams_now, true},
        {"accepted", "Connections accepted", now.accepted, false},
        {"accept_refused", "Connections reset because the proxy refused them", now.accept_refused,
         false},
        {"accept_overflows", "Connections reset because the transport's table was full",
         now.accept_overflows, false},
        {"accept_failures", "Times accepting paused for want of descriptors or memory",
         now.accept_failures, false},
        {"connects", "Connections begun to origins", now.connects, false},
        {"connect_failures", "Of these, failed", now.connect_failures, false},
        {"received_bytes", "Bytes received", now.received_bytes, false},
        {"receives", "Receive completions", now.receives, false},
        {"receive_buffer_exhaustions", "Times no receive buffer was free",
         now.receive_buffer_exhaustions, false},
        {"receive_pauses", "Times a receiver asked for a pause", now.receive_pauses, false},
        {"sent_bytes", "Bytes sent", now.sent_bytes, false},
        {"sends", "Send completions", now.sends, false},
        {"short_sends", "Sends that took less than they were given", now.short_sends, false},
        {"zero_copy_sends", "Sends without a copy", now.zero_copy_sends, false},
        {"zero_copy_copied", "Of these, copied by the kernel all the same", now.zero_copy_copied,
         false},
        {"resets_received", "Connections reset by their peer", now.resets_received, false},
        {"staging_waits", "Sends put off by a turn for want of room to make TLS records in",
         now.staging_waits, false},
        {"completion_overflows", "Turns that found the completion queue had been full",
         now.completion_overflows, false},
    };
  }

 private:
  std::unique_ptr<net::UringReactor> reactor_;
};

class UringTransports final : public control::Transports {
 public:
  explicit UringTransports(std::size_t maximum_streams) : maximum_streams_(maximum_streams) {}

  Result<std::unique_ptr<control::Transport>> make(std::uint32_t) override {
    net::UringOptions options;
    options.maximum_streams = maximum_streams_;
    auto reactor = net::UringReactor::create(options);
    if (!reactor) return std::unexpected(reactor.error());
    return std::make_unique<UringTransport>(*std::move(reactor));
  }

 private:
  const std::size_t maximum_streams_;
};

}  // namespace

control::TransportKind uring_transport() {
  return {
      .name = "uring",
      .listens_on_sockets = true,
      .open =
          [](const control::TransportPlan& plan) -> Result<std::unique_ptr<control::Transports>> {
        return std::make_unique<UringTransports>(plan.maximum_streams);
      }};
}

}  // namespace nearfield
