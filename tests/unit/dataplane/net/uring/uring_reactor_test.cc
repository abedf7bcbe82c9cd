// The io_uring transport against real sockets on the loopback interface: what a served connection
// goes through.
#include "dataplane/net/uring/uring_reactor.h"

#include <algorithm>
#include <atomic>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/uring/uring_stream.h"
#include "tests/unit/dataplane/net/uring/loopback.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace std::chrono_literals;

TEST_GROUP_BASE(UringReactor, ServedLoop){};

TEST(UringReactor, EchoesOverOneConnectionManyTimes) {
  serve(each<EchoHandler>());
  Client client(listener.local());
  for (std::uint64_t round = 0; round < 500; ++round) {
    const std::string text = pattern_text(round, 1 + round * 7 % 3000);
    CHECK(client.send(text));
    CHECK(client.receive(text.size()) == text);
  }
  client.half_close();
  CHECK(client.receive(1).empty());
  CHECK_EQUAL(0, client.error);
  CHECK(closed_with(CloseReason::finished));
  CHECK_EQUAL(1, seen.get().ended);
  const UringStatistics statistics = loop->reactor->statistics();
  CHECK_EQUAL(1, statistics.accepted);
  CHECK_EQUAL(statistics.received_bytes, statistics.sent_bytes);
}

TEST(UringReactor, TellsBothEndpoints) {
  Watched<std::pair<Endpoint, Endpoint>> endpoints;
  serve([&](Stream& stream) {
    endpoints.update([&](auto& value) { value = {stream.peer(), stream.local()}; });
    return new EchoHandler(seen, &stream);
  });
  Client client(listener.local());
  CHECK(seen.await([](const Seen& value) { return value.accepted == 1; }));
  CHECK(endpoints.get().first == local_endpoint(client.descriptor));
  CHECK(endpoints.get().second == listener.local());
}

TEST(UringReactor, ABigResponseReachesASlowReaderWhole) {
  constexpr std::uint64_t kBytes = 24'000'000;
  serve(each<SourceHandler>(kBytes));
  Client client(listener.local(), 4096);  // a small window: the sender must wait often
  CHECK(client.receives_pattern(kBytes, 3001));
  client.close();
  CHECK(closed_with(CloseReason::finished));
  CHECK_EQUAL(kBytes, seen.get().released);
}

