// Scenario: what one seed means: the link, our server's options and the calls that lwIP makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/lwip/caller.h"
#include "tests/sim/tcp/link.h"
#include "tests/sim/tcp/stack_server.h"

namespace nearfield::sim::lwip {

// All calls of a run share one link, as the applications of one machine do.
struct Scenario {
  std::uint64_t seed = 0;
  std::size_t host_mtu = 1500;
  Duration server_turn{};
  tcp::LinkOptions to_server;
  tcp::LinkOptions to_client;
  tcp::StackServerOptions server;
  std::vector<CallPlan> calls;
  // How long both ends may take to come to rest behind the last call: a FIN or its acknowledgment
  // may be lost several times, with time-outs that double.
  Duration drain = std::chrono::seconds(130);
  std::string summary;  // many lines
};

Scenario make_scenario(std::uint64_t seed);

}  // namespace nearfield::sim::lwip
