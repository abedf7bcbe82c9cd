// Connections the io_uring transport makes itself: made, refused, without an answer, given up.
#include "dataplane/net/uring/uring_reactor.h"

#include <poll.h>

#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/uring/loopback.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace std::chrono_literals;

TEST_GROUP_BASE(UringConnect, ServedLoop){};

TEST(UringConnect, ConnectsAndTransfersBothWays) {
  serve(each<EchoHandler>());
  constexpr std::uint64_t kBytes = 5'000'000;
  struct Caller : SourceHandler {
    Caller(Watched<Seen>& watched) : SourceHandler(watched, nullptr, kBytes, false) {}
    std::size_t on_receive(std::span<const std::byte> bytes) override {
      for (const std::byte byte : bytes) wrong |= static_cast<char>(byte) != pattern(offset++);
      if (wrong || offset == kBytes) stream->close_after_send();
      return SourceHandler::on_receive(bytes);
    }
    std::uint64_t offset = 0;
    bool wrong = false;
  };
  loop->on_loop([&] {
    auto* caller = new Caller(caller_seen);
    caller->stream = loop->reactor->connect(listener.local(), {}, *caller);
    CHECK(caller->stream != nullptr);
    CHECK_EQUAL(0, caller_seen.get().connected);  // not within the call
  });
  CHECK(caller_seen.await([](const Seen& value) { return value.closed.size() == 1; }));
  CHECK(caller_seen.get().closed.front() == CloseReason::finished);
  CHECK_EQUAL(kBytes, caller_seen.get().received);
  CHECK_EQUAL(1, caller_seen.get().connected);
  CHECK(closed_with(CloseReason::finished));
}

TEST(UringConnect, ARefusedConnectIsReported) {
  serve(each<EchoHandler>());
  const Endpoint gone = Listener::open(*Endpoint::parse("127.0.0.1:0"))->local();  // closed again
  loop->on_loop([&] {
    auto* caller = new EchoHandler(caller_seen, nullptr);
    caller->stream = loop->reactor->connect(gone, {}, *caller);
  });
  CHECK(caller_seen.await([](const Seen& value) { return !value.closed.empty(); }));
  CHECK(caller_seen.get().closed.front() == CloseReason::connect_refused);
  CHECK_EQUAL(0, caller_seen.get().connected);
}

namespace {

// Its queue has room for one and that one is there: Linux drops further SYNs.
struct FullListener {
  FullListener()
      : listener(std::move(*Listener::open(*Endpoint::parse("127.0.0.1:0"), {.backlog = 0}))),
        first(listener.local()) {
    pollfd queued{.fd = listener.descriptor(), .events = POLLIN, .revents = 0};
    while (::poll(&queued, 1, static_cast<int>(kPatience / 1ms)) < 0 && errno == EINTR) {
    }
    CHECK(queued.revents == POLLIN);
  }
  Listener listener;
  Client first;
};

}  // namespace

TEST(UringConnect, AConnectWithoutAnswerTimesOut) {
  serve(each<EchoHandler>());
  const FullListener full;
  constexpr int kCallers = 4;
  loop->on_loop([&] {
    for (int number = 0; number < kCallers; ++number) {
      auto* caller = new EchoHandler(caller_seen, nullptr);
      caller->stream = loop->reactor->connect(full.listener.local(), {.timeout = 100ms}, *caller);
    }
  });
  CHECK(caller_seen.await([](const Seen& value) { return !value.closed.empty(); }));
  CHECK(caller_seen.get().closed.front() == CloseReason::timed_out);
  CHECK_EQUAL(0, caller_seen.get().connected);
}

TEST(UringConnect, AConnectMayBeAborted) {
  serve(each<EchoHandler>());
  const FullListener full;
  loop->on_loop([&] {
    for (int number = 0; number < 4; ++number) {
      auto* caller = new EchoHandler(caller_seen, nullptr);
      caller->stream = loop->reactor->connect(full.listener.local(), {}, *caller);
      caller->stream->abort();
      CHECK(caller_seen.get().closed.empty());  // never within the call
    }
  });
  CHECK(caller_seen.await([](const Seen& value) { return value.closed.size() == 4; }));
  const std::vector<CloseReason> reasons = caller_seen.get().closed;
  CHECK_EQUAL(4, std::ranges::count(reasons, CloseReason::aborted));
}
