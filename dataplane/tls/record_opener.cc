// One record after the other: header checked as soon as it is there, body opened when it is whole,
// content handed to whom it concerns. The checks and their alerts: RFC 8446 5 and 6, RFC 5246 6.2
// and 7.2.
#include "dataplane/tls/record_opener.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "dataplane/net/byte_order.h"
#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/record_aad.h"
#include "dataplane/tls/record_sealer.h"

namespace nearfield::tls {

RecordOpener::RecordOpener(Workspace& workspace, const ConnectionSecrets& secrets, bool is_server)
    : workspace_(workspace),
      version_(secrets.version),
      aead_(secrets.aead),
      hash_(secrets.hash),
      messages_(secrets.version, is_server),
      keys_(secrets.receive) {}

RecordOpener::~RecordOpener() { forget_expanded_key(); }

RecordOpener::Step RecordOpener::feed(std::span<const std::byte> in) {
  Step step;
  std::span<const std::byte> left = in;
  while (state_ == State::open && !left.empty()) {
    const std::byte* header = left.data();
    std::span<const std::byte> body;
    std::size_t body_bytes = 0;
    const bool was_held = held_bytes_ != 0;
    if (!was_held && left.size() >= kRecordHeaderBytes) {
      if (!check_header(header, &body_bytes, &step)) break;
      if (left.size() - kRecordHeaderBytes >= body_bytes) {
        body = left.subspan(kRecordHeaderBytes, body_bytes);
        left = left.subspan(kRecordHeaderBytes + body_bytes);
      }
    }
    if (body.empty()) {
      if (!hold(&left, &step)) break;  // more is needed, or the header is refused
      header = held_header_.data();
      body = {buffer_.get(), buffer_bytes_};
    }
    const bool event = open_record(header, body, &step);
    if (held_bytes_ != 0) release_buffer();
    if (event) {
      if (state_ != State::open) left = {};  // what follows is of no interest
      step.consumed = in.size() - left.size();
      return step;
    }
  }
  step.consumed = in.size();
  if (state_ == State::failed) {
    step.event = Event::error;
    step.alert = failure_;
    step.fatal = true;
  }
  return step;
}

// Moves bytes of a cut record from the input to where they are held. True: the record is whole.
bool RecordOpener::hold(std::span<const std::byte>* left, Step* step) {
  if (held_bytes_ < kRecordHeaderBytes) {
    const std::size_t taken = std::min(left->size(), kRecordHeaderBytes - held_bytes_);
    std::ranges::copy(left->first(taken), held_header_.begin() + held_bytes_);
    held_bytes_ += taken;
    *left = left->subspan(taken);
    if (held_bytes_ < kRecordHeaderBytes) return false;
    if (!check_header(held_header_.data(), &buffer_bytes_, step)) {
      buffer_bytes_ = 0;
      return false;
    }
  }
  if (left->empty()) return false;
  const std::size_t held_body = held_bytes_ - kRecordHeaderBytes;
  if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes_);
  const std::size_t taken = std::min(left->size(), buffer_bytes_ - held_body);
  std::memcpy(buffer_.get() + held_body, left->data(), taken);
  held_bytes_ += taken;
  *left = left->subspan(taken);
  return held_bytes_ == kRecordHeaderBytes + buffer_bytes_;
}

void RecordOpener::release_buffer() {
  buffer_.reset();
  buffer_bytes_ = 0;
  held_bytes_ = 0;
}

bool RecordOpener::fail(AlertDescription alert, Step* step) {
  state_ = State::failed;
  failure_ = alert;
  step->event = Event::error;
  step->alert = alert;
  step->fatal = true;
  release_buffer();
  return true;
}

bool RecordOpener::check_header(const std::byte* header, std::size_t* body_bytes, Step* step) {
  const auto type = static_cast<ContentType>(header[0]);
  // A change_cipher_spec of TLS 1.3's compatibility mode is dropped only until the peer's Finished
  // (RFC 8446 5), and there is none in TLS 1.2 without a handshake: here no type but these is
  // expected.
  const bool expected_type = type == ContentType::application_data ||
                             (version_ == Version::tls12 &&
                              (type == ContentType::alert || type == ContentType::handshake));
  if (!expected_type) return !fail(AlertDescription::unexpected_message, step);
  if (header[1] != std::byte{3} || header[2] != std::byte{3}) {
    return !fail(AlertDescription::protocol_version, step);
  }
  *body_bytes = net::read_16(header + 3);
  // Exact, since the overhead of an AEAD is: whatever is longer than a full record must overflow
  // when it is opened, and what is shorter than an empty one has no room for its tag.
  const std::size_t header_bytes = kRecordHeaderBytes;
  if (*body_bytes > sealed_bytes(version_, aead_, kMaximumPlaintext) - header_bytes) {
    return !fail(AlertDescription::record_overflow, step);
  }
  if (*body_bytes < sealed_bytes(version_, aead_, 0) - header_bytes) {
    return !fail(AlertDescription::decode_error, step);
  }
  return true;
}

