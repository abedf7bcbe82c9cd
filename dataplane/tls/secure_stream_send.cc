// See secure_stream.h. This file: sending, from the application's clear text to promised records,
// and from the transport's questions to their bytes.
#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/staging.h"
#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/post_handshake.h"
#include "dataplane/tls/secure_stream_parts.h"

namespace nearfield::tls {
namespace {

// Cut into records at a time: what is promised can no longer wait for new keys (KeyUpdate), and
// less than a transport sends at once would make short records.
constexpr std::uint64_t kCommitBytes = 256 * 1024;
// A record can be read when all of it is there. The first flight of a connection, ten packets (RFC
// 6928), carries three small ones, so that a head does not wait for the acknowledgment of its body;
// afterwards records are as long as may be, because each costs its peer and us the same.
constexpr std::uint32_t kSmallRecordBytes = 4096;
constexpr std::uint32_t kSmallBurstBytes = 3 * kSmallRecordBytes;
constexpr Duration kIdleAfter = std::chrono::seconds(1);
// Records that a key keeps for messages: the last KeyUpdate, alerts.
constexpr std::uint64_t kKeptRecords = 64;

}  // namespace

void SecureStream::wake_sender() { transport_->wake_sender(); }

void SecureStream::close_after_send() {
  if (phase_ == Phase::connecting || phase_ == Phase::handshaking) return abort();
  close_wanted_ = true;
  transport_->wake_sender();
}

void SecureStream::on_send_ready(net::SendPlan& plan) {
  if (handshaking_ && !handshaking_->output.empty()) {
    const std::vector<std::byte> output = std::exchange(handshaking_->output, {});
    plan.append_text({reinterpret_cast<const char*>(output.data()), output.size()});
    if (established_) handshaking_.reset();
  }
  if (phase_ == Phase::ending && !established_) return transport_->close_after_send();
  if (phase_ == Phase::open) commit(plan);
}

void SecureStream::commit(net::SendPlan& plan) {
  for (; refusals_due_ > 0; --refusals_due_)
    commit_alert(plan, AlertLevel::warning, AlertDescription::no_renegotiation);
  if (closing_alert_due_) {
    commit_alert(plan, AlertLevel::fatal, closing_alert_);
    phase_ = Phase::ending;
    return transport_->close_after_send();
  }
  if (update_due_ && !change_keys(plan)) return;  // on_released() comes back to it
  if (!close_wanted_ && uncommitted_bytes() < kCommitBytes) handler_->on_send_ready(clear_);
  if (phase_ != Phase::open) return;
  commit_data(plan);
  if (close_wanted_ && uncommitted_bytes() == 0) {
    commit_alert(plan, AlertLevel::warning, AlertDescription::close_notify);
    phase_ = Phase::ending;
    transport_->close_after_send();
  }
}

void SecureStream::commit_data(net::SendPlan& plan) {
  std::uint64_t budget = std::min(uncommitted_bytes(), kCommitBytes);
  if (budget == 0) return;
  Established& established = *established_;
  RecordLayout& layout = sealing().layout();
  const MonotonicTime now = context_.reactor.now();
  if (now - last_sent_ > kIdleAfter) burst_bytes_ = 0;
  last_sent_ = now;
  while (budget > 0 && layout.has_room()) {
    const std::uint64_t limit = records_per_key(established.aead) - kKeptRecords;
    if (established.send.next_sequence >= limit) {
      // The key has done its part (RFC 8446 5.5).
      if (established.version == Version::tls13) {
        update_due_ = true;
        if (!change_keys(plan)) return;  // on_released() comes back to it
        continue;
      }
      // TLS 1.2 has no way to another, and an orderly end would make a cut response look whole.
      problem_ = "the keys of TLS 1.2 are used up";
      return abort();
    }
    const bool is_small = burst_bytes_ < kSmallBurstBytes;
    const std::uint32_t longest = established.maximum_record_bytes;
    const std::uint32_t record_bytes = is_small ? std::min(longest, kSmallRecordBytes) : longest;
    const std::uint64_t most =
        std::min<std::uint64_t>(is_small ? kSmallBurstBytes - burst_bytes_ : kCommitBytes,
                                (limit - established.send.next_sequence) * record_bytes);
    const std::uint64_t bytes = std::min(budget, most);
    plan.append_source(*this, layout.append(established.generation, established.send.next_sequence,
                                            bytes, record_bytes));
    established.send.next_sequence += RecordLayout::records_of(bytes, record_bytes);
    burst_bytes_ =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(burst_bytes_ + bytes, kSmallBurstBytes));
    committed_bytes_ += bytes;
    budget -= bytes;
  }
}

void SecureStream::commit_message(net::SendPlan& plan, ContentType type,
                                  std::span<const std::byte> message) {
  Established& established = *established_;
  plan.append_source(*this,
                     sealing().layout().append_message(type, established.generation,
                                                       established.send.next_sequence, message));
  ++established.send.next_sequence;
}

void SecureStream::commit_alert(net::SendPlan& plan, AlertLevel level, AlertDescription alert) {
  const std::array message{static_cast<std::byte>(level), static_cast<std::byte>(alert)};
  commit_message(plan, ContentType::alert, message);
}

// Our KeyUpdate (RFC 8446 4.6.3). What was promised before it was asked for still goes out under
// the old keys, as if it had been on the way. False while records of the keys before these are
// outstanding.
bool SecureStream::change_keys(net::SendPlan& plan) {
  Established& established = *established_;
  const RecordLayout& layout = sealing().layout();
  if (!layout.is_empty() && layout.oldest_generation() != established.generation) return false;
  commit_message(plan, ContentType::handshake, key_update_message(false));
  update(established.send, established.aead, established.hash);
  sealing_->change_keys(established.send, ++established.generation);
  update_due_ = false;
  count(context_.counters.key_updates_sent);
  return true;
}

Sealing& SecureStream::sealing() {
  if (!sealing_) {
    sealing_ = context_.lend_sealing();
    sealing_->begin(context_.engine, established_->version, established_->aead, established_->send,
                    established_->generation);
  }
  return *sealing_;
}

std::size_t SecureStream::peek(std::uint64_t offset, std::uint64_t maximum_bytes,
                               std::span<iovec> vectors, std::uint64_t* covered_bytes) {
  net::Staging* const staging = transport_->staging();
  NEARFIELD_ASSERT(staging != nullptr);
  return sealing_->peek(clear_, *staging, offset, maximum_bytes, vectors, covered_bytes);
}

void SecureStream::release(std::uint64_t bytes) {
  const std::uint64_t application_bytes = sealing_->release(bytes);
  clear_.release(application_bytes);
  committed_bytes_ -= application_bytes;
  released_bytes_ += application_bytes;
  if (sealing_->layout().is_empty()) context_.return_sealing(std::move(sealing_));
}

void SecureStream::on_released(std::uint64_t) {
  if (const std::uint64_t bytes = std::exchange(released_bytes_, 0);
      bytes > 0 && handler_ != nullptr) {
    handler_->on_released(bytes);
  }
  if (phase_ == Phase::open && (uncommitted_bytes() > 0 || update_due_)) transport_->wake_sender();
}

}  // namespace nearfield::tls
