// Flows for tests: different for each number, of either family.
#pragma once

#include <array>
#include <cstdint>

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

}  // namespace nearfield::net::tcp
