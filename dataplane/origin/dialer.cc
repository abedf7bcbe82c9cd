// Failures are told from the timer: start() and the resolver's answer may be on the stack when they
// are known.
#include "dataplane/origin/dialer.h"

#include <algorithm>
#include <format>
#include <utility>

namespace nearfield::origin {
namespace {

const char* problem_text(net::CloseReason reason) {
  switch (reason) {
    case net::CloseReason::connect_refused:
      return "connection refused";
    case net::CloseReason::timed_out:
      return "no answer to the connection attempt";
    case net::CloseReason::out_of_resources:
      return "out of descriptors or buffers";
    case net::CloseReason::peer_reset:
      return "connection reset while it was being made";
    case net::CloseReason::connect_failed:
    case net::CloseReason::finished:
    case net::CloseReason::aborted:
      return "unreachable";
  }
  return "unreachable";
}

}  // namespace

struct Dialer::Answer final : ResolveWaiter {
  explicit Answer(Dialer& asking) : dialer(&asking) {}
  void on_resolved(const Resolution& resolution) override { dialer->on_resolved(resolution); }
  Dialer* dialer;
};

Dialer::Dialer(const OriginTransport& transport, Resolver& resolver,
               std::shared_ptr<const OriginGroupEntry> group, const Origin& origin,
               DialObserver& observer)
    : transport_(transport),
      resolver_(resolver),
      group_(std::move(group)),
      origin_(origin),
      observer_(observer),
      timer_([](void* self) { static_cast<Dialer*>(self)->on_timer(); }, this) {}

Dialer::~Dialer() { discard_attempts(); }

void Dialer::start(std::optional<net::Address> first) {
  first_ = first;
  const MonotonicTime now = transport_.reactor.now();
  deadline_ = now + group_->config.timeouts.connect;
  transport_.reactor.arm(timer_, deadline_);
  if (const auto literal = net::Address::parse(origin_.server.host); literal.has_value()) {
    on_resolved({.addresses = {*literal}, .failure = {}});
  } else if (const auto known = resolver_.known(origin_.server.host, now); known.has_value()) {
    on_resolved(*known);
  } else {
    answer_ = std::make_shared<Answer>(*this);
    resolver_.resolve(origin_.server.host, now, transport_.reactor, answer_);
  }
}

void Dialer::on_resolved(const Resolution& resolution) {
  answer_.reset();  // the caller holds it while it calls
  if (resolution.addresses.empty()) {
    OriginStatistics::add(origin_.statistics->resolve_failures);
    fail(OriginFailureKind::unreachable,
         std::format("the name could not be resolved ({})", resolution.failure));
    return;
  }
  addresses_ = resolution.addresses;
  if (addresses_.size() > kMaximumAddresses) addresses_.resize(kMaximumAddresses);
  if (first_.has_value()) {
    const auto found = std::ranges::find(addresses_, *first_);
    if (found != addresses_.end()) std::rotate(addresses_.begin(), found, found + 1);
  }
  try_next();
}

// Starts one more attempt; without one left to start, waits for those under way, or gives up.
void Dialer::try_next() {
  const MonotonicTime now = transport_.reactor.now();
  while (may_try_more(now)) {
    const Duration time = patience(now);
    const net::Endpoint peer{.address = addresses_[next_address_++], .port = origin_.server.port};
    OriginConnection* attempt =
        OriginConnection::open(transport_, peer, time, group_, origin_, *this);
    if (attempt == nullptr) {
      out_of_resources_ = true;
      all_refused_ = false;
      last_problem_ = problem_text(net::CloseReason::out_of_resources);
      continue;
    }
    attempts_.push_back(attempt);
    const bool more = next_address_ < addresses_.size();
    transport_.reactor.arm(timer_, more ? std::min(deadline_, now + kNextAddressAfter) : deadline_);
    return;
  }
  if (!attempts_.empty()) {
    transport_.reactor.arm(timer_, deadline_);
    return;
  }
  fail(out_of_resources_ ? OriginFailureKind::overloaded : OriginFailureKind::unreachable,
       last_problem_);
}

bool Dialer::may_try_more(MonotonicTime now) const {
  if (next_address_ >= addresses_.size() || now >= deadline_) return false;
  return origin_.server.scheme == Scheme::http || attempts_.size() < kHandshakesAtOnce;
}

// Of the attempt that begins now: all that is left, or its share when others wait for its place.
Duration Dialer::patience(MonotonicTime now) const {
  const Duration left = deadline_ - now;
  if (origin_.server.scheme == Scheme::http) return left;
  const std::size_t waiting = addresses_.size() - next_address_;
  const std::size_t rounds = (waiting + kHandshakesAtOnce - 1) / kHandshakesAtOnce;
  return left / static_cast<Duration::rep>(rounds);
}

void Dialer::on_timer() {
  if (pending_failure_.has_value()) {
    const DialFailure failure = *std::move(pending_failure_);
    observer_.on_dial_failed(*this, failure);
    return;
  }
  if (transport_.reactor.now() < deadline_) {
    try_next();
    return;
  }
  on_deadline(std::ranges::any_of(attempts_, &OriginConnection::is_handshaking));
}

void Dialer::on_deadline(bool is_handshaking) {
  const auto time =
      std::chrono::duration_cast<std::chrono::milliseconds>(group_->config.timeouts.connect);
  std::string what;
  if (answer_ != nullptr) {
    what = std::format("the name was not resolved in {}", time);
  } else if (is_handshaking) {
    OriginStatistics::add(origin_.statistics->handshakes_failed);
    what = std::format("TLS: the handshake was not finished in {}", time);
  } else {
    what = std::format("no connection in {}", time);
  }
  all_refused_ = false;
  fail(OriginFailureKind::timed_out, what);
}

// Told in a turn of its own: start() and the resolver's answer may be on the stack.
void Dialer::fail(OriginFailureKind kind, std::string_view what) {
  answer_.reset();
  discard_attempts();
  std::string message = std::format("origin {}: {}", origin_.name, what);
  if (addresses_.size() > 1) message += std::format(" ({} addresses tried)", next_address_);
  const bool is_refusal = all_refused_ && next_address_ > 0;
  pending_failure_ =
      DialFailure{.kind = kind, .message = std::move(message), .is_refusal = is_refusal};
  transport_.reactor.arm(timer_, transport_.reactor.now());
}

void Dialer::discard_attempts() {
  for (OriginConnection* attempt : std::exchange(attempts_, {})) attempt->discard();
}

void Dialer::on_opened(OriginConnection& connection) {
  std::erase(attempts_, &connection);
  discard_attempts();
  transport_.reactor.cancel(timer_);
  observer_.on_dialed(*this, connection);
}

void Dialer::on_open_failed(OriginConnection& connection, net::CloseReason reason) {
  std::erase(attempts_, &connection);
  const TlsFailure failed = connection.tls_failure();
  if (reason == net::CloseReason::timed_out && transport_.reactor.now() >= deadline_) {
    on_deadline(failed != TlsFailure::none);
    return;
  }
  const bool is_about_tls = failed != TlsFailure::none && !connection.tls_problem().empty();
  last_problem_ =
      is_about_tls ? std::format("{}: TLS: {}", connection.peer().text(), connection.tls_problem())
                   : std::format("{}: {}", connection.peer().text(), problem_text(reason));
  if (failed != TlsFailure::none) OriginStatistics::add(origin_.statistics->handshakes_failed);
  if (failed != TlsFailure::refused) all_refused_ = false;
  if (failed == TlsFailure::overloaded || reason == net::CloseReason::out_of_resources) {
    out_of_resources_ = true;
  }
  try_next();
}

}  // namespace nearfield::origin
