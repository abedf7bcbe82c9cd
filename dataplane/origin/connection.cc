// Opening, writing, reading, endings. on_receive() is a loop over the parser's events; what the
// exchange did not take stays with the transport and is counted in held_body_ and held_framing_,
// because the parser is past it.
#include "dataplane/origin/connection.h"

#include <algorithm>
#include <format>
#include <memory>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/http/text.h"
#include "dataplane/tls/secure_connector.h"

namespace nearfield::origin {
namespace {

// Bodies of requests are copied into the send plan; this is the most of one body there at a time.
constexpr std::size_t kBodySliceBytes = 64 * 1024;

// "timeout=N" of a Keep-Alive field (RFC 2068 19.7.1; never standardised since, sent by nearly
// every server).
std::optional<Duration> keep_alive_timeout(const http::Fields& fields) {
  std::optional<Duration> result;
  fields.each_value("Keep-Alive", [&](std::string_view value) {
    http::ListReader list(value);
    while (const auto element = list.next()) {
      const auto equals = element->find('=');
      if (equals == std::string_view::npos ||
          !http::equals_ignoring_case(http::trim_ows(element->substr(0, equals)), "timeout")) {
        continue;
      }
      const auto seconds = http::parse_decimal(http::trim_ows(element->substr(equals + 1)));
      if (seconds.has_value()) {
        result = std::chrono::seconds(std::min<std::uint64_t>(*seconds, 24 * 3600));
      }
    }
  });
  return result;
}

std::string seconds_text(Duration duration) {
  return std::format("{:.3g} s", std::chrono::duration<double>(duration).count());
}

}  // namespace

OriginConnection* OriginConnection::open(const OriginTransport& transport,
                                         const net::Endpoint& peer, Duration timeout,
                                         std::shared_ptr<const OriginGroupEntry> group,
                                         const Origin& origin, ConnectionOwner& owner) {
  auto* connection = new OriginConnection(transport, peer, std::move(group), origin, owner);
  const net::ConnectOptions options{.timeout = timeout};
  if (origin.server.scheme == Scheme::https) {
    const OriginGroupEntry& entry = *connection->group_;
    NEARFIELD_ASSERT(transport.secure != nullptr && entry.tls != nullptr);
    const std::string& named = entry.config.tls.server_name;
    connection->secure_ = transport.secure->connect(
        peer, options, entry.tls, named.empty() ? origin.server.host : named, *connection);
    connection->stream_ = connection->secure_;
  } else {
    connection->stream_ = transport.reactor.connect(peer, options, *connection);
  }
  if (connection->stream_ == nullptr) {
    delete connection;
    return nullptr;
  }
  return connection;
}

OriginConnection::OriginConnection(const OriginTransport& transport, const net::Endpoint& peer,
                                   std::shared_ptr<const OriginGroupEntry> group,
                                   const Origin& origin, ConnectionOwner& owner)
    : reactor_(transport.reactor),
      owner_(&owner),
      group_(std::move(group)),
      origin_(origin),
      peer_(peer),
      timer_([](void* self) { static_cast<OriginConnection*>(self)->on_timer(); }, this),
      parser_(transport.limits) {}

OriginConnection::~OriginConnection() = default;

void OriginConnection::on_connected() {
  OriginStatistics::add(origin_.statistics->connections_opened);
  OriginStatistics::move(origin_.statistics->connections_open, 1);
  opened_ = true;
  if (state_ == State::closing) return;  // discarded in the same turn
  state_ = State::idle;
  owner_->on_opened(*this);
}

bool OriginConnection::is_handshaking() const {
  return secure_ != nullptr &&
         (secure_->is_handshaking() || secure_->failure() != tls::HandshakeFailure::none);
}

void OriginConnection::on_closed(net::CloseReason reason) {
  if (secure_ != nullptr) note_tls_failure();
  stream_ = secure_ = nullptr;
  reactor_.cancel(timer_);
  ConnectionOwner* owner = std::exchange(owner_, nullptr);
  Exchange* exchange = std::exchange(exchange_, nullptr);
  const State state = std::exchange(state_, State::closing);
  if (opened_) OriginStatistics::move(origin_.statistics->connections_open, -1);
  if (owner == nullptr) {
    delete this;
    return;
  }
  if (state == State::opening) {
    owner->on_open_failed(*this, reason);
    delete this;
    return;
  }
  std::optional<ExchangeFailure> failure;
  if (exchange != nullptr) {
    failure = failure_now(OriginFailureKind::broken, how_it_broke(reason));
  }
  owner->on_gone(*this);
  delete this;
  if (exchange != nullptr) exchange->on_failure(*failure);
}

void OriginConnection::discard() {
  NEARFIELD_ASSERT(exchange_ == nullptr);
  owner_ = nullptr;
  if (state_ == State::closing) return;
  const bool idle = state_ == State::idle;
  state_ = State::closing;
  reactor_.cancel(timer_);
  if (idle) {
    stream_->close_after_send();
  } else {
    stream_->abort();
  }
}

void OriginConnection::begin(std::string head, std::string_view body, http::Method method,
                             Exchange& exchange) {
  NEARFIELD_ASSERT(state_ == State::idle);
  state_ = State::exchanging;
  exchange_ = &exchange;
  parser_.begin(method);
  head_ = std::move(head);
  body_ = body;
  body_sent_ = 0;
  head_sent_ = false;
  head_read_ = false;
  keep_alive_ = false;
  remaining_.reset();
  paused_ = false;
  resume_wanted_ = false;
  held_body_ = held_framing_ = 0;
  arm(group_->config.timeouts.first_byte);
  stream_->wake_sender();
}

void OriginConnection::abandon() {
  if (exchange_ == nullptr) return;
  exchange_ = nullptr;
  OriginStatistics::add(origin_.statistics->cancelled);
  const bool written = head_sent_ && body_sent_ == body_.size();
  if (!head_read_ || !keep_alive_ || !written || !remaining_.has_value() ||
      *remaining_ > kDrainBytes) {
    leave(Leaving::at_once);
    return;
  }
  state_ = State::draining;
  body_ = {};
  body_sent_ = 0;
  arm(kDrainTime);
  if (std::exchange(paused_, false)) stream_->resume_receive();
}

void OriginConnection::resume() {
  if (state_ != State::exchanging) return;
  if (!paused_) {
    resume_wanted_ = true;
    return;
  }
  paused_ = false;
  arm(group_->config.timeouts.idle);
  stream_->resume_receive();
}

// --- writing ---

void OriginConnection::on_send_ready(net::SendPlan& plan) {
  if (state_ != State::exchanging) return;
  std::uint64_t appended = 0;
  if (!head_sent_ && plan.room() > 0) {
    plan.append_text(head_);
    appended += head_.size();
    head_sent_ = true;
    head_ = {};
    OriginStatistics::add(origin_.statistics->requests);
  }
  if (head_sent_ && body_sent_ < body_.size() && plan.room() > 0) {
    const std::string_view slice = body_.substr(body_sent_, kBodySliceBytes);
    plan.append_text(slice);
    appended += slice.size();
    body_sent_ += slice.size();
  }
  unreleased_bytes_ += appended;
  OriginStatistics::add(origin_.statistics->request_bytes, appended);
}

void OriginConnection::on_released(std::uint64_t bytes) {
  unreleased_bytes_ -= std::min(bytes, unreleased_bytes_);
  // The wait for the response begins when the server has the request; before, progress is what
  // counts.
  if (state_ == State::exchanging && !parser_.started()) {
    arm(group_->config.timeouts.first_byte);
  }
}

// --- reading ---

std::size_t OriginConnection::on_receive(std::span<const std::byte> bytes) {
  if (state_ == State::idle) {
    // An answer nobody asked for: what it belongs to cannot be known (RFC 9112 9.3).
    OriginStatistics::add(origin_.statistics->unexpected_bytes);
    leave(Leaving::at_once);
  }
  if (!active()) return bytes.size();
  if (paused_) return 0;
  std::size_t position = 0;
  read(bytes, position);
  return position;
}

void OriginConnection::read(std::span<const std::byte> bytes, std::size_t& position) {
  const std::uint64_t exchange_number = exchanges_;
  if (!read_held(bytes, position)) return;
  while (active() && exchanges_ == exchange_number) {
    if (!read_step(bytes, position)) return;
  }
  position = bytes.size();  // the exchange ended; what is left has been judged
}

// Hands on what the parser has already read. False: nothing more to do with these bytes now.
bool OriginConnection::read_held(std::span<const std::byte> bytes, std::size_t& position) {
  if (held_body_ > 0) {
    const std::size_t offered = std::min(held_body_, bytes.size());
    const std::size_t taken = deliver(bytes.first(offered));
    if (!active()) {
      position = bytes.size();
      return false;
    }
    position += taken;
    held_body_ -= taken;
    if (taken < offered || held_body_ > 0) return false;
  }
  const std::size_t framing = std::min(held_framing_, bytes.size() - position);
  position += framing;
  held_framing_ -= framing;
  return held_framing_ == 0;
}

// One event of the parser. False: these bytes are used up, or nobody takes more for now.
bool OriginConnection::read_step(std::span<const std::byte> bytes, std::size_t& position) {
  const auto input = bytes.subspan(position);
  const http::ParseStep step = parser_.feed(input);
  switch (step.event) {
    case http::ParseEvent::kNeedMore:
      position += step.consumed;
      return false;
    case http::ParseEvent::kInterim:
      position += step.consumed;
      // The server works on it: its time starts again, at most ResponseLimits::max_interim_count
      // times.
      if (state_ == State::exchanging) arm(group_->config.timeouts.first_byte);
      if (exchange_ != nullptr && parser_.head().status != 100) {
        exchange_->on_interim(parser_.head());
      }
      return true;
    case http::ParseEvent::kHead:
      position += step.consumed;
      read_head();
      return true;
    case http::ParseEvent::kBody: {
      const auto before = static_cast<std::size_t>(step.body.data() - input.data());
      const std::size_t taken = deliver(step.body);
      if (!active()) return true;
      if (taken < step.body.size()) {
        position += before + taken;
        held_body_ = step.body.size() - taken;
        held_framing_ = step.consumed - before - step.body.size();
        return false;
      }
      position += step.consumed;
      return true;
    }
    case http::ParseEvent::kComplete:
      position += step.consumed;
      finish(position < bytes.size());
      return true;
    case http::ParseEvent::kError:
      fail(OriginFailureKind::malformed,
           std::format("answered with something that is not sound HTTP ({})", parser_.error()));
      return true;
  }
  return false;
}

void OriginConnection::read_head() {
  http::ResponseHead& head = parser_.head();
  head_read_ = true;
  keep_alive_ = head.keep_alive;
  if (head.framing == http::BodyFraming::kNone) {
    remaining_ = 0;
  } else if (head.framing == http::BodyFraming::kLength) {
    remaining_ = head.content_length;
  }
  peer_keep_idle_ = keep_alive_timeout(head.fields);
  OriginStatistics::add(origin_.statistics->responses);
  arm(group_->config.timeouts.idle);
  exchange_->on_head(std::move(head));
}

// Returns how many of `body` are done with; fewer than all means paused.
std::size_t OriginConnection::deliver(std::span<const std::byte> body) {
  std::size_t taken = body.size();
  if (state_ == State::exchanging) {
    arm(group_->config.timeouts.idle);
    resume_wanted_ = false;
    Exchange& exchange = *exchange_;
    taken = exchange.on_body(body);
    if (state_ != State::exchanging) return body.size();  // abandoned: drained or closed
    NEARFIELD_ASSERT(taken <= body.size());
    OriginStatistics::add(origin_.statistics->response_bytes, taken);
  }
  if (remaining_.has_value()) *remaining_ -= std::min<std::uint64_t>(*remaining_, taken);
  if (taken < body.size()) {
    // Not the server's fault: no time-out until resume(). One that came already takes effect in the
    // next turn.
    paused_ = true;
    if (resume_wanted_) {
      arm(Duration::zero());
    } else {
      reactor_.cancel(timer_);
    }
  }
  return taken;
}

void OriginConnection::on_receive_end() {
  receive_ended_ = true;
  if (state_ == State::idle) {
    leave(Leaving::in_order);
    return;
  }
  if (!active()) return;
  const bool started = parser_.started();
  const std::string_view where = where_it_ended();
  switch (parser_.finish()) {
    case http::ResponseEnd::kComplete:
      finish(false);
      return;
    case http::ResponseEnd::kTruncated:
    case http::ResponseEnd::kNothing:
      fail(OriginFailureKind::broken,
           std::format("closed the connection {}", started ? where : "before it answered"));
      return;
  }
}

// --- endings ---

void OriginConnection::finish(bool surplus) {
  if (surplus) OriginStatistics::add(origin_.statistics->unexpected_bytes);
  const bool written = state_ == State::draining || (head_sent_ && body_sent_ == body_.size());
  const bool reusable = keep_alive_ && written && !surplus && !receive_ended_;
  Exchange* exchange = std::exchange(exchange_, nullptr);
  http::Fields trailers = parser_.trailers();
  ++exchanges_;
  body_ = {};
  body_sent_ = 0;
  paused_ = false;
  if (reusable) {
    become_idle();
    owner_->on_free(*this);
  } else {
    leave(Leaving::in_order);
  }
  if (exchange != nullptr) exchange->on_complete(std::move(trailers));
}

void OriginConnection::fail(OriginFailureKind kind, std::string_view what) {
  const ExchangeFailure failure = failure_now(kind, what);
  Exchange* exchange = std::exchange(exchange_, nullptr);
  leave(Leaving::at_once);
  if (exchange != nullptr) exchange->on_failure(failure);
}

void OriginConnection::leave(Leaving how) {
  ConnectionOwner* owner = std::exchange(owner_, nullptr);
  state_ = State::closing;
  reactor_.cancel(timer_);
  if (how == Leaving::in_order) {
    stream_->close_after_send();
  } else {
    stream_->abort();
  }
  if (owner != nullptr) owner->on_gone(*this);
}

void OriginConnection::become_idle() {
  state_ = State::idle;
  // A server that closes kept connections after N seconds does so while our next request is on its
  // way, unless we are first.
  arm(keep_idle());
}

Duration OriginConnection::keep_idle() const {
  const Duration ours = group_->config.pool.keep_idle;
  if (!peer_keep_idle_.has_value()) return ours;
  const Duration theirs = *peer_keep_idle_ > std::chrono::seconds(2)
                              ? *peer_keep_idle_ - std::chrono::seconds(1)
                              : *peer_keep_idle_ / 2;
  return std::min(ours, theirs);
}

void OriginConnection::arm(Duration after) { reactor_.arm(timer_, reactor_.now() + after); }

void OriginConnection::on_timer() {
  const OriginTimeouts& timeouts = group_->config.timeouts;
  switch (state_) {
    case State::opening:
    case State::closing:
      return;
    case State::idle:
      leave(Leaving::in_order);
      return;
    case State::draining:
      leave(Leaving::at_once);
      return;
    case State::exchanging:
      break;
  }
  if (paused_) {
    resume();
  } else if (head_read_) {
    fail(OriginFailureKind::timed_out,
         std::format("sent nothing for {} in the middle of the body", seconds_text(timeouts.idle)));
  } else if (parser_.started()) {
    fail(OriginFailureKind::timed_out, std::format("did not finish the head of its response in {}",
                                                   seconds_text(timeouts.first_byte)));
  } else if (unreleased_bytes_ > 0 || body_sent_ < body_.size()) {
    fail(OriginFailureKind::timed_out,
         std::format("took nothing of the request for {}", seconds_text(timeouts.first_byte)));
  } else {
    fail(OriginFailureKind::timed_out,
         std::format("did not answer in {}", seconds_text(timeouts.first_byte)));
  }
}

void OriginConnection::note_tls_failure() {
  tls_problem_ = secure_->problem();
  switch (secure_->failure()) {
    case tls::HandshakeFailure::none:
      break;
    case tls::HandshakeFailure::ended:
      tls_failure_ = TlsFailure::broken;
      break;
    case tls::HandshakeFailure::internal:
      tls_failure_ = TlsFailure::overloaded;
      break;
    case tls::HandshakeFailure::not_tls:
    case tls::HandshakeFailure::version:
    case tls::HandshakeFailure::no_common_choice:
    case tls::HandshakeFailure::no_common_protocol:
    case tls::HandshakeFailure::peer_certificate:
    case tls::HandshakeFailure::peer_alert:
    case tls::HandshakeFailure::malformed:
    case tls::HandshakeFailure::too_large:
      tls_failure_ = TlsFailure::refused;
      break;
  }
}

std::string OriginConnection::how_it_broke(net::CloseReason reason) const {
  if (!tls_problem_.empty()) {
    return std::format("broke the connection {} (TLS: {})", where_it_ended(), tls_problem_);
  }
  return std::format("{} {}",
                     reason == net::CloseReason::timed_out ? "went silent" : "reset the connection",
                     where_it_ended());
}

ExchangeFailure OriginConnection::failure_now(OriginFailureKind kind, std::string_view what) const {
  return {.kind = kind,
          .message = std::format("origin {} ({}) {}", origin_.name, peer_.text(), what),
          .request_begun = head_sent_,
          .response_begun = parser_.started(),
          .connection_kept = kept()};
}

std::string_view OriginConnection::where_it_ended() const {
  if (head_read_) return "in the middle of the body";
  return parser_.started() ? "in the middle of the head" : "before it answered";
}

}  // namespace nearfield::origin
