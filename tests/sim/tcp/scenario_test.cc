// Scenarios: a seed gives the same one again, and a correct server, be it as plain as the reference
// one, passes them all without a violation.
#include "tests/sim/tcp/scenario.h"

#include "CppUTest/TestHarness.h"
#include "tests/sim/tcp/reference_server.h"

using namespace nearfield::sim::tcp;

TEST_GROUP(SimTcpScenario){};

TEST(SimTcpScenario, ASeedGivesTheSameScenario) {
  STRCMP_EQUAL(make_scenario(5).summary.c_str(), make_scenario(5).summary.c_str());
  CHECK(make_scenario(5).summary != make_scenario(6).summary);
}

TEST(SimTcpScenario, TheReferenceServerPasses) {
  // Patience: a fixed window and go-back-N are slow, not wrong.
  constexpr double kPatience = 40;
  std::size_t complete = 0;
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    const Scenario scenario = make_scenario(seed, kPatience, false);
    const WorldResult result = run_world(scenario.options, [](SendPacket send) {
      return std::make_unique<ReferenceServer>(std::move(send));
    });
    if (!result.good())
      FAIL(("seed " + std::to_string(seed) + "\n" + scenario.summary + result.describe()).c_str());
    for (const ClientResult& client : result.clients)
      complete += client.outcome == Outcome::complete;
  }
  CHECK(complete > 200);
}
