#include "dataplane/tls/client_hello.h"

#include <algorithm>
#include <optional>

#include "dataplane/tls/suites.h"

namespace nearfield::tls {
namespace {

constexpr std::size_t kMessageHeaderBytes = 4;
constexpr auto kHandshakeRecord = static_cast<std::uint8_t>(ContentType::handshake);
constexpr auto kAlertRecord = static_cast<std::uint8_t>(ContentType::alert);
constexpr std::uint8_t kClientHelloMessage = 1;

// Walks over length-prefixed fields; past the end everything is empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  std::size_t number(int bytes) {
    std::size_t value = 0;
    for (const std::byte byte : take(static_cast<std::size_t>(bytes)))
      value = value << 8 | std::to_integer<std::size_t>(byte);
    return value;
  }
  std::span<const std::byte> take(std::size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::span<const std::byte> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  Reader vector(int length_bytes) { return Reader(take(number(length_bytes)), ok_); }
  std::span<const std::byte> rest() { return take(rest_.size()); }

 private:
  Reader(std::span<const std::byte> bytes, bool ok) : rest_(bytes), ok_(ok) {}

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

template <typename Mask, typename Table>
void mark(Mask& mask, const Table& table, std::size_t value) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i] == value) mask = static_cast<Mask>(mask | Mask{1} << i);
}

template <typename Mask, typename Table>
bool marked(Mask mask, const Table& table, std::uint16_t value) {
  Mask wanted = 0;
  mark(wanted, table, value);
  return (mask & wanted) != 0;
}

constexpr std::array<std::uint16_t, kSuites.size()> suite_ids() {
  std::array<std::uint16_t, kSuites.size()> ids{};
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = kSuites[i].id;
  return ids;
}
constexpr std::array<std::uint16_t, kSuites.size()> kSuiteIds = suite_ids();

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool read_suites(Reader suites, ClientHello& hello) {
  bool aes_seen = false;
  while (suites.ok() && !suites.empty()) {
    const std::size_t id = suites.number(2);
    if (id == 0x5600) hello.fallback = true;
    mark(hello.suites, kSuiteIds, id);
    if (const Suite* suite = find_suite(static_cast<int>(id))) {
      const bool chacha = suite->aead == Aead::chacha20_poly1305;
      if (chacha && !aes_seen) hello.chacha_first = true;
      if (!chacha) aes_seen = true;
    }
  }
  return suites.ok();
}

// RFC 6066 3: only host_name is defined; the library takes the first, so do we.
bool read_server_name(Reader data, ClientHello& hello) {
  Reader list = data.vector(2);
  while (list.ok() && !list.empty()) {
    const std::size_t type = list.number(1);
    Reader name = list.vector(2);
    if (type == 0 && list.ok()) {
      hello.server_name = normal_server_name(name.rest());
      return true;
    }
  }
  return data.ok() && list.ok();
}

bool read_protocols(Reader data, ClientHello& hello) {
  Reader list = data.vector(2);
  while (list.ok() && !list.empty()) {
    Reader name = list.vector(1);
    if (name.empty()) return false;  // RFC 7301 3.1
    if (list.ok() && hello.protocols.size() < ClientHello::kMaximumProtocols)
      hello.protocols.push_back(text_of(name.rest()));
  }
  return data.ok() && list.ok();
}

bool read_numbers(Reader list, int length_bytes, int number_bytes, auto&& each) {
  Reader numbers = list.vector(length_bytes);
  while (numbers.ok() && !numbers.empty()) each(numbers.number(number_bytes));
  return list.ok() && numbers.ok();
}

bool read_extension(std::size_t type, Reader data, ClientHello& hello) {
  switch (type) {
    case 0:
      return read_server_name(data, hello);
    case 10:
      return read_numbers(data, 2, 2, [&](std::size_t v) { mark(hello.groups, kGroups, v); });
    case 13:
      return read_numbers(data, 2, 2,
                          [&](std::size_t v) { mark(hello.signatures, kSignatures, v); });
    case 16:
      return read_protocols(data, hello);
    case 23:
      hello.extended_master_secret = true;
      return true;
    case 42:
      hello.early_data = true;
      return true;
    case 43:
      return read_numbers(data, 1, 2, [&](std::size_t v) { hello.tls13 |= v == 0x0304; });
    case 45:
      return read_numbers(data, 1, 1, [&](std::size_t v) { hello.psk_with_ephemeral |= v == 1; });
    default:
      return true;
  }
}

}  // namespace

bool ClientHello::offers(std::uint16_t suite) const { return marked(suites, kSuiteIds, suite); }

bool ClientHello::offers_signature(std::uint16_t signature) const {
  return marked(signatures, kSignatures, signature);
}

bool ClientHello::offers_group(std::uint16_t group) const { return marked(groups, kGroups, group); }

std::string normal_server_name(std::span<const std::byte> name) {
  std::string text = text_of(name);
  if (text.ends_with('.')) text.pop_back();
  if (text.empty() || text.size() > 253) return {};
  for (char& character : text) {
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
    const bool fits = (character >= 'a' && character <= 'z') ||
                      (character >= '0' && character <= '9') || character == '-' ||
                      character == '_' || character == '.';
    if (!fits) return {};
  }
  return text;
}

