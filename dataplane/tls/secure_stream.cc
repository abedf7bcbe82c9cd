// See secure_stream.h. This file: the handshake, receiving, and the end. Sending is in
// secure_stream_send.cc.
#include "dataplane/tls/secure_stream.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/tls/secure_stream_parts.h"

namespace nearfield::tls {
namespace {

// A connection whose handshake failed, while its alert is on the way.
constexpr Duration kAlertPatience = std::chrono::seconds(5);

// What is kept of what a peer sends while a helper works on what it sent before: a request or two
// behind its Finished, early data that nobody asked for.
constexpr std::size_t kMaximumPendingBytes = 32 * 1024;

// What a browser sees that speaks HTTP to a port of HTTPS.
constexpr std::string_view kClearTextAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 37\r\nConnection: close\r\n\r\nThis port takes HTTPS requests only.\n";

bool looks_like_http(std::byte first) {
  const auto letter = static_cast<char>(first);
  return letter >= 'A' && letter <= 'Z';
}

}  // namespace

SecureStream::SecureStream(SecureContext& context, SecureOwner& owner, net::Stream& transport,
                           std::shared_ptr<const ServerSettings> settings, Duration hello_timeout,
                           Duration timeout)
    : context_(context),
      owner_(owner),
      transport_(&transport),
      handshaking_(std::make_unique<Handshaking>(Handshake::server(std::move(settings)))),
      timer_([](void* self) { static_cast<SecureStream*>(self)->on_timer(); }, this),
      handshake_deadline_(context.reactor.now() + timeout),
      phase_(Phase::handshaking),
      is_client_(false) {
  context_.reactor.arm(timer_, context_.reactor.now() + std::min(hello_timeout, timeout));
}

SecureStream::SecureStream(SecureContext& context, SecureOwner& owner,
                           std::shared_ptr<const ClientSettings> settings,
                           std::string_view server_name, net::StreamHandler& handler,
                           Duration timeout)
    : context_(context),
      owner_(owner),
      handler_(&handler),
      handshaking_(
          std::make_unique<Handshaking>(Handshake::client(std::move(settings), server_name))),
      timer_([](void* self) { static_cast<SecureStream*>(self)->on_timer(); }, this),
      phase_(Phase::connecting),
      is_client_(true) {
  context_.reactor.arm(timer_, context_.reactor.now() + timeout);
}

SecureStream::~SecureStream() {
  NEARFIELD_ASSERT(sealing_ == nullptr);
  context_.reactor.cancel(timer_);
}

const net::StreamSecurity* SecureStream::security() const {
  return established_ ? &established_->security : nullptr;
}

std::size_t SecureStream::memory_bytes() const {
  std::size_t bytes = 0;
  if (established_) bytes += sizeof(Established) + established_->opener.buffer_bytes();
  if (sealing_) bytes += sizeof(Sealing);
  if (held_) bytes += sizeof(Held) + held_->clear.capacity() + held_->sealed.capacity();
  return bytes;
}

// --- handshake ---

void SecureStream::on_connected() {
  NEARFIELD_ASSERT(phase_ == Phase::connecting);
  phase_ = Phase::handshaking;
  submit_step();
}

void SecureStream::submit_step() {
  Handshaking& parts = *handshaking_;
  NEARFIELD_ASSERT(parts.job != nullptr);
  HandshakeJob& job = *parts.job;
  if (job.handshake->refused()) {
    // Junk takes no place among those who wait for a helper.
    job.result = job.handshake->step(context_.reactor.wall_now());
    return on_stepped();
  }
  job.client = transport_->peer().address;
  job.now = context_.reactor.wall_now();
  job.owner = this;
  job.mailbox = context_.mailbox();
  if (!is_client_ && !std::exchange(parts.is_submitted_once, true)) {
    context_.reactor.arm(timer_, handshake_deadline_);
    owner_.on_hello(*this);
  }
  switch (context_.pool.submit(parts.job)) {
    case HandshakePool::Submitted::yes:
      parts.submitted = &job;
      return;
    case HandshakePool::Submitted::prefix_full:
    case HandshakePool::Submitted::full:
      if (!is_client_) count(context_.counters.handshakes_refused_queue);
      break;
    case HandshakePool::Submitted::stopped:
      break;
  }
  failure_ = HandshakeFailure::internal;
  problem_ = "too many TLS handshakes wait for the helpers";
  abort();
}

void SecureStream::on_step(std::unique_ptr<HandshakeJob> job) {
  NEARFIELD_ASSERT(handshaking_ && handshaking_->submitted == job.get());
  Handshaking& parts = *handshaking_;
  parts.submitted = nullptr;
  parts.job = std::move(job);
  if (phase_ == Phase::handshaking) on_stepped();  // else its end is on the way
}

void SecureStream::on_stepped() {
  Handshaking& parts = *handshaking_;
  Handshake& handshake = parts.handshake();
  const std::vector<std::byte> output = handshake.take_output();
  parts.output.insert(parts.output.end(), output.begin(), output.end());
  switch (parts.job->result) {
    case Handshake::Step::failed:
      fail_handshake(handshake.failure(), handshake.message());
      return;
    case Handshake::Step::finished:
      on_finished();
      return;
    case Handshake::Step::need_more:
      break;
  }
  transport_->wake_sender();
  if (std::exchange(parts.is_paused, false)) transport_->resume_receive();
  bool is_ready = handshake.ready();
  if (!parts.pending.empty()) is_ready = handshake.feed(std::exchange(parts.pending, {}));
  if (is_ready) {
    submit_step();
  } else if (receive_end_due_) {
    fail_handshake(HandshakeFailure::ended, "the peer ended the connection within the handshake");
  }
}

void SecureStream::on_finished() {
  Handshaking& parts = *handshaking_;
  Handshake& handshake = parts.handshake();
  const ConnectionSecrets secrets = handshake.take_secrets();
  established_ =
      std::make_unique<Established>(context_.opening, secrets, !is_client_,
                                    handshake.maximum_fragment_bytes(), handshake.security());
  std::vector<std::byte> leftover = handshake.take_leftover();
  leftover.insert(leftover.end(), parts.pending.begin(), parts.pending.end());
  if (parts.is_paused) transport_->resume_receive();
  if (parts.output.empty()) {
    handshaking_.reset();
  } else {
    parts.job.reset();
    parts.pending = {};
  }
  context_.reactor.cancel(timer_);
  phase_ = Phase::open;
  net::StreamHandler* const handler = owner_.on_secured(*this);
  if (handler == nullptr) return abort();
  handler_ = handler;
  transport_->wake_sender();
  if (is_client_) handler_->on_connected();
  if (!leftover.empty()) {
    const std::size_t opened = open_records(leftover);
    if (opened < leftover.size()) {
      NEARFIELD_ASSERT(held_);
      held_->sealed.assign(leftover.begin() + static_cast<std::ptrdiff_t>(opened), leftover.end());
    }
  }
  if (receive_end_due_) on_receive_end();
}

// Once. Who found no place with the helpers, or made place for others, is counted as that.
void SecureStream::set_failure(HandshakeFailure failure) {
  failure_ = failure;
  context_.pool.note_failure(failure);
}

void SecureStream::fail_handshake(HandshakeFailure failure, std::string message) {
  set_failure(failure);
  problem_ = std::move(message);
  reason_ = net::CloseReason::connect_failed;
  reason_known_ = true;
  if (handshaking_->output.empty()) return abort();
  // Its alert first.
  phase_ = Phase::ending;
  context_.reactor.arm(timer_, context_.reactor.now() + kAlertPatience);
  transport_->wake_sender();
}

void SecureStream::on_timer() {
  switch (phase_) {
    case Phase::connecting:
      reason_ = net::CloseReason::timed_out;
      reason_known_ = true;
      return abort();
    case Phase::handshaking:
      if (!is_client_) count(context_.counters.handshakes_expired);
      set_failure(HandshakeFailure::ended);
      problem_ = "the TLS handshake took too long";
      reason_ = net::CloseReason::timed_out;
      reason_known_ = true;
      return abort();
    case Phase::open:
      return deliver_held();
    case Phase::ending:
      if (!established_) abort();
      return;
    case Phase::closed:
      return;
  }
}

// --- receiving ---

std::size_t SecureStream::on_receive(std::span<const std::byte> bytes) {
  if (phase_ == Phase::ending || phase_ == Phase::closed) return bytes.size();
  if (phase_ == Phase::open) return held_ && !closing_alert_due_ ? 0 : open_records(bytes);
  Handshaking& parts = *handshaking_;
  if (!std::exchange(parts.is_begun, true) && !is_client_ && looks_like_http(bytes.front())) {
    const auto answer = std::as_bytes(std::span(kClearTextAnswer));
    parts.output.assign(answer.begin(), answer.end());
    fail_handshake(HandshakeFailure::not_tls, "the peer speaks HTTP without TLS");
    return bytes.size();
  }
  if (parts.job != nullptr) {
    if (parts.handshake().feed(bytes)) submit_step();
  } else {
    // What the peer says while a helper works is kept, up to a bound; the rest waits in the
    // network.
    const std::size_t room = kMaximumPendingBytes - parts.pending.size();
    const auto taken = bytes.first(std::min(room, bytes.size()));
    parts.pending.insert(parts.pending.end(), taken.begin(), taken.end());
    parts.is_paused = taken.size() < bytes.size();
    return taken.size();
  }
  return bytes.size();
}

std::size_t SecureStream::open_records(std::span<const std::byte> bytes) {
  using Event = RecordOpener::Event;
  std::size_t consumed = 0;
  while (phase_ == Phase::open && !closing_alert_due_) {
    const RecordOpener::Step step = established_->opener.feed(bytes.subspan(consumed));
    consumed += step.consumed;
    switch (step.event) {
      case Event::need_more:
        return consumed;
      case Event::application_data:
        if (!deliver(step.data)) return consumed;
        break;
      case Event::alert:
        if (step.alert == AlertDescription::close_notify) {
          end_receiving();
          break;
        }
        if (!step.fatal) break;
        count(context_.counters.alerts_received);
        problem_ = "the peer ended the connection with the alert " + std::string(name(step.alert));
        reason_ = net::CloseReason::peer_reset;
        reason_known_ = true;
        abort();
        break;
      case Event::key_update:
        count(context_.counters.key_updates_received);
        if (!step.update_requested) break;
        update_due_ = true;
        transport_->wake_sender();
        break;
      case Event::renegotiation:
        ++refusals_due_;
        transport_->wake_sender();
        break;
      case Event::error:
        refuse(step.alert);
        break;
    }
  }
  return bytes.size();
}

// The peer broke the protocol: it is told why, and nothing else is sent or read.
void SecureStream::refuse(AlertDescription alert) {
  count(context_.counters.records_refused);
  problem_ = "the peer broke the protocol: " + std::string(name(alert));
  reason_ = net::CloseReason::peer_reset;
  reason_known_ = true;
  closing_alert_ = alert;
  closing_alert_due_ = true;
  transport_->wake_sender();
}

bool SecureStream::deliver(std::span<const std::byte> data) {
  if (closing_alert_due_) return true;  // dropped
  resume_wanted_ = false;
  const std::size_t taken = handler_->on_receive(data);
  NEARFIELD_ASSERT(taken <= data.size());
  if (taken == data.size() || phase_ != Phase::open) return true;
  const std::span<const std::byte> rest = data.subspan(taken);
  held_ = std::make_unique<Held>();
  held_->clear.assign(rest.begin(), rest.end());
  if (resume_wanted_) context_.reactor.arm(timer_, context_.reactor.now());
  return false;
}

void SecureStream::deliver_held() {
  if (!held_) return;
  const std::unique_ptr<Held> held = std::move(held_);
  if (!deliver(held->clear)) {
    held_->sealed = std::move(held->sealed);
    return;
  }
  const std::size_t opened = open_records(held->sealed);
  if (held_) {
    held_->sealed.assign(held->sealed.begin() + static_cast<std::ptrdiff_t>(opened),
                         held->sealed.end());
    return;
  }
  if (phase_ != Phase::open) return;
  if (receive_end_due_) on_receive_end();
  transport_->resume_receive();
}

void SecureStream::end_receiving() {
  if (std::exchange(receive_ended_, true)) return;
  if (is_truncated_ && is_client_) {
    // Whether a response from an origin is whole cannot be told from such an end.
    problem_ = "the peer ended the connection without close_notify";
    reason_ = net::CloseReason::peer_reset;
    reason_known_ = true;
    return abort();
  }
  handler_->on_receive_end();
}

void SecureStream::on_receive_end() {
  switch (phase_) {
    case Phase::connecting:
    case Phase::handshaking:
      receive_end_due_ = true;
      if (handshaking_->submitted == nullptr) {
        fail_handshake(HandshakeFailure::ended,
                       "the peer ended the connection within the handshake");
      }
      return;
    case Phase::open:
      if (held_) {
        // What it says last may be among it.
        receive_end_due_ = true;
        return;
      }
      if (!established_->opener.closed()) {
        count(context_.counters.truncated);
        is_truncated_ = true;
      }
      return end_receiving();
    case Phase::ending:
    case Phase::closed:
      return;
  }
}

void SecureStream::resume_receive() {
  resume_wanted_ = true;
  if (held_) context_.reactor.arm(timer_, context_.reactor.now());
}

// --- the end ---

void SecureStream::abort() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::ending;
  transport_->abort();
}

void SecureStream::on_closed(net::CloseReason reason) {
  context_.reactor.cancel(timer_);
  if (handshaking_ && handshaking_->submitted != nullptr) {
    context_.pool.cancel(std::exchange(handshaking_->submitted, nullptr));
  }
  if (phase_ == Phase::handshaking) set_failure(HandshakeFailure::ended);  // by the peer
  phase_ = Phase::closed;
  clear_.clear();
  committed_bytes_ = 0;
  if (sealing_) context_.return_sealing(std::move(sealing_));
  if (reason_known_) reason = reason_;
  if (!established_) owner_.on_handshake_failed(*this);
  if (handler_ != nullptr) handler_->on_closed(reason);
  owner_.on_secure_ended(*this);
}

}  // namespace nearfield::tls
