// What the tests of this box share: bytes written as hexadecimal digits, addresses without a
// Result, and a sink that keeps what was sent.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/frame.h"

namespace nearfield::net::ip::test {

using Bytes = std::vector<std::byte>;

// "45 00 0028": digits in pairs, anything else between is skipped.
inline Bytes hex(std::string_view text) {
  Bytes result;
  int high = -1;
  for (const char c : text) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      result.push_back(static_cast<std::byte>(high << 4 | digit));
      high = -1;
    }
  }
  return result;
}

inline Bytes operator+(Bytes a, std::span<const std::byte> b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Address address(std::string_view text) { return *Address::parse(text); }
inline MacAddress mac(std::string_view text) { return *MacAddress::parse(text); }

class KeepingSink final : public FrameSink {
 public:
  bool send_frame(std::span<const std::byte> frame) override {
    if (is_full) return false;
    frames.emplace_back(frame.begin(), frame.end());
    return true;
  }
  std::vector<Bytes> frames;
  bool is_full = false;
};

}  // namespace nearfield::net::ip::test