ClientHelloReader::State ClientHelloReader::refuse(HandshakeFailure failure,
                                                   std::optional<AlertDescription> alert,
                                                   std::string_view reason) {
  failure_ = failure;
  alert_ = alert;
  reason_ = reason;
  message_ = {};
  return state_ = State::refused;
}

ClientHelloReader::State ClientHelloReader::read(std::span<const std::byte> input) {
  while (state_ == State::need_more) {
    const std::span<const std::byte> rest = input.subspan(std::min(position_, input.size()));
    const auto at = [&](std::size_t i) { return std::to_integer<std::uint8_t>(rest[i]); };
    if (rest.empty()) break;
    if (at(0) != kHandshakeRecord) {
      // SSL 2.0's hello: two bytes of length with the top bit set, then type 1 (RFC 5246 E.2).
      const bool maybe_ssl2 = message_.empty() && (at(0) & 0x80) != 0;
      if (maybe_ssl2 && rest.size() < 3) break;
      if (maybe_ssl2 && at(2) == 1)
        return refuse(HandshakeFailure::version, AlertDescription::protocol_version,
                      "the client speaks SSL 2.0");
      if (!message_.empty())
        return refuse(HandshakeFailure::malformed, AlertDescription::unexpected_message,
                      "something else than a handshake record within the ClientHello");
      if (at(0) == kAlertRecord)
        return refuse(HandshakeFailure::peer_alert, std::nullopt,
                      "an alert instead of a ClientHello");
      return refuse(HandshakeFailure::not_tls, std::nullopt, "the first bytes are not TLS");
    }
    if (rest.size() >= 2 && at(1) != 3)
      return refuse(HandshakeFailure::not_tls, std::nullopt, "the first bytes are not TLS");
    if (rest.size() < kRecordHeaderBytes) break;
    const std::size_t length = static_cast<std::size_t>(at(3)) << 8 | at(4);
    if (length > kMaximumPlaintext)
      return refuse(HandshakeFailure::malformed, AlertDescription::record_overflow,
                    "a record longer than a record may be");
    if (length == 0)  // RFC 8446 5.1
      return refuse(HandshakeFailure::malformed, AlertDescription::unexpected_message,
                    "an empty handshake record");
    if (message_.size() >= kMessageHeaderBytes && length > message_bytes() - message_.size())
      return refuse_longer_record();
    if (rest.size() < kRecordHeaderBytes + length) break;
    position_ += kRecordHeaderBytes + length;
    take_record(rest.subspan(kRecordHeaderBytes, length));
  }
  return state_;
}

std::size_t ClientHelloReader::message_bytes() const {
  std::size_t length = 0;
  for (std::size_t i = 1; i < kMessageHeaderBytes; ++i)
    length = length << 8 | std::to_integer<std::size_t>(message_[i]);
  return kMessageHeaderBytes + length;
}

ClientHelloReader::State ClientHelloReader::refuse_longer_record() {
  return refuse(HandshakeFailure::malformed, AlertDescription::unexpected_message,
                "more in the record than the ClientHello");
}

ClientHelloReader::State ClientHelloReader::take_record(std::span<const std::byte> fragment) {
  message_.insert(message_.end(), fragment.begin(), fragment.end());
  if (std::to_integer<std::uint8_t>(message_[0]) != kClientHelloMessage)
    return refuse(HandshakeFailure::malformed, AlertDescription::unexpected_message,
                  "a handshake message other than ClientHello first");
  if (message_.size() < kMessageHeaderBytes) return state_;
  const std::size_t length = message_bytes();
  if (length > Handshake::kMaximumClientHelloBytes)
    return refuse(HandshakeFailure::too_large, AlertDescription::illegal_parameter,
                  "a ClientHello of more than 16 KiB");
  if (message_.size() < length) return state_;
  if (message_.size() > length) return refuse_longer_record();
  if (!parse()) return state_;
  return state_ = State::complete;
}

bool ClientHelloReader::parse() {
  Reader body(std::span<const std::byte>(message_).subspan(kMessageHeaderBytes));
  const std::size_t version = body.number(2);
  if (!body.ok() || version < 0x0303) {
    refuse(HandshakeFailure::version, AlertDescription::protocol_version,
           "the client speaks nothing newer than TLS 1.1");
    return false;
  }
  body.take(32);  // random
  const std::size_t session_bytes = body.vector(1).rest().size();
  const std::span<const std::byte> suites = body.vector(2).rest();
  const std::size_t compressions = body.vector(1).rest().size();
  bool fits = body.ok() && session_bytes <= 32 && suites.size() >= 2 && suites.size() % 2 == 0 &&
              compressions >= 1 && read_suites(Reader(suites), hello_);
  if (fits && !body.empty()) {  // without extensions: TLS 1.2 at best
    Reader extensions = body.vector(2);
    while (fits && !extensions.empty()) {
      const std::size_t type = extensions.number(2);
      const Reader data = extensions.vector(2);
      fits = extensions.ok() && read_extension(type, data, hello_);
    }
    fits = fits && body.ok() && body.empty() && extensions.ok();
  }
  if (!fits)
    refuse(HandshakeFailure::malformed, AlertDescription::decode_error, "a malformed ClientHello");
  return fits;
}

}  // namespace nearfield::tls
