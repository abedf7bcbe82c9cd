// The application protocol of simulated runs. A request is 16 bytes, and the body it announces
// follows; its answer, due at once, is as many bytes as it asks for. All answers of one connection
// together are one stretch of a pattern that both ends can compute: byte n of what the server sends
// is a pure function of the connection's number and n, so a client knows what is right without
// keeping anything. All bodies are a stretch of another pattern, so the server knows as well.
//
// The pattern is a window into one constant table whose length is prime: a server may point its
// sends straight into it (it never changes and never goes away), and bytes from a wrong position
// are never right by a round number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

namespace nearfield::sim::tcp {

inline constexpr std::size_t kRequestBytes = 16;
inline constexpr std::uint64_t kMaximumAnswerBytes = std::uint64_t{1} << 31;
inline constexpr std::uint32_t kMaximumBodyBytes = 1 << 24;

struct Request {
  std::uint32_t connection = 0;  // chooses the pattern
  std::uint64_t answer_bytes = 0;
  bool server_closes = false;  // FIN follows the answer and the body; else the server waits for the
                               // next request, or for the client's FIN
  std::uint32_t body_bytes = 0;
};

// Wire: "NF", flags (u16, bit 0: server_closes), connection (u32), body_bytes, answer_bytes (u32
// each); big-endian.
std::array<std::byte, kRequestBytes> encode_request(const Request& request);

enum class RequestFlaw { wrong_magic, unknown_flags, answer_too_long, body_too_long };
// A server that meets a flaw has received wrong bytes: that is a failure of the run.
std::expected<Request, RequestFlaw> decode_request(std::span<const std::byte, kRequestBytes> bytes);

// The number of the pattern that the bodies of `connection` come from.
std::uint32_t pattern_of_bodies(std::uint32_t connection);

// The pattern of `connection` from `position` (counted over all answers of the connection) on: at
// most `most_bytes`, at least one when that is not zero; fewer where the table ends. Lives forever.
std::span<const std::byte> pattern_at(std::uint32_t connection, std::uint64_t position,
                                      std::size_t most_bytes);
// The index of the first byte that is not the pattern's, or bytes.size() when all are.
std::size_t first_wrong_byte(std::uint32_t connection, std::uint64_t position,
                             std::span<const std::byte> bytes);

}  // namespace nearfield::sim::tcp