const ExpandedKey& RecordOpener::expanded_key() {
  if (workspace_.key_owner_ != this) {
    workspace_.engine_.expand(aead_, std::span(keys_.key).first(key_bytes(aead_)), workspace_.key_);
    workspace_.key_owner_ = this;
  }
  return workspace_.key_;
}

void RecordOpener::forget_expanded_key() {
  if (workspace_.key_owner_ != this) return;
  workspace_.key_owner_ = nullptr;
  wipe(workspace_.key_.bytes);
}

bool RecordOpener::open_record(const std::byte* header, std::span<const std::byte> body,
                               Step* step) {
  // RFC 8446 5.3: sequence numbers do not wrap.
  if (keys_.next_sequence == std::numeric_limits<std::uint64_t>::max()) {
    return fail(AlertDescription::unexpected_message, step);
  }
  Nonce nonce = record_nonce(version_, aead_, keys_.iv, keys_.next_sequence);
  if (const std::size_t carried = explicit_nonce_bytes(version_, aead_); carried != 0) {
    // The peer chooses it; that it is the sequence number is only our own custom (RFC 5288 3).
    std::ranges::copy(body.first(carried), nonce.end() - carried);
    body = body.subspan(carried);
  }
  const std::span<const std::byte> ciphertext = body.first(body.size() - kTagBytes);
  const RecordAad aad(version_, keys_.next_sequence, header, ciphertext.size());
  const std::span<std::byte> plaintext = workspace_.plaintext_;
  if (!workspace_.engine_.open(aead_, expanded_key(), nonce, aad.bytes(), ciphertext,
                               &body[ciphertext.size()], plaintext.data())) {
    return fail(AlertDescription::bad_record_mac, step);
  }
  ++keys_.next_sequence;

  std::size_t length = ciphertext.size();
  auto type = static_cast<ContentType>(header[0]);
  if (version_ == Version::tls13) {
    // Padding is zeros behind the type: RFC 8446 5.4.
    while (length != 0 && plaintext[length - 1] == std::byte{0}) --length;
    if (length == 0) return fail(AlertDescription::unexpected_message, step);
    type = static_cast<ContentType>(plaintext[--length]);
  }
  return dispatch(type, plaintext.first(length), step);
}

bool RecordOpener::dispatch(ContentType type, std::span<const std::byte> plaintext, Step* step) {
  // RFC 8446 5.1: nothing comes between the records of one handshake message.
  if (type != ContentType::handshake && messages_.within_message()) {
    return fail(AlertDescription::unexpected_message, step);
  }
  if (type == ContentType::application_data && !plaintext.empty()) {
    idle_records_ = 0;
    step->event = Event::application_data;
    step->data = plaintext;
    return true;
  }
  if (++idle_records_ > kMaximumIdleRecords) {
    return fail(AlertDescription::unexpected_message, step);
  }
  switch (type) {
    case ContentType::application_data:
      return false;  // empty: allowed against traffic analysis, and nobody's business
    case ContentType::alert:
      return dispatch_alert(plaintext, step);
    case ContentType::handshake:
      return dispatch_handshake(plaintext, step);
    case ContentType::change_cipher_spec:
      break;
  }
  return fail(AlertDescription::unexpected_message, step);
}

bool RecordOpener::dispatch_alert(std::span<const std::byte> plaintext, Step* step) {
  // One whole alert to a record: RFC 8446 5.1 demands it, and nobody sends TLS 1.2 otherwise.
  if (plaintext.size() != 2) return fail(AlertDescription::decode_error, step);
  const auto level = static_cast<AlertLevel>(plaintext[0]);
  const auto description = static_cast<AlertDescription>(plaintext[1]);
  const bool closing = description == AlertDescription::close_notify;
  if (version_ == Version::tls13) {
    step->fatal = !closing && description != AlertDescription::user_canceled;
  } else {
    if (level != AlertLevel::warning && level != AlertLevel::fatal) {
      return fail(AlertDescription::illegal_parameter, step);
    }
    step->fatal = level == AlertLevel::fatal && !closing;
  }
  if (closing || step->fatal) state_ = State::closed;
  closed_orderly_ = closing;
  step->event = Event::alert;
  step->alert = description;
  return true;
}

bool RecordOpener::dispatch_handshake(std::span<const std::byte> plaintext, Step* step) {
  const auto found = messages_.read_record(plaintext);
  if (!found) return fail(found.error(), step);
  if (found->renegotiation) {
    if (++renegotiations_ > kMaximumRenegotiations) {
      return fail(AlertDescription::unexpected_message, step);
    }
    step->event = Event::renegotiation;
    return true;
  }
  if (found->key_update) {
    update(keys_, aead_, hash_);
    forget_expanded_key();
    step->event = Event::key_update;
    step->update_requested = found->update_requested;
    return true;
  }
  return false;  // tickets
}

}  // namespace nearfield::tls
