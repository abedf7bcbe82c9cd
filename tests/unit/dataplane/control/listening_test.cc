// Sockets for workers: one each at every address, whatever an older process handed over.
#include "dataplane/control/listening.h"

#include <algorithm>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;

namespace {

net::Endpoint loopback(std::uint16_t port = 0) {
  net::Endpoint endpoint = *net::Endpoint::parse("127.0.0.1:0");
  endpoint.port = port;
  return endpoint;
}

std::vector<HandedListener> hand_over(Listening from, std::string configured) {
  std::vector<HandedListener> result;
  for (auto& worker : from.of_worker) {
    for (net::Listener& listener : worker) {
      result.push_back({.configured = configured, .listener = std::move(listener)});
    }
  }
  return result;
}

}  // namespace

TEST_GROUP(Listening){};

TEST(Listening, GivesEveryWorkerASocketAtTheSamePort) {
  auto listening = make_listening({loopback(), loopback()}, 3, {});
  CHECK(listening.has_value());
  UNSIGNED_LONGS_EQUAL(2, listening->bound.size());
  CHECK(listening->bound[0].port != 0);
  CHECK(listening->bound[0] != listening->bound[1]);
  for (const auto& worker : listening->of_worker) {
    UNSIGNED_LONGS_EQUAL(2, worker.size());
    CHECK(worker[0].local() == listening->bound[0]);
    CHECK(worker[1].local() == listening->bound[1]);
  }
}

TEST(Listening, RefusesAPortThatAnotherNodeOfTheSameUserServes) {
  const auto first = make_listening({loopback()}, 1, {});
  const auto second = make_listening({loopback(first->bound[0].port)}, 1, {});
  CHECK_FALSE(second.has_value());
  STRCMP_CONTAINS("another process does", second.error().message.c_str());
}

TEST(Listening, UsesAllHandedSocketsWithFewerWorkers) {
  auto old = make_listening({loopback()}, 3, {});
  const net::Endpoint bound = old->bound[0];
  const auto listening = make_listening({bound}, 2, hand_over(*std::move(old), "127.0.0.1:0"));
  CHECK(listening.has_value());
  UNSIGNED_LONGS_EQUAL(2, listening->of_worker[0].size());
  UNSIGNED_LONGS_EQUAL(1, listening->of_worker[1].size());
  CHECK(listening->bound[0] == bound);
}

TEST(Listening, MakesMoreForMoreWorkers) {
  auto old = make_listening({loopback()}, 1, {});
  const net::Endpoint bound = old->bound[0];
  // Known by what the configuration called it: port 0 of then is the port the old process got.
  const auto listening = make_listening({loopback()}, 3, hand_over(*std::move(old), "127.0.0.1:0"));
  CHECK(listening.has_value());
  for (const auto& worker : listening->of_worker) {
    UNSIGNED_LONGS_EQUAL(1, worker.size());
    CHECK(worker[0].local() == bound);
  }
}

TEST(Listening, LeavesAddressesNobodyWantsToTheirOwner) {
  auto old = make_listening({loopback()}, 2, {});
  const net::Endpoint bound = old->bound[0];
  const auto listening =
      make_listening({loopback()}, 1, hand_over(*std::move(old), "192.0.2.1:80"));
  CHECK(listening.has_value());
  CHECK(listening->bound[0] != bound);
}
