// A check is a dial, an exchange and a verdict; the timer is its time-out while it runs and its
// interval between.
#include "dataplane/origin/health_prober.h"

#include <algorithm>
#include <format>
#include <utility>

#include "dataplane/http/method.h"
#include "dataplane/origin/request_text.h"

namespace nearfield::origin {

namespace {

// A group of this one server for its checks: their traffic is not that of listeners and is not
// counted as theirs.
std::shared_ptr<const OriginGroupEntry> group_for_checks(const OriginGroupEntry& group,
                                                         const Origin& origin) {
  auto own = std::make_shared<OriginGroupEntry>();
  own->config = group.config;
  own->config.timeouts.connect = own->config.health.timeout;
  own->origins = {origin};
  own->tls = group.tls;
  own->origins[0].statistics = std::make_shared<OriginStatistics>();
  return own;
}

}  // namespace

HealthProber::HealthProber(const OriginTransport& transport, std::shared_ptr<Resolver> resolver,
                           const OriginGroupEntry& group, const Origin& origin)
    : transport_(transport),
      resolver_(std::move(resolver)),
      group_(group_for_checks(group, origin)),
      origin_(group_->origins[0]),
      timer_([](void* self) { static_cast<HealthProber*>(self)->on_timer(); }, this) {
  const auto interval = static_cast<std::uint64_t>(group_->config.health.interval.count());
  next_check_ = transport_.reactor.now() +
                Duration(static_cast<Duration::rep>(transport_.reactor.random() % interval));
  transport_.reactor.arm(timer_, next_check_);
}

HealthProber::~HealthProber() { drop_connection(); }

void HealthProber::drop_connection() {
  OriginConnection* connection = std::exchange(connection_, nullptr);
  if (connection == nullptr) return;
  connection->abandon();
  connection->discard();  // it might be draining for an owner that goes
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
  const MonotonicTime now = transport_.reactor.now();
  checking_ = true;
  // Kept to a grid, so that slow checks do not stretch the interval; missed ones are left out.
  next_check_ = std::max(next_check_ + group_->config.health.interval, now);
  transport_.reactor.arm(timer_, now + group_->config.health.timeout);
  dialer_ = std::make_unique<Dialer>(transport_, *resolver_, group_, origin_,
                                     static_cast<DialObserver&>(*this));
  dialer_->start(std::nullopt);
}

void HealthProber::end_check(const std::string& problem) {
  checking_ = false;
  dialer_.reset();
  drop_connection();
  transport_.reactor.arm(timer_, next_check_);
  origin_.health->report_check(problem, transport_.reactor.now());
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
