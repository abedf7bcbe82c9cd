// The io_uring transport against real sockets on the loopback interface.
#include "dataplane/net/uring/uring_reactor.h"

#include <algorithm>
#include <atomic>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/uring/uring_stream.h"
#include "tests/unit/dataplane/net/uring/loopback.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace std::chrono_literals;

TEST_GROUP(UringReactor) {
  Watched<Seen> seen;
  std::unique_ptr<TestAcceptor> acceptor;
  std::unique_ptr<LoopThread> loop;
  Listener listener;

  // A server whose every connection gets what `make` makes.
  void serve(TestAcceptor::Make make, const UringOptions& options = {}) {
    Result<Listener> made = Listener::open(*Endpoint::parse("127.0.0.1:0"));
    CHECK(made.has_value());
    listener = std::move(*made);
    acceptor = std::make_unique<TestAcceptor>([this, make = std::move(make)](Stream& stream) {
      StreamHandler* handler = make(stream);
      seen.update([](Seen& value) { ++value.accepted; });
      return handler;
    });
    loop = std::make_unique<LoopThread>(options);
    loop->reactor->listen(listener.descriptor(), *acceptor);
    loop->start();
  }
  template <typename Handler, typename... Arguments>
  TestAcceptor::Make each(Arguments... arguments) {
    return
        [this, arguments...](Stream& stream) { return new Handler(seen, &stream, arguments...); };
  }
  bool closed_with(CloseReason reason) {
    return seen.await([](const Seen& value) { return !value.closed.empty(); }) &&
           seen.get().closed == std::vector{reason};
  }

  void teardown() override {
    loop.reset();
    const Seen at_end = seen.get();
    CHECK(at_end.accepted + at_end.connected >= 0);
  }
};

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
  std::thread sender([&] {
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
  std::thread sender([&] {
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
  CHECK_EQUAL(1000, client.receive(1000).size());
  loop->on_loop([&] { stream.load()->abort(); });
  CHECK(closed_with(CloseReason::aborted));
  while (!client.receive(100'000).empty()) {
  }
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
  loop->on_loop([this] { CHECK_EQUAL(5, loop->reactor->statistics().accept_refused); });
  CHECK_EQUAL(0, loop->reactor->statistics().streams_now);
}

TEST(UringReactor, APeerThatResetsIsReported) {
  serve(each<EchoHandler>());
  Client client(listener.local());
  CHECK(client.send("x"));
  CHECK_EQUAL(1, client.receive(1).size());
  client.reset();
  CHECK(closed_with(CloseReason::peer_reset));
}

TEST(UringReactor, APeerThatLeavesWhileItIsSentToIsReported) {
  serve(each<SourceHandler>(std::uint64_t{1'000'000'000}));
  Client client(listener.local());
  CHECK_EQUAL(1000, client.receive(1000).size());
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
  CHECK_EQUAL(10, client.receive(10).size());
  while (client.send(std::string(10'000, 'x'))) {
  }
  CHECK(closed_with(CloseReason::finished));
}

TEST(UringReactor, APeerThatStaysSilentAfterTheEndIsCutOff) {
  serve(each<SourceHandler>(std::uint64_t{10}));
  Client client(listener.local());
  CHECK_EQUAL(10, client.receive(11).size());
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

TEST(UringReactor, FewReceiveBuffersSlowNobodyDownForGood) {
  constexpr int kClients = 64;
  serve(each<EchoHandler>(), {.client_buffers = 2, .client_buffer_bytes = 256});
  std::vector<Client> clients;
  for (int number = 0; number < kClients; ++number) clients.emplace_back(listener.local());
  for (int number = 0; number < kClients; ++number)
    CHECK(clients[number].send(pattern_text(number, 5000)));
  for (int number = 0; number < kClients; ++number) {
    CHECK(clients[number].receive(5000) == pattern_text(number, 5000));
  }
  CHECK(loop->reactor->statistics().receive_buffer_exhaustions > 0);
}

TEST(UringReactor, WhoFindsNoSlotIsReset) {
  serve(each<EchoHandler>(), {.maximum_streams = 2});
  Client first(listener.local());
  Client second(listener.local());
  CHECK(seen.await([](const Seen& value) { return value.accepted == 2; }));
  Client third(listener.local());
  third.receive(1);
  CHECK_EQUAL(ECONNRESET, third.error);
  CHECK_EQUAL(1, loop->reactor->statistics().accept_overflows);
  first.close();
  CHECK(closed_with(CloseReason::finished));
  Client fourth(listener.local());
  CHECK(fourth.send("x"));
  CHECK_EQUAL(1, fourth.receive(1).size());
}

TEST(UringReactor, StoppingClosesWhatIsOpen) {
  serve(each<EchoHandler>());
  Client idle(listener.local());
  Client busy(listener.local());
  CHECK(busy.send("x"));
  CHECK_EQUAL(1, busy.receive(1).size());
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
    CHECK_EQUAL(1, client.receive(1).size());
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

// --- connecting
// -------------------------------------------------------------------------------------------------------

TEST(UringReactor, ConnectsAndTransfersBothWays) {
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
  Watched<Seen> caller_seen;
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

TEST(UringReactor, ARefusedConnectIsReported) {
  serve(each<EchoHandler>());
  const Endpoint gone = Listener::open(*Endpoint::parse("127.0.0.1:0"))->local();  // closed again
  Watched<Seen> caller_seen;
  loop->on_loop([&] {
    auto* caller = new EchoHandler(caller_seen, nullptr);
    caller->stream = loop->reactor->connect(gone, {}, *caller);
  });
  CHECK(caller_seen.await([](const Seen& value) { return !value.closed.empty(); }));
  CHECK(caller_seen.get().closed.front() == CloseReason::connect_refused);
  CHECK_EQUAL(0, caller_seen.get().connected);
}

TEST(UringReactor, AConnectWithoutAnswerTimesOut) {
  serve(each<EchoHandler>());
  // A full queue: Linux drops further SYNs.
  Listener full = std::move(*Listener::open(*Endpoint::parse("127.0.0.1:0"), {.backlog = 0}));
  Watched<Seen> caller_seen;
  constexpr int kCallers = 4;
  loop->on_loop([&] {
    for (int number = 0; number < kCallers; ++number) {
      auto* caller = new EchoHandler(caller_seen, nullptr);
      caller->stream = loop->reactor->connect(full.local(), {.timeout = 100ms}, *caller);
    }
  });
  CHECK(caller_seen.await([](const Seen& value) { return !value.closed.empty(); }));
  CHECK(caller_seen.get().closed.front() == CloseReason::timed_out);
  CHECK(caller_seen.get().connected < kCallers);
}

TEST(UringReactor, AConnectMayBeAborted) {
  serve(each<EchoHandler>());
  Listener full = std::move(*Listener::open(*Endpoint::parse("127.0.0.1:0"), {.backlog = 0}));
  Watched<Seen> caller_seen;
  loop->on_loop([&] {
    for (int number = 0; number < 4; ++number) {
      auto* caller = new EchoHandler(caller_seen, nullptr);
      caller->stream = loop->reactor->connect(full.local(), {}, *caller);
      caller->stream->abort();
      CHECK(caller_seen.get().closed.empty());  // never within the call
    }
  });
  CHECK(caller_seen.await([](const Seen& value) { return value.closed.size() == 4; }));
  const std::vector<CloseReason> reasons = caller_seen.get().closed;
  CHECK_EQUAL(4, std::ranges::count(reasons, CloseReason::aborted));
}

// --- sending without copies
// -------------------------------------------------------------------------------------------

TEST(UringReactor, ZeroCopyTurnsItselfOffOnLoopback) {
  constexpr std::uint64_t kBytes = 20'000'000;
  serve(each<SourceHandler>(kBytes));
  Client client(listener.local());
  CHECK(client.receives_pattern(kBytes, 50'000));
  client.close();
  CHECK(closed_with(CloseReason::finished));
  CHECK_EQUAL(kBytes, seen.get().released);
  const UringStatistics statistics = loop->reactor->statistics();
  CHECK_EQUAL(1, statistics.zero_copy_sends);
  CHECK_EQUAL(1, statistics.zero_copy_copied);
  CHECK(statistics.sends > 10);
}

TEST(UringReactor, AnAbortWithZeroCopyUnderWayWaitsForTheKernel) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<Stream*> stream = nullptr;
    serve([&](Stream& accepted) {
      stream = &accepted;
      return new SourceHandler(seen, &accepted, 100'000'000);
    });
    Client client(listener.local(), 4096);
    CHECK_EQUAL(1, client.receive(1).size());
    loop->on_loop([&] { stream.load()->abort(); });
    CHECK(seen.await([&](const Seen& value) {
      return value.closed.size() == static_cast<std::size_t>(round) + 1;
    }));
    loop.reset();
  }
}

// --- signals, tasks, timers
// -------------------------------------------------------------------------------------------

TEST(UringReactor, SignalsFromOtherThreadsWakeIt) {
  serve(each<EchoHandler>());
  constexpr int kThreads = 3;
  constexpr int kRounds = 3000;
  std::atomic<int> raised = 0;
  Watched<int> noticed;
  Ref<Signal> signal;
  loop->on_loop([&] {
    signal = loop->reactor->make_signal(
        [&] { noticed.update([&](int& value) { value = raised.load(); }); });
  });
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        raised.fetch_add(1);
        signal->raise();
      }
    });
  }
  CHECK(noticed.await([](int value) { return value == kThreads * kRounds; }));
  for (std::thread& thread : threads) thread.join();
  loop->on_loop([&] { loop->reactor->cancel_signal(signal); });
  signal->raise();
  loop.reset();
  signal->raise();  // outlives the reactor
}

TEST(UringReactor, TimersFireInOrderAndNotEarly) {
  serve(each<EchoHandler>());
  struct Ringing {
    static void ring(void* context) {
      auto* self = static_cast<Ringing*>(context);
      const bool early = self->reactor->now() < self->timer.deadline();
      self->order->update(
          [&](std::vector<int>& value) { value.push_back(early ? -1 : self->number); });
    }
    UringReactor* reactor;
    Watched<std::vector<int>>* order;
    int number;
    Timer timer{&Ringing::ring, this};
  };
  Watched<std::vector<int>> order;
  Ringing late{loop->reactor.get(), &order, 2};
  Ringing soon{loop->reactor.get(), &order, 1};
  Ringing never{loop->reactor.get(), &order, 3};
  loop->on_loop([&] {
    const MonotonicTime now = loop->reactor->now();
    loop->reactor->arm(late.timer, now + 80ms);
    loop->reactor->arm(never.timer, now + 10ms);
    loop->reactor->arm(soon.timer, now + 20ms);
    loop->reactor->cancel(never.timer);
  });
  CHECK(order.await([](const std::vector<int>& value) { return value.size() == 2; }));
  CHECK((order.get() == std::vector<int>{1, 2}));
}

TEST(UringReactor, AcknowledgedBytesFollowTheReader) {
  std::atomic<Stream*> stream = nullptr;
  serve([&](Stream& accepted) {
    stream = &accepted;
    return new SourceHandler(seen, &accepted, 100'000, false);
  });
  Client client(listener.local());
  CHECK_EQUAL(100'000, client.receive(100'000).size());
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
