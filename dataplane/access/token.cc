#include "dataplane/access/token.h"

#include <charconv>
#include <cmath>

namespace nearfield::access {
namespace {

constexpr std::int64_t kEndOfTime = 253402300800;  // 10000-01-01

template <typename Container>
std::size_t texts_bytes(const Container& texts) {
  std::size_t bytes = 0;
  for (const std::string& text : texts) bytes += sizeof(std::string) + text.capacity();
  return bytes;
}

}  // namespace

std::string_view uri_part_name(UriPart part) {
  static constexpr std::string_view kNames[kUriParts] = {
      "scheme", "host", "port", "path", "query", "parent path", "filename", "stem", "extension"};
  return kNames[static_cast<std::size_t>(part)];
}

std::string_view match_type_name(MatchType type) {
  static constexpr std::string_view kNames[] = {
      "equals",          "starts with",     "ends with",          "contains", "matches (anywhere)",
      "matches (whole)", "has the SHA-256", "has the SHA-512/256"};
  return kNames[static_cast<std::size_t>(type)];
}

std::optional<Network> Network::parse(std::string_view text) {
  Network network;
  const std::size_t slash = text.find('/');
  // Text of an address is at most 45 characters; Address::parse gets nothing endless.
  const std::string_view address_text = text.substr(0, slash);
  if (address_text.size() > 64) return std::nullopt;
  const auto address = net::Address::parse(address_text);
  if (!address) return std::nullopt;
  network.address = *address;
  if (slash == std::string_view::npos) return network;
  const std::string_view length = text.substr(slash + 1);
  const int most = address->is_v4() ? 32 : 128;
  int bits = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  if (error != std::errc() || end != length.data() + length.size() || bits < 0 || bits > most) {
    return std::nullopt;
  }
  network.bits = address->is_v4() ? bits + 96 : bits;
  network.address = address->is_v4() ? address->truncated(bits, 128) : address->truncated(32, bits);
  return network;
}

bool Network::contains(const net::Address& other) const {
  // "::/0" is about IPv6 clients, although IPv4 ones are held inside of it.
  if (bits < 96 && other.is_v4()) return false;
  const int whole = bits / 8;
  for (int i = 0; i < whole; ++i) {
    if (address.bytes[static_cast<std::size_t>(i)] != other.bytes[static_cast<std::size_t>(i)])
      return false;
  }
  if (bits % 8 == 0) return true;
  const auto at = static_cast<std::size_t>(whole);
  const int difference = (address.bytes[at] ^ other.bytes[at]) >> (8 - bits % 8);
  return difference == 0;
}

std::string Network::text() const {
  return address.text() + "/" + std::to_string(address.is_v4() && bits >= 96 ? bits - 96 : bits);
}

Digest Envelope::identity() const {
  std::string text;
  text.reserve(2 + message.size() + signature.size());
  text += static_cast<char>(token.kind);
  text += static_cast<char>(signature.size());  // 32 or 64
  text += text_of(signature);
  text += message;
  return sha256(bytes_of(text));
}

std::size_t Token::memory_bytes() const {
  std::size_t bytes = sizeof(Token) + id.capacity() + payload.capacity() + sealed_client.capacity();
  if (issuer) bytes += issuer->capacity();
  if (audiences) bytes += texts_bytes(*audiences);
  if (container) bytes += container->value.capacity();
  if (uri) {
    for (const UriCondition& each : *uri) bytes += sizeof(each) + each.match.value.capacity();
  }
  if (headers) {
    for (const HeaderCondition& each : *headers)
      bytes += sizeof(each) + each.name.capacity() + each.match.value.capacity();
  }
  if (methods) bytes += texts_bytes(*methods);
  if (territories) bytes += texts_bytes(*territories);
  for (const PrivateClaim& each : private_claims)
    bytes += sizeof(each) + each.name.capacity() + texts_bytes(each.values);
  if (renewal) {
    bytes += renewal->cookie_name.capacity() + renewal->header_name.capacity() +
             texts_bytes(renewal->parameters);
  }
  return bytes + networks.size() * sizeof(Network) + network_numbers.size() * 4 +
         texts_bytes(critical);
}

std::optional<WallTime> wall_time_of(std::int64_t seconds) {
  if (seconds < 0 || seconds >= kEndOfTime) return std::nullopt;
  return WallTime(std::chrono::seconds(seconds));
}

std::optional<WallTime> wall_time_of(double seconds) {
  if (!(seconds >= 0) || seconds >= static_cast<double>(kEndOfTime)) return std::nullopt;
  return WallTime(std::chrono::seconds(static_cast<std::int64_t>(std::floor(seconds))));
}

}  // namespace nearfield::access
