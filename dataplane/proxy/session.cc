// See session.h.
#include "dataplane/proxy/session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cache/base/assert.h"
#include "dataplane/http/forward.h"
#include "dataplane/proxy/http2_session.h"
#include "dataplane/proxy/request_work.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

namespace {

// RFC 9113 3.4.
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace

Session::Session(WorkerContext& context, SessionOwner& owner, net::Stream& stream,
                 net::PrefixLimiter::Slot slot)
    : context_(context),
      owner_(owner),
      stream_(stream),
      slot_(std::move(slot)),
      timer_([](void* self) { static_cast<Session*>(self)->on_timer(); }, this) {
  if (const net::StreamSecurity* security = stream_.security()) {
    secure_ = true;
    agreed_http2_ = security->protocol == "h2";
    preface_bytes_ = kSettled;
  }
  wait_for(Wait::idle);
}

Session::~Session() = default;

std::size_t Session::sniff(std::span<const std::byte> bytes) {
  std::size_t matching = 0;
  while (matching < bytes.size() && preface_bytes_ < kHttp2Preface.size() &&
         static_cast<char>(bytes[matching]) == kHttp2Preface[preface_bytes_]) {
    ++matching;
    ++preface_bytes_;
  }
  if (preface_bytes_ == kHttp2Preface.size()) {
    become_http2();
    http2_->on_receive(std::as_bytes(std::span(kHttp2Preface)));
    return matching + http2_->on_receive(bytes.subspan(matching));
  }
  if (matching == bytes.size()) {
    if (wait_ == Wait::idle) wait_for(Wait::head);
    return matching;
  }
  // Not it: what was held back were these very bytes.
  const std::size_t held_back = preface_bytes_ - matching;
  preface_bytes_ = kSettled;
  if (held_back > 0) parse(std::as_bytes(std::span(kHttp2Preface.data(), held_back)));
  return on_receive(bytes);
}

void Session::become_http2() {
  context_.reactor.cancel(timer_);
  http2_ = std::make_unique<Http2Session>(context_, owner_, stream_, secure_);
  if (draining_) http2_->drain();
}

std::size_t Session::on_receive(std::span<const std::byte> bytes) {
  if (http2_) return http2_->on_receive(bytes);
  if (closing_) return bytes.size();
  // One request at a time: what follows waits until this one's response is in the plan.
  if (answering()) return 0;
  if (preface_bytes_ != kSettled) return sniff(bytes);
  if (agreed_http2_) {
    become_http2();
    return http2_->on_receive(bytes);
  }
  std::size_t consumed = 0;
  while (consumed < bytes.size() && !closing_ && !answering()) {
    const std::size_t step = parse(bytes.subspan(consumed));
    if (step == 0) break;
    consumed += step;
  }
  return closing_ ? bytes.size() : consumed;
}

std::size_t Session::parse(std::span<const std::byte> bytes) {
  take_work();
  std::size_t consumed = 0;
  for (;;) {
    const http::ParseStep step = work_->parser.feed(bytes.subspan(consumed));
    consumed += step.consumed;
    switch (step.event) {
      case http::ParseEvent::kNeedMore:
        if (!work_->parser.started()) {
          give_work();
        } else if (wait_ == Wait::idle) {
          wait_for(Wait::head);
        }
        return consumed;
      case http::ParseEvent::kHead:
        // Answered already: content that follows is dropped, and the connection ends.
        if (!head_complete()) return work_->parser.head().has_content() ? bytes.size() : consumed;
        break;
      case http::ParseEvent::kBody:
        if (!work_->content.append(step.body, context_.shared.held_request_bytes,
                                   context_.settings->limits.held_request_bytes)) {
          count(context_.counters.limit_request_bodies);
          refuse(503, "this node holds as much content of requests as it may");
          return bytes.size();
        }
        break;
      case http::ParseEvent::kComplete:
        request_complete();
        return consumed;
      case http::ParseEvent::kError: {
        const http::RequestError& error = work_->parser.error();
        count(error.status == 413 ? context_.counters.limit_request_body
                                  : context_.counters.requests_malformed);
        if (work_->parser.is_foreign() && requests_ == 0) {
          // A status means nothing to it. This is a wrong preface of HTTP/2 too, which may end the
          // connection without a word (RFC 9113 3.4).
          close();
          return bytes.size();
        }
        refuse(error.status, error.reason);
        return bytes.size();
      }
      case http::ParseEvent::kInterim:
        NEARFIELD_ASSERT(false);  // responses only
    }
  }
}

// False: the exchange has an answer already.
bool Session::head_complete() {
  ++requests_;
  http::RequestHead& head = work_->parser.head();
  // What Connection lists is for this hop only: neither the origin nor the choice of a variant may
  // see it.
  http::remove_hop_by_hop(head.fields);
  if (!work_->exchange.open(head, closes_next())) {
    wait_for(Wait::response);
    return false;
  }
  if (!head.has_content()) return true;
  wait_for(Wait::body);
  if (head.expect_continue) {
    continue_owed_ = true;
    stream_.wake_sender();
  }
  return true;
}

void Session::request_complete() {
  continue_owed_ = false;  // the body came without waiting for it
  wait_for(Wait::response);
  work_->exchange.proceed(std::move(work_->content), closes_next());
}

bool Session::closes_next() const {
  const std::uint32_t most = context_.settings->limits.requests_per_connection;
  return draining_ || peer_ended_ || (most != 0 && requests_ >= most);
}

// The connection ends with this answer; nothing after the request is looked at.
void Session::refuse(std::uint16_t status, std::string_view reason) {
  take_work();
  if (answering()) return;
  work_->content.clear();
  continue_owed_ = false;
  wait_for(Wait::response);
  if (work_->exchange.awaits_content()) {
    work_->exchange.refuse_content(status, reason);
    return;
  }
  const bool has_head = work_->parser.head_complete();
  work_->exchange.start_error(has_head ? &work_->parser.head() : nullptr, status, reason);
}

void Session::on_receive_end() {
  if (http2_) return http2_->on_receive_end();
  peer_ended_ = true;
  // A listener may end its side and still read the response; one that ends in the middle of a
  // request, or between requests, is gone.
  if (!answering()) close();
}

void Session::on_send_ready(net::SendPlan& plan) {
  if (http2_) return http2_->on_send_ready(plan);
  const std::uint64_t before = plan.size_bytes();
  if (std::exchange(continue_owed_, false)) plan.append_text("HTTP/1.1 100 Continue\r\n\r\n");
  if (answering()) {
    work_->exchange.released(outstanding_bytes_);
    const Exchange::Progress progress = work_->exchange.produce(plan);
    const std::uint64_t added = plan.size_bytes() - before;
    if (added > 0) stalled_checks_ = 0;
    outstanding_bytes_ += added;
    switch (progress) {
      case Exchange::Progress::waiting:
        if (!work_->exchange.waiting_for_head() && outstanding_bytes_ > 0 &&
            wait_ != Wait::sending) {
          wait_for(Wait::sending);
        }
        return;
      case Exchange::Progress::plan_full:
        if (wait_ != Wait::sending) wait_for(Wait::sending);
        return;
      case Exchange::Progress::finished:
        exchange_done(false);
        return;
      case Exchange::Progress::broken:
        exchange_done(true);
        stream_.abort();
        return;
    }
  }
  outstanding_bytes_ += plan.size_bytes() - before;
}

void Session::exchange_done(bool cut_short) {
  const bool closes = work_->exchange.closes() || draining_ || peer_ended_;
  end_exchange(cut_short);
  work_->parser.reset();
  if (closes) {
    close();
    return;
  }
  give_work();
  wait_for(outstanding_bytes_ > 0 ? Wait::sending : Wait::idle);
  stream_.resume_receive();
}

void Session::on_released(std::uint64_t bytes) {
  if (http2_) return http2_->on_released(bytes);
  outstanding_bytes_ -= std::min(bytes, outstanding_bytes_);
  count(context_.counters.sent_bytes, bytes);
  if (outstanding_bytes_ == 0) unreleased_.clear();
  if (answering()) work_->exchange.released(outstanding_bytes_);
  if (outstanding_bytes_ == 0 && wait_ == Wait::sending && !closing_) {
    if (!work_ && draining_)
      close();
    else if (!work_)
      wait_for(Wait::idle);
    else if (!work_->exchange.running())
      wait_for(Wait::head);
  }
}

void Session::on_closed(net::CloseReason reason) {
  (void)reason;
  if (http2_) http2_->on_closed();
  if (work_ && work_->exchange.running()) work_->exchange.end(true);
  work_.reset();
  context_.reactor.cancel(timer_);
  owner_.session_ended(*this);
}

void Session::drain() {
  draining_ = true;
  if (http2_) return http2_->drain();
  if (!work_ && outstanding_bytes_ == 0) close();
}

void Session::close() {
  if (std::exchange(closing_, true)) return;
  if (work_ && work_->exchange.running()) work_->exchange.end(true);
  work_.reset();
  wait_for(Wait::closing);
  stream_.close_after_send();
}

bool Session::answering() const {
  return work_ && work_->exchange.running() && !work_->exchange.awaits_content();
}

void Session::end_exchange(bool cut_short) {
  if (outstanding_bytes_ > 0) work_->exchange.take_readers(unreleased_);
  work_->exchange.end(cut_short);
}

void Session::take_work() {
  if (work_) return;
  work_ = owner_.lend_work();
  work_->exchange.bind(this);
  work_->parser.set_scheme(secure_ ? http::Scheme::kHttps : http::Scheme::kHttp);
}

void Session::give_work() {
  if (!work_) return;
  if (work_->exchange.running()) end_exchange(true);
  owner_.return_work(std::move(work_));
}

void Session::wait_for(Wait wait) {
  const Limits& limits = context_.settings->limits;
  wait_ = wait;
  Duration patience{};
  switch (wait) {
    case Wait::idle:
      patience = limits.idle_timeout;
      break;
    case Wait::head:
      patience = limits.header_timeout;
      break;
    case Wait::body:
      patience = limits.body_timeout;
      break;
    case Wait::response:
      patience = limits.response_timeout;
      break;
    case Wait::sending:
    case Wait::closing:
      patience = limits.send_timeout;
      pace_.restart();
      break;
  }
  deadline_ = context_.reactor.now() + patience;
  // A timer that fires too early looks at deadline_ and waits on; so most turns need not touch the
  // wheel.
  if (!timer_.armed() || timer_.deadline() > deadline_) context_.reactor.arm(timer_, deadline_);
}

void Session::on_timer() {
  if (context_.reactor.now() < deadline_) {
    context_.reactor.arm(timer_, deadline_);
    return;
  }
  Counters& counters = context_.counters;
  switch (wait_) {
    case Wait::idle:
      count(counters.timeout_idle);
      close();
      return;
    case Wait::head:
      count(counters.timeout_header);
      refuse(408, "the request head took too long");
      return;
    case Wait::body:
      count(counters.timeout_body);
      refuse(408, "the request body took too long");
      return;
    case Wait::response:
      if (answering() && work_->exchange.waiting_for_head()) {
        work_->exchange.give_up_waiting();
        wait_for(Wait::sending);
        return;
      }
      wait_for(Wait::sending);
      return;
    case Wait::sending:
    case Wait::closing:
      // With nothing owed and a request under way the origin is what is slow, and its own time-outs
      // watch it. With nothing owed and no request either, only our end is not acknowledged.
      if ((outstanding_bytes_ > 0 || !answering()) &&
          pace_.too_slow(stream_, context_.settings->limits, outstanding_bytes_)) {
        count(counters.timeout_send);
        stream_.abort();
        return;
      }
      // Every wait ends: an origin's own time-outs come first, this is for what they do not see.
      if (outstanding_bytes_ == 0 && answering() && ++stalled_checks_ > kStalledChecks) {
        count(counters.timeout_response);
        stream_.abort();
        return;
      }
      deadline_ = context_.reactor.now() + context_.settings->limits.send_timeout;
      context_.reactor.arm(timer_, deadline_);
      return;
  }
}

}  // namespace nearfield::proxy
