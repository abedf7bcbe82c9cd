// HttpOriginCall: one call from start() to its end: which server, which connection, how often
// again.
//
//   choosing -> queued -> exchanging -> ended
//       ^         |            |
//       +---------+------------+
//   again: at another server at once, at the same one after a short pause
//
// When a request may be sent again (RFC 9110 9.2.2): any, while no byte of it left this node; an
// idempotent one, while no byte of a response came. What timed out, and a server whose TLS we do
// not accept or that does not accept ours, goes only to another server. A kept connection that
// turns out to be dead costs no retry (twice).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/origin/client.h"
#include "dataplane/origin/connection.h"
#include "dataplane/origin/http_client.h"
#include "dataplane/origin/pool.h"

namespace nearfield::origin {

class HttpOriginCall final : public OriginCall, private Exchange, private OriginPool::Waiter {
 public:
  HttpOriginCall(HttpOriginClient& client, OriginRequest request, OriginObserver& observer);
  ~HttpOriginCall() override;

  void start();
  void resume() override;
  std::string_view origin_name() const override;

 private:
  enum class State { choosing, queued, exchanging, ended };

  void attempt();
  void attempt_at(const Origin& origin, std::size_t index);
  void begin_on(OriginConnection& connection);
  enum class Again { no, elsewhere, anywhere };
  // `blames_server`: false when this node was short of something.
  void attempt_failed(const OriginFailure& failure, Again again, bool blames_server);
  void end_with(OriginFailure failure);  // told from the timer, in a turn of its own
  void release_probe();
  void cancel_timers();
  void on_timer();
  void on_whole_timer();
  void pause_then_attempt();

  void on_connection(OriginConnection& connection) override;
  void on_no_connection(const DialFailure& failure) override;
  void on_interim(const http::ResponseHead& head) override;
  void on_head(http::ResponseHead&& head) override;
  std::size_t on_body(std::span<const std::byte> bytes) override;
  void on_complete(http::Fields&& trailers) override;
  void on_failure(const ExchangeFailure& failure) override;

  HttpOriginClient& client_;
  net::Reactor& reactor_;
  const OriginRequest request_;
  OriginObserver& observer_;
  net::Timer timer_;  // the pause before a repeat, the wait for a connection, a failure to tell
  net::Timer whole_timer_;
  State state_ = State::choosing;
  std::shared_ptr<const OriginGroupEntry> group_;
  const Origin* origin_ = nullptr;
  std::size_t origin_index_ = 0;
  OriginPool* pool_ = nullptr;  // while queued
  OriginConnection* connection_ = nullptr;
  MonotonicTime begun_at_{};    // this attempt's request
  std::uint64_t tried_ = 0;     // bit i: the group's server i
  std::uint32_t attempts_ = 0;  // that count against retries
  std::uint32_t stale_connections_ = 0;
  bool probing_ = false;  // holds the probe of origin_
  bool head_delivered_ = false;
  std::optional<OriginFailure> pending_failure_;
  std::string last_failure_;
};

}  // namespace nearfield::origin
