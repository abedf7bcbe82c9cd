// HealthProber: the active checks of one server: a GET of the group's check path every interval, on
// a connection of its own, judged by the status of the response alone. Checks never overlap; the
// first comes within one interval (spread by chance, so that many nodes do not ask in step).
#pragma once

#include <memory>
#include <span>
#include <string>

#include "dataplane/origin/dialer.h"

namespace nearfield::origin {

class HealthProber final : private DialObserver, private ConnectionOwner, private Exchange {
 public:
  HealthProber(const OriginTransport& transport, std::shared_ptr<Resolver> resolver,
               const OriginGroupEntry& group, const Origin& origin);
  ~HealthProber();
  HealthProber(const HealthProber&) = delete;
  HealthProber& operator=(const HealthProber&) = delete;

 private:
  void on_timer();
  void drop_connection();
  void begin_check();
  void end_check(const std::string& problem);

  void on_dialed(Dialer& dialer, OriginConnection& connection) override;
  void on_dial_failed(Dialer& dialer, const DialFailure& failure) override;
  void on_opened(OriginConnection&) override {}
  void on_open_failed(OriginConnection&, net::CloseReason) override {}
  void on_free(OriginConnection& connection) override;
  void on_gone(OriginConnection&) override {}
  void on_interim(const http::ResponseHead&) override {}
  void on_head(http::ResponseHead&& head) override;
  std::size_t on_body(std::span<const std::byte> bytes) override;
  void on_complete(http::Fields&&) override;
  void on_failure(const ExchangeFailure& failure) override;

  const OriginTransport transport_;
  const std::shared_ptr<Resolver> resolver_;
  const std::shared_ptr<const OriginGroupEntry> group_;  // of its own
  const Origin& origin_;
  net::Timer timer_;
  bool checking_ = false;
  MonotonicTime next_check_{};
  std::unique_ptr<Dialer> dialer_;
  OriginConnection* connection_ = nullptr;
  std::string verdict_;  // of the head
  std::uint64_t body_bytes_ = 0;
};

}  // namespace nearfield::origin
