// hash_flow(): the keyed hash under which every table of flows finds its place, and derive_key():
// keys for one purpose out of the worker's one secret.
//
// Invariant: equal flows hash equally, and nobody without the key can prepare two that collide
// (SipHash is a PRF). The awkward part is cost: this runs for each segment that comes in, so an
// IPv4 flow, whose addresses are held as 16 bytes each of which 12 are fixed, is hashed as the 12
// bytes that say something (two rounds of absorption instead of five). No IPv6 flow is mistaken for
// it: its message is 36 bytes long, and SipHash counts the length in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "cache/base/siphash.h"
#include "dataplane/net/tcp/output.h"

namespace nearfield::net::tcp {

// What of a flow is hashed; with `kRoom` bytes behind for what a caller adds to the message.
struct FlowMessage {
  static constexpr std::size_t kFlowBytes = 36;
  static constexpr std::size_t kRoom = 20;

  std::array<std::byte, kFlowBytes + kRoom> bytes;
  std::size_t length = 0;

  explicit FlowMessage(const Flow& flow) {
    if (is_v4(flow.local.address) && is_v4(flow.peer.address)) {
      append_ends<12>(flow);
    } else {
      append_ends<0>(flow);
    }
  }

  // A number as this machine holds it: the message never leaves the machine.
  template <typename Number>
  void add(Number number) {
    append<sizeof(number)>(&number);
  }
  std::span<const std::byte> span() const { return {bytes.data(), length}; }

 private:
  // As Address::is_v4(), inline.
  static bool is_v4(const Address& address) {
    static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};
    return std::memcmp(address.bytes.data(), kMapped.data(), kMapped.size()) == 0;
  }
  // Sizes are constants, so that these are a few moves and no calls.
  template <std::size_t kSkipped>
  void append_ends(const Flow& flow) {
    append<16 - kSkipped>(&flow.local.address.bytes[kSkipped]);
    append<16 - kSkipped>(&flow.peer.address.bytes[kSkipped]);
    add(flow.local.port);
    add(flow.peer.port);
  }
  template <std::size_t kCount>
  void append(const void* from) {
    std::memcpy(bytes.data() + length, from, kCount);
    length += kCount;
  }
};

inline std::uint64_t hash_flow(const SipHashKey& key, const Flow& flow) {
  return siphash(key, FlowMessage(flow).span());
}

// A key of its own for each purpose (`purpose`: a fixed word), so that what one structure shows to
// the world (a cookie, an initial sequence number) says nothing about the buckets of another.
inline SipHashKey derive_key(const SipHashKey& secret, std::string_view purpose) {
  const std::uint64_t first = siphash(secret, purpose);
  return {first, siphash({secret.first ^ first, secret.second}, purpose)};
}

}  // namespace nearfield::net::tcp
