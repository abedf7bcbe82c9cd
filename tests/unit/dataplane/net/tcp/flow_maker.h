// Flows for tests: different for each number, of either family.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/tcp/flow_hash.h"
#include "dataplane/net/tcp/output.h"

namespace nearfield::net::tcp {

inline Flow flow_v4(std::uint32_t number) {
  Flow flow;
  flow.local.address.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1};
  flow.local.port = 443;
  flow.peer.address.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 0};
  flow.peer.address.bytes[15] = static_cast<std::uint8_t>(number >> 16);
  flow.peer.port = static_cast<std::uint16_t>(number);
  return flow;
}

inline Flow flow_v6(std::uint32_t number) {
  Flow flow;
  flow.local.address.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  flow.local.port = 443;
  flow.peer.address.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  flow.peer.address.bytes[15] = static_cast<std::uint8_t>(number >> 16);
  flow.peer.port = static_cast<std::uint16_t>(number);
  return flow;
}

// Two flows of which a table under `key` sees the same tag, 32 bits of hash: among 2^18 there are
// eight such pairs on average.
inline std::pair<Flow, Flow> colliding_flows(const SipHashKey& key) {
  std::unordered_map<std::uint32_t, std::uint32_t> seen;
  for (std::uint32_t number = 0;; ++number) {
    NEARFIELD_ASSERT(number < (1u << 24));
    const auto tag = static_cast<std::uint32_t>(hash_flow(key, flow_v4(number)));
    const auto [known, is_new] = seen.try_emplace(tag, number);
    if (!is_new) return {flow_v4(known->second), flow_v4(number)};
  }
}

}  // namespace nearfield::net::tcp
