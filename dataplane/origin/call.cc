// Steps in the order a call takes them: choose, connect, exchange, again or not, the end.
#include "dataplane/origin/call.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <utility>

#include "dataplane/http/method.h"
#include "dataplane/origin/request_text.h"

namespace nearfield::origin {
namespace {

constexpr std::uint32_t kMaximumStaleConnections = 2;
// Before a repeat at the same server, doubling: long enough for a process to come back up, too
// short for a listener to give up.
constexpr Duration kFirstPause = std::chrono::milliseconds(100);

std::string seconds_text(Duration duration) {
  return std::format("{:.3g} s", std::chrono::duration<double>(duration).count());
}

}  // namespace

HttpOriginCall::HttpOriginCall(HttpOriginClient& client, OriginRequest request,
                               OriginObserver& observer)
    : client_(client),
      reactor_(client.transport_.reactor),
      request_(std::move(request)),
      observer_(observer),
      timer_([](void* self) { static_cast<HttpOriginCall*>(self)->on_timer(); }, this),
      whole_timer_([](void* self) { static_cast<HttpOriginCall*>(self)->on_whole_timer(); }, this) {
  ++client_.calls_;
}

HttpOriginCall::~HttpOriginCall() {
  cancel_timers();
  if (state_ == State::queued) pool_->leave(*this);
  if (connection_ != nullptr) connection_->abandon();
  release_probe();
  --client_.calls_;
}

void HttpOriginCall::start() {
  if (const auto fault = request_fault(request_); !fault.empty()) {
    end_with({.kind = OriginFailureKind::no_origin,
              .message = std::format("a request was not sent to an origin: {}", fault)});
    return;
  }
  group_ = client_.directory_->find(request_.authority);
  if (group_ == nullptr) {
    end_with({.kind = OriginFailureKind::no_origin,
              .message = std::format("no origin group serves host '{}'", request_.authority)});
    return;
  }
  if (const auto whole = group_->config.timeouts.whole; whole.has_value()) {
    reactor_.arm(whole_timer_, reactor_.now() + *whole);
  }
  attempt();
}

void HttpOriginCall::resume() {
  if (connection_ != nullptr) connection_->resume();
}

std::string_view HttpOriginCall::origin_name() const {
  return origin_ == nullptr ? std::string_view() : std::string_view(origin_->name);
}

void HttpOriginCall::attempt() {
  const OriginChoice choice =
      choose_origin(*group_, tried_, request_.idempotent, reactor_.now(), reactor_.random());
  if (choice.origin == nullptr) {
    std::string message =
        std::format("origin group {}: {}", group_->config.name,
                    group_->origins.size() == 1 ? "its server is set aside as failing"
                                                : "all its servers are set aside as failing");
    if (last_failure_.empty()) last_failure_ = group_->origins.front().health->snapshot().reason;
    if (!last_failure_.empty()) message += std::format(" (last: {})", last_failure_);
    end_with({.kind = OriginFailureKind::unreachable, .message = std::move(message)});
    return;
  }
  probing_ = choice.probe;
  attempt_at(*choice.origin, choice.index);
}

void HttpOriginCall::attempt_at(const Origin& origin, std::size_t index) {
  origin_ = &origin;
  origin_index_ = index;
  tried_ |= std::uint64_t{1} << index;
  OriginPool& pool = client_.pool(group_, origin);
  if (OriginConnection* connection = pool.take(); connection != nullptr) {
    begin_on(*connection);
    return;
  }
  state_ = State::queued;
  pool_ = &pool;
  if (pool.wait(*this)) {
    const OriginTimeouts& timeouts = group_->config.timeouts;
    reactor_.arm(timer_, reactor_.now() + timeouts.wait + timeouts.connect);
    return;
  }
  attempt_failed({.kind = OriginFailureKind::overloaded,
                  .message = std::format("origin {}: {} calls wait for a connection already",
                                         origin.name, group_->config.pool.waiting_calls)},
                 Again::elsewhere, false);
}

void HttpOriginCall::begin_on(OriginConnection& connection) {
  state_ = State::exchanging;
  pool_ = nullptr;
  connection_ = &connection;
  begun_at_ = reactor_.now();
  if (probing_ && group_->origins.size() == 1) {
    // Set aside because it could not be connected to: that is over.
    origin_->health->report_answer();
    probing_ = false;
  }
  if (connection.kept()) OriginStatistics::add(origin_->statistics->connections_reused);
  connection.begin(request_head_text(request_, group_->config, origin_->server), request_.body,
                   http::method_from(request_.method), *this);
}

void HttpOriginCall::on_connection(OriginConnection& connection) {
  reactor_.cancel(timer_);
  begin_on(connection);
}

void HttpOriginCall::on_no_connection(const DialFailure& failure) {
  reactor_.cancel(timer_);
  // The pool has told the server's health already.
  probing_ = false;
  const bool useless_here = failure.is_refusal || failure.kind == OriginFailureKind::timed_out ||
                            failure.kind == OriginFailureKind::overloaded;  // worse for both
  attempt_failed({.kind = failure.kind, .message = failure.message},
                 useless_here ? Again::elsewhere : Again::anywhere, false);
}

// --- the exchange ---

void HttpOriginCall::on_interim(const http::ResponseHead& head) { observer_.on_interim(head); }

void HttpOriginCall::on_head(http::ResponseHead&& head) {
  origin_->statistics->add_first_byte(reactor_.now() - begun_at_);
  origin_->health->report_answer();
  probing_ = false;
  head_delivered_ = true;
  observer_.on_head(std::move(head));
}

std::size_t HttpOriginCall::on_body(std::span<const std::byte> bytes) {
  return observer_.on_body(bytes);
}

void HttpOriginCall::on_complete(http::Fields&& trailers) {
  cancel_timers();
  connection_ = nullptr;
  state_ = State::ended;
  OriginStatistics::add(origin_->statistics->completed);
  origin_->health->report_success();
  observer_.on_complete(std::move(trailers));
}

void HttpOriginCall::on_failure(const ExchangeFailure& failure) {
  connection_ = nullptr;
  const bool may_repeat =
      !failure.response_begun && (request_.idempotent || !failure.request_begun);
  if (failure.kind == OriginFailureKind::broken && failure.connection_kept && may_repeat &&
      stale_connections_ < kMaximumStaleConnections) {
    // The server closed a kept connection while our request was on its way: the rule for sending
    // again is the same, but it is nobody's failure.
    ++stale_connections_;
    OriginStatistics::add(origin_->statistics->stale_connections);
    client_.pool(group_, *origin_).drop_idle();
    attempt_at(*origin_, origin_index_);
    return;
  }
  const Again again = !may_repeat || failure.kind == OriginFailureKind::malformed ? Again::no
                      : failure.kind == OriginFailureKind::timed_out              ? Again::elsewhere
                                                                                  : Again::anywhere;
  attempt_failed({.kind = failure.kind, .message = failure.message}, again, true);
}

// --- again or not ---

void HttpOriginCall::attempt_failed(const OriginFailure& failure, Again again, bool blames_server) {
  state_ = State::choosing;
  pool_ = nullptr;
  origin_->statistics->add_failure(failure.kind);
  // A server that is alone in its group is set aside only when it cannot be connected to (the pool
  // says so): with nobody else to ask, one object it chokes on must not take the others away.
  if (blames_server && group_->origins.size() > 1) {
    origin_->health->report_failure(failure.message, reactor_.now(), reactor_.random());
    probing_ = false;
  } else {
    origin_->health->note_failure(failure.message, reactor_.now());
  }
  release_probe();
  last_failure_ = failure.message;
  if (head_delivered_ || again == Again::no || attempts_ >= group_->config.retries) {
    end_with(failure);
    return;
  }
  const bool others = std::ranges::any_of(group_->origins, [&](const Origin& other) {
    const auto index = static_cast<std::size_t>(&other - group_->origins.data());
    return ((tried_ >> index) & 1) == 0 &&
           other.health->admission(reactor_.now()) != OriginHealth::Admission::closed;
  });
  if (others) {
    ++attempts_;
    OriginStatistics::add(origin_->statistics->retries);
    attempt();
  } else if (again == Again::elsewhere) {
    end_with(failure);
  } else {
    OriginStatistics::add(origin_->statistics->retries);
    pause_then_attempt();
  }
}

void HttpOriginCall::pause_then_attempt() {
  const Duration pause = kFirstPause * (std::int64_t{1} << std::min(attempts_, 6u));
  ++attempts_;
  const auto jitter = Duration(static_cast<Duration::rep>(
      reactor_.random() % static_cast<std::uint64_t>(pause.count() / 2)));
  reactor_.arm(timer_, reactor_.now() + pause + jitter);
}

// --- endings ---

void HttpOriginCall::end_with(OriginFailure failure) {
  cancel_timers();
  release_probe();
  state_ = State::ended;
  pending_failure_ = std::move(failure);
  reactor_.arm(timer_, reactor_.now());
}

void HttpOriginCall::release_probe() {
  if (std::exchange(probing_, false)) origin_->health->abandon_probe(reactor_.now());
}

void HttpOriginCall::cancel_timers() {
  reactor_.cancel(timer_);
  reactor_.cancel(whole_timer_);
}

void HttpOriginCall::on_timer() {
  if (pending_failure_.has_value()) {
    const OriginFailure failure = *std::exchange(pending_failure_, std::nullopt);
    observer_.on_failure(failure);
    return;
  }
  if (state_ == State::choosing) {
    attempt();
  } else if (state_ == State::queued) {
    pool_->leave(*this);
    attempt_failed(
        {.kind = OriginFailureKind::overloaded,
         .message = std::format("origin {}: no connection came free in {}", origin_->name,
                                seconds_text(group_->config.timeouts.wait))},
        Again::elsewhere, false);
  }
}

void HttpOriginCall::on_whole_timer() {
  if (state_ == State::ended) return;
  if (state_ == State::queued) pool_->leave(*this);
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->abandon();
  OriginFailure failure{
      .kind = OriginFailureKind::timed_out,
      .message = std::format("origin {}: the whole call took more than {}", origin_->name,
                             seconds_text(*group_->config.timeouts.whole))};
  origin_->statistics->add_failure(failure.kind);
  end_with(std::move(failure));
}

}  // namespace nearfield::origin
