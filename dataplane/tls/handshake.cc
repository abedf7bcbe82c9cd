#include "dataplane/tls/handshake.h"

#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509.h>

#include <algorithm>
#include <format>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/tls/handshake_parts.h"
#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/suites.h"
#include "dataplane/tls/verification.h"

namespace nearfield::tls {
namespace {

constexpr auto kAlertRecord = static_cast<std::byte>(ContentType::alert);
constexpr auto kDataRecord = static_cast<std::byte>(ContentType::application_data);
constexpr std::uint32_t kNoVerification = 0xffffffff;                     // the library's
constexpr std::size_t kMaximumCiphertextBytes = kMaximumPlaintext + 256;  // RFC 8446 5.2

std::size_t record_bytes(std::span<const std::byte> header) {
  return kRecordHeaderBytes +
         (std::to_integer<std::size_t>(header[3]) << 8 | std::to_integer<std::size_t>(header[4]));
}

// Of any type, in any version since SSL 3.0.
bool is_record_header(std::span<const std::byte> header) {
  return header[0] >= std::byte{20} && header[0] <= std::byte{23} && header[1] == std::byte{3};
}

// The description of a fatal alert that came without encryption; -1: the record is none.
int plain_alert(std::span<const std::byte> record) {
  if (record.size() < 7 || record[0] != kAlertRecord || record_bytes(record) != 7) return -1;
  return std::to_integer<int>(record[6]);
}

// The library writes whole records and is never told to wait: the output has a bound of its own.
int library_send(void* context, const unsigned char* bytes, std::size_t count) {
  auto& parts = *static_cast<Handshake::Parts*>(context);
  if (parts.total_output + count > Handshake::kMaximumOutputBytes) {
    parts.is_output_full = true;
    return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
  }
  const std::span<const std::byte> sent = as_bytes(bytes, count);
  parts.output.insert(parts.output.end(), sent.begin(), sent.end());
  parts.total_output += count;
  parts.watch.see(sent);
  return static_cast<int>(count);
}

// Goes to the next record that is for the library: 0, or why there is none.
int begin_record(Handshake::Parts& parts) {
  for (;;) {
    const std::span<const std::byte> rest = std::span(parts.input).subspan(parts.read);
    if (rest.size() < kRecordHeaderBytes) return MBEDTLS_ERR_SSL_WANT_READ;
    const std::size_t whole = record_bytes(rest);
    // An impossible length goes through, for the library to refuse.
    const bool possible = parts.may_be_record(rest);
    if (possible && rest.size() < whole) return MBEDTLS_ERR_SSL_WANT_READ;
    const auto verdict =
        possible ? parts.early_data.judge(rest.first(whole)) : EarlyDataFilter::Verdict::pass;
    if (verdict == EarlyDataFilter::Verdict::too_much) return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
    if (verdict == EarlyDataFilter::Verdict::pass) {
      parts.is_not_tls = !parts.is_server() && !parts.has_record && !is_record_header(rest);
      parts.has_record = true;
      parts.record_left = whole;
      parts.plain_alert = plain_alert(rest);
      return 0;
    }
    parts.read += whole;
  }
}

// The library gets whole records only: what it has not begun to read is left over, byte for byte.
int library_receive(void* context, unsigned char* bytes, std::size_t count) {
  auto& parts = *static_cast<Handshake::Parts*>(context);
  if (parts.record_left == 0)
    if (const int code = begin_record(parts); code != 0) return code;
  const std::span<const std::byte> rest = std::span(parts.input).subspan(parts.read);
  const std::size_t given = std::min({count, parts.record_left, rest.size()});
  if (given == 0) return MBEDTLS_ERR_SSL_WANT_READ;
  parts.watch.input_taken();
  std::ranges::copy(rest.first(given), reinterpret_cast<std::byte*>(bytes));
  parts.read += given;
  parts.record_left -= given;
  return static_cast<int>(given);
}

void keep(std::span<std::byte> place, const unsigned char* secret, std::size_t count) {
  std::ranges::copy(as_bytes(secret, std::min(count, place.size())), place.begin());
}

void library_export(void* context, mbedtls_ssl_key_export_type type, const unsigned char* secret,
                    std::size_t count, const unsigned char client_random[32],
                    const unsigned char server_random[32], mbedtls_tls_prf_types) {
  auto& parts = *static_cast<Handshake::Parts*>(context);
  switch (type) {
    case MBEDTLS_SSL_KEY_EXPORT_TLS12_MASTER_SECRET:
      keep(parts.exported.client, secret, count);
      keep(parts.exported.client_random, client_random, 32);
      keep(parts.exported.server_random, server_random, 32);
      parts.exported.complete = true;
      if (parts.is_server()) parts.settle_resumption();
      break;
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_HANDSHAKE_TRAFFIC_SECRET:
      parts.tell_early_data(as_bytes(secret, count));
      break;
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_HANDSHAKE_TRAFFIC_SECRET:
      if (parts.is_server()) parts.settle_resumption();
      break;
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET:
      keep(parts.exported.client, secret, count);
      break;
    case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET:
      keep(parts.exported.server, secret, count);
      parts.exported.complete = true;
      break;
    default:
      break;
  }
}

HandshakeFailure failure_of(int code) {
  switch (code) {
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
      return HandshakeFailure::version;
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
      return HandshakeFailure::no_common_choice;
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
      return HandshakeFailure::no_common_protocol;
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
      return HandshakeFailure::peer_certificate;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
      return HandshakeFailure::peer_alert;
    case MBEDTLS_ERR_SSL_CONN_EOF:
      return HandshakeFailure::ended;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL:  // what we have to say is too long
    case MBEDTLS_ERR_SSL_INTERNAL_ERROR:
      return HandshakeFailure::internal;
    default:
      return HandshakeFailure::malformed;
  }
}

// The library says SSL 3.0's word where TLS 1.3 has one of its own (RFC 8446 6.2).
AlertDescription alert_of(int number) {
  return number == MBEDTLS_SSL_ALERT_MSG_NO_CERT ? AlertDescription::certificate_required
                                                 : static_cast<AlertDescription>(number);
}

// For errors the library ends on without an alert.
AlertDescription alert_for(int code, HandshakeFailure failure) {
  if (code == MBEDTLS_ERR_SSL_INVALID_MAC) return AlertDescription::bad_record_mac;
  switch (failure) {
    case HandshakeFailure::version:
      return AlertDescription::protocol_version;
    case HandshakeFailure::peer_certificate:
      return AlertDescription::bad_certificate;
    case HandshakeFailure::internal:
      return AlertDescription::internal_error;
    case HandshakeFailure::malformed:
      return AlertDescription::decode_error;
    default:
      return AlertDescription::handshake_failure;
  }
}

}  // namespace

std::string_view text(HandshakeFailure failure) {
  constexpr std::array<std::string_view, kHandshakeFailures> kTexts = {"none",
                                                                       "not_tls",
                                                                       "version",
                                                                       "no_common_choice",
                                                                       "no_common_protocol",
                                                                       "peer_certificate",
                                                                       "peer_alert",
                                                                       "malformed",
                                                                       "too_large",
                                                                       "ended",
                                                                       "internal"};
  return kTexts[static_cast<std::size_t>(failure)];
}

void OutputWatch::see(std::span<const std::byte> bytes) {
  for (; !bytes.empty();) {
    if (head_bytes_ < kRecordHeaderBytes) {
      if (head_bytes_ == 0) alert_ = -1;
      head_[head_bytes_++] = bytes.front();
      bytes = bytes.subspan(1);
      if (head_bytes_ == kRecordHeaderBytes) left_ = record_bytes(head_) - kRecordHeaderBytes;
    } else {
      const std::size_t count = std::min(left_, bytes.size());
      const std::size_t kept = std::min(count, head_.size() - head_bytes_);
      std::ranges::copy(bytes.first(kept),
                        head_.begin() + static_cast<std::ptrdiff_t>(head_bytes_));
      head_bytes_ += kept;
      left_ -= count;
      bytes = bytes.subspan(count);
    }
    if (head_bytes_ >= kRecordHeaderBytes && left_ == 0) end_record();
  }
}

void OutputWatch::end_record() {
  // With its type, and the tag: the library fills inner plaintexts up to a multiple of 16.
  constexpr std::size_t kHiddenAlertBytes = 16 + 16;
  const std::size_t content = record_bytes(head_) - kRecordHeaderBytes;
  if (head_[0] == kDataRecord) ++since_input_;
  if (head_[0] == kAlertRecord && content == 2) alert_ = std::to_integer<int>(head_[6]);
  // TLS 1.2's encrypted alert is longer than two bytes. Of TLS 1.3's handshake records only
  // EncryptedExtensions may be that short, and others follow it.
  if ((head_[0] == kAlertRecord && content > 2) ||
      (head_[0] == kDataRecord && content == kHiddenAlertBytes))
    alert_ = kHidden;
  alert_bytes_ = record_bytes(head_);
  head_bytes_ = 0;
}

Handshake::Parts*& current_handshake() {
  thread_local Handshake::Parts* current = nullptr;
  return current;
}

Handshake::Parts::Parts() { mbedtls_ssl_init(&ssl); }

Handshake::Parts::~Parts() {
  mbedtls_ssl_free(&ssl);  // wipes its own
  wipe(exported.client);
  wipe(exported.server);
  drop_accepted();
}

void Handshake::Parts::drop_accepted() {
  for (std::optional<Accepted>* ticket : {&candidate, &accepted}) {
    if (ticket->has_value()) wipe((*ticket)->key);
    ticket->reset();
  }
}

Handshake::Step Handshake::Parts::fail(HandshakeFailure why,
                                       std::optional<AlertDescription> with_alert,
                                       std::string text) {
  state = State::failed;
  failure = why;
  message = std::move(text);
  alert = -1;
  if (!with_alert) return Step::failed;
  const auto number = static_cast<unsigned char>(*with_alert);
  if (is_behind_finished()) {
    send_application_alert(*with_alert);
    alert = number;
  } else if (started) {
    // Under whatever keys the handshake has come to.
    if (mbedtls_ssl_send_alert_message(&ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, number) == 0)
      alert = number;
  } else {
    const std::array<std::byte, 7> record = {std::byte{21},    std::byte{3}, std::byte{3},
                                             std::byte{0},     std::byte{2}, std::byte{2},
                                             std::byte{number}};
    output.insert(output.end(), record.begin(), record.end());
    alert = number;
  }
  return Step::failed;
}

Handshake::Step Handshake::Parts::fail(int code) {
  // What the library has just said itself; 0: nothing.
  const int said = ssl.MBEDTLS_PRIVATE(alert_reason) == 0 ? 0 : ssl.MBEDTLS_PRIVATE(alert_type);
  // A client that gives up between ServerHello and its first encrypted record may not have keys to
  // encrypt its alert with, which the library takes for a forged record.
  if ((code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE && said == 0) || plain_alert >= 0) {
    // An encrypted alert is still in the library's buffer: level and description.
    const int description = plain_alert >= 0 ? plain_alert : ssl.MBEDTLS_PRIVATE(in_msg)[1];
    return fail(HandshakeFailure::peer_alert, std::nullopt,
                std::format("the peer ended the handshake: {}",
                            name(static_cast<AlertDescription>(description))));
  }
  if (code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
    return fail(HandshakeFailure::peer_alert, std::nullopt, "the peer closed during the handshake");
  if (is_not_tls)
    return fail(HandshakeFailure::not_tls, std::nullopt,
                "the server does not speak TLS on this port: use the port where it does, or http "
                "in its url");
  std::string text = library_error(code);
  // A certificate made for other uses is one that cannot be processed, to the library.
  const std::uint32_t flags = mbedtls_ssl_get_verify_result(&ssl);
  if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ||
      (code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE && flags != 0 && flags != kNoVerification))
    text = std::format("the certificate of the peer is not trusted: {}",
                       verification_text(flags, server_name, peer_names));
  const bool is_missing = said == MBEDTLS_SSL_ALERT_MSG_NO_CERT;
  if (is_missing) text = "the peer sent no certificate";
  const HandshakeFailure why = is_output_full ? HandshakeFailure::too_large
                               : is_missing   ? HandshakeFailure::peer_certificate
                                              : failure_of(code);
  const int sent = watch.alert();
  if (sent == OutputWatch::kHidden && is_behind_finished()) {
    NEARFIELD_ASSERT(output.size() >= watch.alert_bytes());
    output.resize(output.size() - watch.alert_bytes());
    return fail(why, said != 0 ? alert_of(said) : alert_for(code, why), std::move(text));
  }
  if (sent < 0 && why != HandshakeFailure::too_large)
    return fail(why, alert_for(code, why), std::move(text));
  fail(why, std::nullopt, std::move(text));
  if (sent != OutputWatch::kHidden) alert = sent;
  return Step::failed;
}

Handshake::Step Handshake::Parts::set_up(const mbedtls_ssl_config* config) {
  const int code = mbedtls_ssl_setup(&ssl, config);
  if (code != 0)
    return fail(HandshakeFailure::internal, AlertDescription::internal_error, library_error(code));
  mbedtls_ssl_set_user_data_p(&ssl, this);
  mbedtls_ssl_set_bio(&ssl, this, library_send, library_receive, nullptr);
  mbedtls_ssl_set_export_keys_cb(&ssl, library_export, this);
  started = true;
  return Step::need_more;
}

// In pieces: the headers of very short records are most of what such a hello is, and go at once.
void Handshake::Parts::read_hello(std::span<const std::byte> bytes) {
  constexpr std::size_t kPieceBytes = 2048;  // a hello has 200 to 1,800 bytes, mostly
  while (!bytes.empty()) {
    const bool reading = hello.state() == ClientHelloReader::State::need_more;
    const std::size_t count = reading ? std::min(kPieceBytes, bytes.size()) : bytes.size();
    input.insert(input.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (!reading || hello.read(input) != ClientHelloReader::State::need_more) continue;
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(hello.consumed()));
    hello.forget_consumed();
  }
}

bool Handshake::Parts::may_be_record(std::span<const std::byte> header) const {
  if (record_bytes(header) > kRecordHeaderBytes + kMaximumCiphertextBytes) return false;
  // A client's first bytes were looked at with its hello. Of a server that speaks clear text, the
  // end would be waited for that its letters mean as a length.
  return is_server() || has_record || is_record_header(header);
}

bool Handshake::Parts::ready() const {
  if (state != State::running) return false;
  if (ended || total_input > kMaximumInputBytes) return true;
  if (!started) return !is_server() || hello.state() != ClientHelloReader::State::need_more;
  const std::span<const std::byte> rest = std::span(input).subspan(read);
  if (record_left > 0) return !rest.empty();
  if (rest.size() < kRecordHeaderBytes) return false;
  return rest.size() >= record_bytes(rest) || !may_be_record(rest);
}

Handshake::Step Handshake::Parts::step() {
  NEARFIELD_ASSERT(state == State::running);
  if (++steps > kMaximumSteps || total_input > kMaximumInputBytes)
    return fail(HandshakeFailure::too_large, AlertDescription::handshake_failure,
                "a handshake of more data than a handshake has");
  if (!started) {
    const Step begun = is_server() ? begin_server() : begin_client();
    if (begun == Step::failed || !started) return begun;
  }
  const int code = mbedtls_ssl_handshake(&ssl);
  if (code == 0) return finish();
  if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) {
    if (ended)
      return fail(HandshakeFailure::ended, std::nullopt,
                  "the peer closed in the middle of the handshake");
    // What the library has read is not needed again.
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(read));
    read = 0;
    return Step::need_more;
  }
  if (early_data.exceeded())
    return fail(HandshakeFailure::malformed, AlertDescription::unexpected_message,
                "more early data than anybody announces");
  return fail(code);
}

