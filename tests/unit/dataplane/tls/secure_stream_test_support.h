// Applications above SecureStreams, and who accepts them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/reactor.h"
#include "dataplane/tls/secure_stream.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

namespace nearfield::tls::test {

// Says what it is given, in portions; takes what it hears, in portions if it is moody.
class Application final : public net::StreamHandler {
 public:
  Application(net::Reactor& reactor, std::uint64_t seed, bool moody)
      : reactor_(reactor),
        random_(seed),
        moody_(moody),
        timer_([](void* self) { static_cast<Application*>(self)->stream->resume_receive(); },
               this) {}
  ~Application() { reactor_.cancel(timer_); }

  void on_connected() override { is_connected = true; }
  std::size_t on_receive(std::span<const std::byte> bytes) override {
    const std::size_t taken = moody_ ? random_.below(bytes.size() + 1) : bytes.size();
    heard.append(reinterpret_cast<const char*>(bytes.data()), taken);
    if (taken < bytes.size()) {
      // At once from within, or a little later.
      if (random_.below(2) == 0)
        stream->resume_receive();
      else
        reactor_.arm(timer_, reactor_.now() + std::chrono::milliseconds(1 + random_.below(20)));
    }
    return taken;
  }
  void on_receive_end() override { has_ended = true; }
  void on_send_ready(net::SendPlan& plan) override {
    while (!to_say.empty() && plan.room() > 2) {
      const std::size_t bytes = std::min(to_say.size(), 1 + random_.below(40'000));
      plan.append_text(std::string_view(to_say).substr(0, bytes));
      to_say.erase(0, bytes);
      said_bytes += bytes;
    }
    if (to_say.empty() && closes_when_said) stream->close_after_send();
  }
  void on_released(std::uint64_t bytes) override { released_bytes += bytes; }
  void on_closed(net::CloseReason reason) override {
    reactor_.cancel(timer_);
    closed = reason;
    if (stream != nullptr && is_client) problem = static_cast<SecureStream*>(stream)->problem();
    stream = nullptr;
  }

  net::Stream* stream = nullptr;
  std::string to_say;
  std::string heard;
  std::string problem;
  std::uint64_t said_bytes = 0;
  std::uint64_t released_bytes = 0;
  bool is_client = false;
  bool is_connected = false;
  bool has_ended = false;
  bool closes_when_said = false;
  std::optional<net::CloseReason> closed;

 private:
  net::Reactor& reactor_;
  Random random_;
  bool moody_;
  net::Timer timer_;
};

struct Above final : net::Acceptor {
  net::StreamHandler* on_accept(net::Stream& stream) override {
    if (refuses) return nullptr;
    applications.push_back(make());
    applications.back()->stream = &stream;
    return applications.back().get();
  }
  std::function<std::unique_ptr<Application>()> make;
  std::vector<std::unique_ptr<Application>> applications;
  bool refuses = false;
};

}  // namespace nearfield::tls::test
