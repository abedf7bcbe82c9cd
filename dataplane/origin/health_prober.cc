#include "dataplane/origin/health_prober.h"

#include <algorithm>
#include <format>
#include <utility>

#include "dataplane/http/method.h"
#include "dataplane/origin/request_text.h"

namespace nearfield::origin {

HealthProber::HealthProber(net::Reactor& reactor, std::shared_ptr<Resolver> resolver,
                           std::shared_ptr<const OriginGroupEntry> group, const Origin& origin,
                           const http::ResponseLimits& limits)
    : reactor_(reactor),
      resolver_(std::move(resolver)),
      group_(std::move(group)),
      origin_(origin),
      limits_(limits),
      timer_([](void* self) { static_cast<HealthProber*>(self)->on_timer(); }, this) {
  const auto interval = static_cast<std::uint64_t>(group_->config.health.interval.count());
  next_check_ = reactor_.now() + Duration(static_cast<Duration::rep>(reactor_.random() % interval));
  reactor_.arm(timer_, next_check_);
}

HealthProber::~HealthProber() {
  if (connection_ != nullptr) connection_->abandon();
}

void HealthProber::on_timer() {
  if (checking_) {
    end_check(std::format(
        "health check of {} was not answered in {}", group_->config.health.path,
        std::chrono::duration_cast<std::chrono::milliseconds>(group_->config.health.timeout)));
  } else {
    begin_check();
  }
}

void HealthProber::begin_check() {
  const MonotonicTime now = reactor_.now();
  checking_ = true;
  // Kept to a grid, so that slow checks do not stretch the interval; missed ones are left out.
  next_check_ = std::max(next_check_ + group_->config.health.interval, now);
  reactor_.arm(timer_, now + group_->config.health.timeout);
  dialer_ = std::make_unique<Dialer>(reactor_, *resolver_, group_, origin_, limits_,
                                     static_cast<DialObserver&>(*this));
  dialer_->start(std::nullopt);
}

void HealthProber::end_check(const std::string& problem) {
  checking_ = false;
  dialer_.reset();
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->abandon();
  reactor_.arm(timer_, next_check_);
  origin_.health->report_check(problem, reactor_.now());
}

void HealthProber::on_dialed(Dialer&, OriginConnection& connection) {
  dialer_.reset();
  connection_ = &connection;
  connection.set_owner(*this);
  const HealthCheck& health = group_->config.health;
  connection.begin(std::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: "
                               "nearfield-health\r\nConnection: close\r\n\r\n",
                               health.path, mapped_host(group_->config, origin_.server, {})),
                   {}, http::Method::kGet, *this);
}

void HealthProber::on_dial_failed(Dialer&, const DialFailure& failure) {
  end_check(failure.message);
}

void HealthProber::on_head(http::ResponseHead&& head) {
  const std::uint16_t expected = group_->config.health.expected_status;
  const bool good =
      expected == 0 ? head.status >= 200 && head.status < 400 : head.status == expected;
  verdict_ = good ? std::string()
                  : std::format("health check of {} was answered with {}",
                                group_->config.health.path, head.status);
  body_bytes_ = 0;
}

// A short answer is read to its end, so that the server sees its connection close in order.
std::size_t HealthProber::on_body(std::span<const std::byte> bytes) {
  body_bytes_ += bytes.size();
  if (body_bytes_ > OriginConnection::kDrainBytes) end_check(std::string(verdict_));
  return bytes.size();
}

void HealthProber::on_complete(http::Fields&&) {
  connection_ = nullptr;
  end_check(std::string(verdict_));
}

void HealthProber::on_failure(const ExchangeFailure& failure) {
  connection_ = nullptr;
  end_check(failure.message);
}

// One check a connection; a server that ignores "close" is not waited for.
void HealthProber::on_free(OriginConnection& connection) { connection.discard(); }

}  // namespace nearfield::origin