bool Handshake::Parts::derive_secrets() {
  const Suite* suite = find_suite(mbedtls_ssl_get_ciphersuite_id_from_ssl(&ssl));
  if (suite == nullptr || !exported.complete) return false;
  const std::size_t bytes = hash_bytes(suite->hash);
  if (suite->version == Version::tls13) {
    secrets = tls13_secrets(suite->aead, suite->hash, std::span(exported.client).first(bytes),
                            std::span(exported.server).first(bytes), is_server());
    // The client's Finished is the last thing a server reads, and the client could only send it
    // when it had all before: what the server sent since are tickets, under these keys. A client
    // has sent nothing under them.
    secrets.send.next_sequence = is_server() ? watch.records_since_input() : 0;
  } else {
    secrets = tls12_secrets(suite->aead, suite->hash, std::span(exported.client).first(48),
                            exported.client_random, exported.server_random, is_server());
  }
  security.version = suite->version == Version::tls13 ? "TLSv1.3" : "TLSv1.2";
  security.cipher = suite->name;
  return true;
}

Handshake::Step Handshake::Parts::finish() {
  // Keys change after Finished, so nothing may share its record (RFC 8446 5.1).
  if (record_left != 0 || mbedtls_ssl_check_pending(&ssl) != 0)
    return fail(HandshakeFailure::malformed, AlertDescription::unexpected_message,
                "more in the record than the last message of the handshake");
  const std::string wrong = is_server() ? check_client_certificate() : check_server_certificate();
  if (!wrong.empty())
    return fail(HandshakeFailure::peer_certificate, AlertDescription::bad_certificate, wrong);
  if (!derive_secrets())
    return fail(HandshakeFailure::internal, AlertDescription::internal_error,
                "the library agreed to a suite this program does not know");
  const char* protocol = mbedtls_ssl_get_alpn_protocol(&ssl);
  security.protocol = protocol == nullptr ? "" : protocol;
  security.server_name = is_server() ? hello.hello().server_name : server_name;
  security.resumed = resumed;
  if (resumed && accepted.has_value()) security.peer_certificate = accepted->peer_certificate;
  drop_accepted();
  input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(read));
  read = 0;
  // What the library says is a little less for TLS 1.3; the only other lengths that can be agreed
  // are from 512 to 4096 (RFC 6066 4).
  const int longest = mbedtls_ssl_get_max_out_record_payload(&ssl);
  maximum_fragment =
      longest > 4096 ? 16384 : static_cast<std::size_t>(std::clamp(longest, 256, 4096));
  state = State::finished;
  // Nobody will use the context again: its buffers are most of what this object holds.
  mbedtls_ssl_free(&ssl);
  wipe(exported.client);
  wipe(exported.server);
  return Step::finished;
}

