// Sockets for workers: one each at every address, whatever an older process handed over.
#include "dataplane/control/listening.h"

#include <algorithm>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;

namespace {

ListenAddress loopback(std::uint16_t port = 0, ListenKind kind = ListenKind::clear) {
  net::Endpoint endpoint = *net::Endpoint::parse("127.0.0.1:0");
  endpoint.port = port;
  return {.address = endpoint, .kind = kind};
}

std::vector<HandedListener> hand_over(Listening from, std::string configured) {
  std::vector<HandedListener> result;
  for (auto& worker : from.of_worker) {
    for (auto& [listener, kind] : worker) {
      result.push_back({.configured = configured, .kind = kind, .listener = std::move(listener)});
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
  CHECK(listening->bound[0].address.port != 0);
  CHECK(listening->bound[0] != listening->bound[1]);
  for (const auto& worker : listening->of_worker) {
    UNSIGNED_LONGS_EQUAL(2, worker.size());
    CHECK(worker[0].listener.local() == listening->bound[0].address);
    CHECK(worker[1].listener.local() == listening->bound[1].address);
  }
}

TEST(Listening, RefusesAPortThatAnotherNodeOfTheSameUserServes) {
  const auto first = make_listening({loopback()}, 1, {});
  const auto second = make_listening({loopback(first->bound[0].address.port)}, 1, {});
  CHECK_FALSE(second.has_value());
  STRCMP_CONTAINS("another process does", second.error().message.c_str());
}

TEST(Listening, UsesAllHandedSocketsWithFewerWorkers) {
  auto old = make_listening({loopback()}, 3, {});
  const ListenAddress bound = old->bound[0];
  const auto listening = make_listening({bound}, 2, hand_over(*std::move(old), "127.0.0.1:0"));
  CHECK(listening.has_value());
  UNSIGNED_LONGS_EQUAL(2, listening->of_worker[0].size());
  UNSIGNED_LONGS_EQUAL(1, listening->of_worker[1].size());
  CHECK(listening->bound[0] == bound);
}

TEST(Listening, MakesMoreForMoreWorkers) {
  auto old = make_listening({loopback()}, 1, {});
  const ListenAddress bound = old->bound[0];
  // Known by what the configuration called it: port 0 of then is the port the old process got.
  const auto listening = make_listening({loopback()}, 3, hand_over(*std::move(old), "127.0.0.1:0"));
  CHECK(listening.has_value());
  for (const auto& worker : listening->of_worker) {
    UNSIGNED_LONGS_EQUAL(1, worker.size());
    CHECK(worker[0].listener.local() == bound.address);
  }
}

TEST(Listening, LeavesAddressesNobodyWantsToTheirOwner) {
  auto old = make_listening({loopback()}, 2, {});
  const ListenAddress bound = old->bound[0];
  const auto listening =
      make_listening({loopback()}, 1, hand_over(*std::move(old), "192.0.2.1:80"));
  CHECK(listening.has_value());
  CHECK(listening->bound[0] != bound);
}

TEST(Listening, TellsWhatIsSpokenWhere) {
  const auto listening = make_listening({loopback(), loopback(0, ListenKind::tls)}, 2, {});
  CHECK(listening.has_value());
  for (const auto& worker : listening->of_worker) {
    CHECK(worker[0].kind == ListenKind::clear && worker[1].kind == ListenKind::tls);
  }
  CHECK(listening->bound[1].kind == ListenKind::tls);
}

// Who is queued in a socket speaks what it was for.
TEST(Listening, UsesAHandedSocketOnlyForWhatItWasFor) {
  auto old = make_listening({loopback()}, 1, {});
  const ListenAddress was = old->bound[0];
  const int descriptor = old->of_worker[0][0].listener.descriptor();
  const auto listening = make_listening({loopback(was.address.port, ListenKind::tls)}, 1,
                                        hand_over(*std::move(old), "127.0.0.1:0"));
  CHECK_TEXT(listening.has_value(), listening ? "" : listening.error().message.c_str());
  CHECK(listening->bound[0].address == was.address);
  CHECK(listening->of_worker[0][0].kind == ListenKind::tls);
  CHECK(listening->of_worker[0][0].listener.descriptor() != descriptor);
}
