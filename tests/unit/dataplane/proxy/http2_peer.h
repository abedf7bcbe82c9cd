// Http2Peer: a listener who speaks HTTP/2, for tests: nghttp2's client on a simulated connection.
// What it is told to ask it asks, and it remembers what it hears. raw() breaks any rule.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/unit/dataplane/proxy/proxy_fixture.h"

struct nghttp2_session;

namespace nearfield::proxy::testing {

struct Http2Reply {
  int status = 0;
  std::vector<int> interim;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  bool closed = false;  // the stream is over
  std::uint32_t error = 0;
  std::string field(std::string_view name) const;
  bool whole() const { return closed && error == 0; }
};

// One frame, as bytes.
std::string http2_frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                        std::string_view payload);
inline constexpr std::string_view kHttp2ClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class Http2Peer {
 public:
  using FieldList = std::vector<std::pair<std::string, std::string>>;
  struct Options {
    bool automatic_windows = true;
    std::optional<std::uint32_t> initial_window;
  };

  explicit Http2Peer(ProxyFixture& node) : Http2Peer(node, Options{}) {}
  Http2Peer(ProxyFixture& node, const Options& options);
  ~Http2Peer();

  // Returns the stream.
  std::int32_t get(std::string_view path, const FieldList& more = {});
  std::int32_t ask(std::string_view method, std::string_view path, const FieldList& more,
                   std::optional<std::string> body);
  std::int32_t submit(const FieldList& fields, std::optional<std::string> body = std::nullopt);
  void cancel(std::int32_t stream);
  void allow(std::int32_t stream, std::int32_t bytes);  // window updates; 0: the connection
  void ping();
  void raw(std::string_view bytes) { connection_->send(bytes); }
  void flush();

  Http2Reply& reply(std::int32_t stream) { return replies_[stream]; }
  // Waits until the stream is over, or the connection.
  Http2Reply& wait(std::int32_t stream);
  std::optional<std::uint32_t> goaway_code() const { return goaway_code_; }
  std::int32_t goaway_last_stream() const { return goaway_last_stream_; }
  int goaways() const { return goaways_; }
  int pings_answered() const { return pings_answered_; }
  bool over() const { return connection_->closed() || connection_->ended(); }
  sim::SimPeer& connection() { return *connection_; }

 private:
  friend struct Http2PeerCallbacks;
  ProxyFixture& node_;
  std::unique_ptr<sim::SimPeer> connection_;
  nghttp2_session* library_ = nullptr;
  std::map<std::int32_t, Http2Reply> replies_;
  std::map<std::int32_t, std::string> bodies_;
  std::optional<std::uint32_t> goaway_code_;
  std::int32_t goaway_last_stream_ = 0;
  int goaways_ = 0;
  int pings_answered_ = 0;
};

}  // namespace nearfield::proxy::testing