Handshake::Handshake(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Handshake::~Handshake() = default;

std::unique_ptr<Handshake> Handshake::server(std::shared_ptr<const ServerSettings> settings) {
  auto parts = std::make_unique<Parts>();
  parts->server = std::move(settings);
  return std::unique_ptr<Handshake>(new Handshake(std::move(parts)));
}

std::unique_ptr<Handshake> Handshake::client(std::shared_ptr<const ClientSettings> settings,
                                             std::string_view server_name) {
  auto parts = std::make_unique<Parts>();
  parts->client = std::move(settings);
  parts->server_name = server_name;
  return std::unique_ptr<Handshake>(new Handshake(std::move(parts)));
}

bool Handshake::feed(std::span<const std::byte> bytes) {
  Parts& parts = *parts_;
  if (parts.state == Parts::State::failed) return false;
  // Beyond the bound nothing is kept: the next step fails. (After the end it is leftover.)
  parts.total_input += bytes.size();
  if (parts.state == Parts::State::running && parts.total_input > kMaximumInputBytes) return true;
  if (parts.is_server() && !parts.started)
    parts.read_hello(bytes);
  else
    parts.input.insert(parts.input.end(), bytes.begin(), bytes.end());
  return parts.ready();
}

void Handshake::end_of_input() { parts_->ended = true; }
bool Handshake::ready() const { return parts_->ready(); }

bool Handshake::refused() const {
  const Parts& parts = *parts_;
  if (parts.state != Parts::State::running) return false;
  if (parts.total_input > kMaximumInputBytes) return true;
  return parts.is_server() && !parts.started &&
         parts.hello.state() == ClientHelloReader::State::refused;
}

Handshake::Step Handshake::step(WallTime now) {
  parts_->now = now;
  current_handshake() = parts_.get();
  const Step result = parts_->step();
  current_handshake() = nullptr;
  return result;
}

std::size_t Handshake::input_bytes() const {
  return parts_->input.size() + parts_->hello.message().size();
}

std::vector<std::byte> Handshake::take_output() { return std::exchange(parts_->output, {}); }
HandshakeFailure Handshake::failure() const { return parts_->failure; }
const std::string& Handshake::message() const { return parts_->message; }
int Handshake::alert() const { return parts_->alert; }
const net::StreamSecurity& Handshake::security() const { return parts_->security; }

ConnectionSecrets Handshake::take_secrets() {
  NEARFIELD_ASSERT(parts_->state == Parts::State::finished);
  return std::exchange(parts_->secrets, {});
}

std::vector<std::byte> Handshake::take_leftover() { return std::exchange(parts_->input, {}); }
std::size_t Handshake::maximum_fragment_bytes() const { return parts_->maximum_fragment; }
bool Handshake::is_client() const { return !parts_->is_server(); }
bool Handshake::resumed() const { return parts_->resumed; }

}  // namespace nearfield::tls
