// The handover protocol over real sockets, both sides in one process: the old one's loop on a
// thread of its own.
#include "dataplane/control/handover.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "CppUTest/TestHarness.h"
#include "dataplane/control/handover_message.h"
#include "dataplane/control/log.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::control;

TEST_GROUP(Handover) {
  TemporaryFolder folder;
  std::string control_path = folder.file("c");
  EventLoop loop;
  std::vector<net::Listener> listeners;
  std::atomic<bool> ready{false};
  std::unique_ptr<HandoverServer> server;
  std::thread old_process;

  void setup() override { set_log_level(LogLevel::off); }
  void serve(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      listeners.push_back(*net::Listener::open(*net::Endpoint::parse("127.0.0.1:0")));
    }
    auto listener =
        UnixListener::open(handover_path(control_path), UnixListener::Kind::sequenced_packets, 0600,
                           UnixListener::IfAlive::refuse);
    server = std::make_unique<HandoverServer>(
        loop, *std::move(listener),
        [this] {
          std::vector<HandoverServer::Offer> offers;
          for (const net::Listener& one : listeners) {
            offers.push_back({.configured = "127.0.0.1:0",
                              .kind = offers.empty() ? ListenKind::tls : ListenKind::clear,
                              .local = one.local(),
                              .descriptor = one.descriptor()});
          }
          return offers;
        },
        [this] { ready = true; });
    old_process = std::thread([this] { loop.run(); });
  }
  // Once the old process has heard all that was sent before.
  void settle() {
    std::atomic<int> turns{0};
    for (int i = 1; i <= 3; ++i) {
      loop.post([&] { ++turns; });
      while (turns < i) std::this_thread::yield();
    }
  }
  void teardown() override {
    if (old_process.joinable()) {
      loop.post([this] {
        server.reset();
        loop.post([this] { loop.stop(); });
      });
      old_process.join();
    }
    set_log_level(LogLevel::info);
  }
};

TEST(Handover, PassesEverySocketAndThenTheService) {
  serve(70);  // three messages
  auto client = HandoverClient::connect(control_path);
  CHECK_TEXT(client.has_value(), client ? "" : client.error().message.c_str());
  UNSIGNED_LONGS_EQUAL(70, client->listeners().size());
  for (std::size_t i = 0; i < 70; ++i) {
    CHECK(client->listeners()[i].listener.local() == listeners[i].local());
    STRCMP_EQUAL("127.0.0.1:0", client->listeners()[i].configured.c_str());
    CHECK(client->listeners()[i].kind == (i == 0 ? ListenKind::tls : ListenKind::clear));
  }
  CHECK_FALSE(ready);
  CHECK(client->confirm().has_value());
  CHECK(ready);
}

TEST(Handover, ANewProcessThatDiesChangesNothing) {
  serve(1);
  {
    auto client = HandoverClient::connect(control_path);
    CHECK(client.has_value());
  }
  settle();
  CHECK_FALSE(ready);
  // The next one can.
  auto again = HandoverClient::connect(control_path);
  CHECK_TEXT(again.has_value(), again ? "" : again.error().message.c_str());
  CHECK(again->confirm().has_value());
}

TEST(Handover, OneAtATime) {
  serve(1);
  auto first = HandoverClient::connect(control_path);
  const auto second = HandoverClient::connect(control_path);
  CHECK_FALSE(second.has_value());
  STRCMP_CONTAINS("another handover is under way", second.error().message.c_str());
  CHECK(first->confirm().has_value());
}

TEST(Handover, SaysThatNobodyIsThere) {
  const auto client = HandoverClient::connect(folder.file("nobody"));
  STRCMP_CONTAINS("nobody hands over at", client.error().message.c_str());
}

TEST(Handover, SurvivesNonsense) {
  serve(1);
  const int peer = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, handover_path(control_path).c_str(), sizeof(address.sun_path) - 1);
  LONGS_EQUAL(0, ::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  const std::string nonsense = "GET / HTTP/1.1\r\n\r\n";
  CHECK(::send(peer, nonsense.data(), nonsense.size(), 0) > 0);
  char byte = 0;
  LONGS_EQUAL(0, ::recv(peer, &byte, 1, 0));  // it hangs up
  ::close(peer);
  auto client = HandoverClient::connect(control_path);
  CHECK(client.has_value());
  CHECK_FALSE(ready);
}

TEST(Handover, ThePathGoesWithTheServer) {
  serve(1);
  std::atomic<bool> done{false};
  loop.post([&] {
    server.reset();
    done = true;
  });
  while (!done) std::this_thread::yield();
  CHECK_FALSE(std::filesystem::exists(handover_path(control_path)));
}

TEST_GROUP(HandoverMessage){};

TEST(HandoverMessage, ReadsBackWhatWasWritten) {
  HandoverMessage message;
  message.listeners = {{.configured = ":80", .local = "[::]:80"},
                       {.configured = ":443", .local = "[::]:443", .tls = true}};
  message.more = true;
  const auto parsed = parse_handover(handover_text(message));
  CHECK(parsed.has_value());
  CHECK(parsed->more);
  STRCMP_EQUAL("[::]:80", parsed->listeners[0].local.c_str());
  CHECK_FALSE(parsed->listeners[0].tls);
  CHECK(parsed->listeners[1].tls);
  HandoverMessage ready;
  ready.ready = true;
  CHECK(parse_handover(handover_text(ready))->ready);
}

TEST(HandoverMessage, RefusesOtherProtocols) {
  for (const char* text : {"", "x", "{}", "[]", "{\"nearfield_handover\":2}",
                           "{\"nearfield_handover\":1,\"listeners\":3}",
                           "{\"nearfield_handover\":1,\"listeners\":[3]}"}) {
    CHECK_FALSE_TEXT(parse_handover(text).has_value(), text);
  }
}