TEST(UringReactor, ABigUploadComesBack) {
  constexpr std::uint64_t kBytes = 16'000'000;
  serve(each<EchoHandler>());
  Client client(listener.local());
  std::jthread sender([&] {
    for (std::uint64_t offset = 0; offset < kBytes; offset += 100'000) {
      if (!client.send(pattern_text(offset, 100'000))) return;
    }
    client.half_close();
  });
  CHECK(client.receives_pattern(kBytes, 70'000));
  sender.join();
  CHECK(closed_with(CloseReason::finished));
}

namespace {

// Takes nothing until it is told to; then everything, checking the pattern.
struct PausedHandler : TestHandler {
  using TestHandler::TestHandler;
  std::size_t on_receive(std::span<const std::byte> bytes) override {
    if (!open) {
      seen.update([](Seen& value) { ++value.connected; });  // "was offered something"
      return 0;
    }
    for (const std::byte byte : bytes) wrong |= static_cast<char>(byte) != pattern(offset++);
    return TestHandler::on_receive(bytes);
  }
  bool open = false;
  bool wrong = false;
  std::uint64_t offset = 0;
};

}  // namespace

TEST(UringReactor, APausedHandlerHoldsThePeerBackAndLosesNothing) {
  std::atomic<PausedHandler*> handler = nullptr;
  serve([&](Stream& stream) { return handler = new PausedHandler(seen, &stream); });
  Client client(listener.local());
  constexpr std::uint64_t kBytes = 32'000'000;  // more than the kernel's buffers
  std::atomic<std::uint64_t> sent = 0;
  std::jthread sender([&] {
    for (; sent < kBytes; sent += 100'000) {
      if (!client.send(pattern_text(sent, 100'000))) return;
    }
    client.half_close();
  });
  CHECK(seen.await([](const Seen& value) { return value.connected > 0; }));
  CHECK_EQUAL(0, seen.get().received);
  loop->on_loop([&] {
    handler.load()->open = true;
    handler.load()->stream->resume_receive();
  });
  CHECK(seen.await([](const Seen& value) { return value.received == kBytes && value.ended == 1; }));
  sender.join();
  CHECK(closed_with(CloseReason::finished));
  CHECK_EQUAL(1, loop->reactor->statistics().receive_pauses);
}

TEST(UringReactor, TheEndIsToldAfterWhatWasLeft) {
  std::atomic<PausedHandler*> handler = nullptr;
  serve([&](Stream& stream) { return handler = new PausedHandler(seen, &stream); });
  Client client(listener.local());
  CHECK(client.send(pattern_text(0, 10)));
  client.half_close();
  CHECK(seen.await([](const Seen& value) { return value.connected > 0; }));
  loop->on_loop([&] { CHECK_EQUAL(0, seen.get().ended); });
  loop->on_loop([&] {
    handler.load()->open = true;
    handler.load()->stream->resume_receive();
  });
  CHECK(seen.await([](const Seen& value) { return value.ended == 1; }));
  CHECK_EQUAL(10, seen.get().received);
}

TEST(UringReactor, AnAbortIsAReset) {
  serve([this](Stream& stream) {
    stream.abort();
    return new EchoHandler(seen, &stream);
  });
  Client client(listener.local());
  client.receive(1);
  CHECK_EQUAL(ECONNRESET, client.error);
  CHECK(closed_with(CloseReason::aborted));
}

TEST(UringReactor, AnAbortInTheMiddleOfASendIsAReset) {
  std::atomic<Stream*> stream = nullptr;
  serve([&](Stream& accepted) {
    stream = &accepted;
    return new SourceHandler(seen, &accepted, 1'000'000'000);
  });
  Client client(listener.local());
  CHECK(client.receive(1000).size() == 1000);
  loop->on_loop([&] { stream.load()->abort(); });
  CHECK(closed_with(CloseReason::aborted));
  do {  // a reset is told once, maybe together with the last bytes
    client.receive(100'000);
  } while (client.error == 0);
  CHECK_EQUAL(ECONNRESET, client.error);
}

TEST(UringReactor, ARefusedConnectionIsReset) {
  serve([](Stream& stream) -> StreamHandler* {
    stream.wake_sender();  // allowed, and without effect
    return nullptr;
  });
  for (int round = 0; round < 5; ++round) {
    Client client(listener.local());
    client.receive(1);
    CHECK_EQUAL(ECONNRESET, client.error);
  }
  // Slots come back at the end of a turn: the second of these tasks runs in a turn after the last
  // refusal's.
  loop->on_loop([this] { CHECK_EQUAL(5, loop->reactor->statistics().accept_refused); });
  loop->on_loop([this] { CHECK_EQUAL(0, loop->reactor->statistics().streams_now); });
}

TEST(UringReactor, APeerThatResetsIsReported) {
  serve(each<EchoHandler>());
  Client client(listener.local());
  CHECK(client.send("x"));
  CHECK(client.receive(1).size() == 1);
  client.reset();
  CHECK(closed_with(CloseReason::peer_reset));
}

TEST(UringReactor, APeerThatLeavesWhileItIsSentToIsReported) {
  serve(each<SourceHandler>(std::uint64_t{1'000'000'000}));
  Client client(listener.local());
  CHECK(client.receive(1000).size() == 1000);
  client.close();
  CHECK(closed_with(CloseReason::peer_reset));
}

TEST(UringReactor, AResponseSurvivesAPeerThatStillTalks) {
  // RFC 9112 9.6: closing with unread bytes would send a RST that destroys the response on its way.
  constexpr std::uint64_t kBytes = 3'000'000;
  serve(each<SourceHandler>(kBytes));
  Client client(listener.local());
  CHECK(client.send(std::string(10'000, 'x')));
  CHECK(client.receives_pattern(kBytes, 1000));
  client.send(std::string(10'000, 'x'));
  client.close();
  CHECK(closed_with(CloseReason::finished));
}

TEST(UringReactor, APeerThatTalksForeverAfterTheEndIsCutOff) {
  serve(each<SourceHandler>(std::uint64_t{10}));
  Client client(listener.local());
  CHECK(client.receive(10).size() == 10);
  while (client.send(std::string(10'000, 'x'))) {
  }
  CHECK(closed_with(CloseReason::finished));
}

TEST(UringReactor, APeerThatStaysSilentAfterTheEndIsCutOff) {
  serve(each<SourceHandler>(std::uint64_t{10}));
  Client client(listener.local());
  CHECK(client.receive(11).size() == 10);
  CHECK(closed_with(CloseReason::finished));  // after the linger time of a second
}

TEST(UringReactor, ManyConnectionsAtOnce) {
  constexpr int kClients = 300;
  serve(each<EchoHandler>());
  std::vector<Client> clients;
  for (int number = 0; number < kClients; ++number) clients.emplace_back(listener.local());
  for (int round = 0; round < 3; ++round) {
    for (int number = 0; number < kClients; ++number) {
      CHECK(clients[number].send(pattern_text(number, 700)));
    }
    for (int number = 0; number < kClients; ++number) {
      CHECK(clients[number].receive(700) == pattern_text(number, 700));
    }
  }
  CHECK_EQUAL(kClients, loop->reactor->statistics().streams_now);
  clients.clear();
  CHECK(seen.await([](const Seen& value) { return value.closed.size() == kClients; }));
  const std::vector<CloseReason> reasons = seen.get().closed;
  CHECK_EQUAL(kClients, std::ranges::count(reasons, CloseReason::finished));
}

TEST(UringReactor, StoppingClosesWhatIsOpen) {
  serve(each<EchoHandler>());
  Client idle(listener.local());
  Client busy(listener.local());
  CHECK(busy.send("x"));
  CHECK(busy.receive(1).size() == 1);
  CHECK(seen.await([](const Seen& value) { return value.accepted == 2; }));
  loop->stop();
  const std::vector<CloseReason> expected(2, CloseReason::aborted);
  CHECK(seen.get().closed == expected);
  CHECK_EQUAL(0, loop->reactor->statistics().streams_now);
}

TEST(UringReactor, AfterStopListeningTheQueueIsServedAndNobodyElse) {
  serve(each<EchoHandler>());
  std::vector<Client> queued;
  loop->on_loop([&] {
    // The loop is busy here: these connections wait in the socket's queue.
    for (int number = 0; number < 20; ++number) queued.emplace_back(listener.local());
    loop->reactor->stop_listening();
    ::close(listener.release());
  });
  for (Client& client : queued) {
    CHECK(client.send("x"));
    CHECK(client.receive(1).size() == 1);
  }
  CHECK_EQUAL(20, seen.get().accepted);
}

TEST(UringReactor, AReactorThatNeverRanTellsItsStreams) {
  {
    LoopThread never;
    auto* handler = new EchoHandler(seen, nullptr);
    handler->stream = never.reactor->connect(*Endpoint::parse("127.0.0.1:1"), {}, *handler);
    CHECK(handler->stream != nullptr);
  }
  CHECK(closed_with(CloseReason::aborted));
}

TEST(UringReactor, AcknowledgedBytesFollowTheReader) {
  std::atomic<Stream*> stream = nullptr;
  serve([&](Stream& accepted) {
    stream = &accepted;
    return new SourceHandler(seen, &accepted, 100'000, false);
  });
  Client client(listener.local());
  CHECK(client.receive(100'000).size() == 100'000);
  Watched<bool> all;
  std::function<void()> look = [&] {  // the last acknowledgement may be on its way yet
    if (stream.load()->acknowledged_bytes() >= 100'000) {
      all.update([](bool& value) { value = true; });
    } else {
      loop->reactor->post(look);
    }
  };
  loop->reactor->post(look);
  CHECK(all.await([](bool value) { return value; }));
}

TEST(UringReactor, AnIdleConnectionIsSmall) {
  // Of the 2 KiB a connection may cost; the rest is the session's.
  CHECK(sizeof(uring::UringStream) <= 400);
}
