// Requests on the wire, and the pattern's table.
#include "tests/sim/tcp/exchange.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/sim/sim_random.h"

namespace nearfield::sim::tcp {
namespace {

constexpr std::size_t kTableBytes = 1'048'573;  // the greatest prime below 2^20

const std::vector<std::byte>& table() {
  static const std::vector<std::byte> bytes = [] {
    std::vector<std::byte> filled(kTableBytes);
    Random random(0x4e656172);
    for (std::byte& byte : filled) byte = static_cast<std::byte>(random.next() >> 56);
    return filled;
  }();
  return bytes;
}

std::uint64_t number(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

void write_number(std::span<std::byte> bytes, std::uint64_t value) {
  for (std::size_t index = bytes.size(); index > 0; --index, value >>= 8)
    bytes[index - 1] = static_cast<std::byte>(value);
}

}  // namespace

std::array<std::byte, kRequestBytes> encode_request(const Request& request) {
  std::array<std::byte, kRequestBytes> bytes{};
  const std::span all(bytes);
  bytes[0] = std::byte{'N'};
  bytes[1] = std::byte{'F'};
  write_number(all.subspan(2, 2), request.server_closes ? 1 : 0);
  write_number(all.subspan(4, 4), request.connection);
  write_number(all.subspan(8, 4), request.body_bytes);
  write_number(all.subspan(12, 4), request.answer_bytes);
  return bytes;
}

std::expected<Request, RequestFlaw> decode_request(
    std::span<const std::byte, kRequestBytes> bytes) {
  if (bytes[0] != std::byte{'N'} || bytes[1] != std::byte{'F'})
    return std::unexpected(RequestFlaw::wrong_magic);
  const std::uint64_t flags = number(bytes.subspan(2, 2));
  if (flags > 1) return std::unexpected(RequestFlaw::unknown_flags);
  Request request;
  request.server_closes = flags == 1;
  request.connection = static_cast<std::uint32_t>(number(bytes.subspan(4, 4)));
  request.body_bytes = static_cast<std::uint32_t>(number(bytes.subspan(8, 4)));
  request.answer_bytes = number(bytes.subspan(12, 4));
  if (request.answer_bytes > kMaximumAnswerBytes)
    return std::unexpected(RequestFlaw::answer_too_long);
  if (request.body_bytes > kMaximumBodyBytes) return std::unexpected(RequestFlaw::body_too_long);
  return request;
}

std::uint32_t pattern_of_bodies(std::uint32_t connection) { return connection ^ 0x626f6479; }

std::span<const std::byte> pattern_at(std::uint32_t connection, std::uint64_t position,
                                      std::size_t most_bytes) {
  const std::uint64_t shift = Random(connection).next() % kTableBytes;
  const std::size_t begin = (shift + position) % kTableBytes;
  return std::span(table()).subspan(begin, std::min(most_bytes, kTableBytes - begin));
}

std::size_t first_wrong_byte(std::uint32_t connection, std::uint64_t position,
                             std::span<const std::byte> bytes) {
  std::size_t index = 0;
  while (index < bytes.size()) {
    const auto right = pattern_at(connection, position + index, bytes.size() - index);
    if (std::memcmp(right.data(), bytes.data() + index, right.size()) != 0) {
      const auto place = std::mismatch(right.begin(), right.end(), bytes.begin() + index).first;
      return index + static_cast<std::size_t>(place - right.begin());
    }
    index += right.size();
  }
  return index;
}

}  // namespace nearfield::sim::tcp
