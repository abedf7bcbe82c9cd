// The helper threads: every step comes back to the worker that asked, bounds refuse at once,
// prefixes take turns, and what was cancelled never comes back. Real threads; every wait is for a
// condition.
#include "dataplane/tls/handshake_pool.h"

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

// A worker that waits for its signal.
class WaitingSignal : public Signal {
 public:
  void raise() override {
    const std::lock_guard lock(mutex_);
    ++raised_;
    wake_.notify_all();
  }
  // Until it was raised more often than `seen`.
  void wait(int& seen) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return raised_ > seen; });
    seen = raised_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  int raised_ = 0;
};

net::Address address(const char* text) { return *net::Address::parse(text); }

// Holds a helper inside a step for as long as the test wants: the source of randomness waits.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++inside_;
    wake_.notify_all();
    wake_.wait(lock, [&] { return open_; });
  }
  void await_inside() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return inside_ > 0; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  int inside_ = 0;
  bool open_ = false;
};

}  // namespace

TEST_GROUP(HandshakePool) {
  TestAuthority authority;
  ServerOptions options;
  std::shared_ptr<const ServerSettings> settings;
  std::shared_ptr<const ServerSettings> gated;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  Ref<WaitingSignal> signal = make_ref<WaitingSignal>();
  Ref<HandshakeMailbox> mailbox = make_ref<HandshakeMailbox>(signal);
  int seen = 0;
  Bytes hello;

  void setup() override {
    options.certificates = {authority.host("node.example")};
    options.ticket_keys = TicketKeys::make(real_now());
    settings = server_settings(options);
    options.random = [held = gate](std::span<std::byte> bytes) {
      held->pass();
      system_random(bytes);
    };
    gated = server_settings(options);
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.start("node.example");
    client.handshake();
    hello = client.out;
  }
  void teardown() override { gate->open(); }

  std::unique_ptr<HandshakeJob> job(const char* client,
                                    const std::shared_ptr<const ServerSettings>& with) {
    auto made = std::make_unique<HandshakeJob>();
    made->handshake = Handshake::server(with);
    made->handshake->feed(hello);
    made->client = address(client);
    made->now = real_now();
    made->mailbox = mailbox;
    return made;
  }
  std::unique_ptr<HandshakeJob> next() {
    for (;;) {
      if (auto done = mailbox->take()) return done;
      signal->wait(seen);
    }
  }
  HandshakePool::Submitted submit(HandshakePool & pool, const char* client,
                                  const std::shared_ptr<const ServerSettings>& with,
                                  HandshakeJob** place = nullptr) {
    auto made = job(client, with);
    if (place != nullptr) *place = made.get();
    return pool.submit(made);
  }
};

TEST(HandshakePool, WholeHandshakesRunOnHelpers) {
  HandshakePool pool({.threads = 3});
  constexpr int kConnections = 24;
  std::vector<std::unique_ptr<LibraryPeer>> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(std::make_unique<LibraryPeer>(MBEDTLS_SSL_IS_CLIENT));
    clients.back()->start("node.example");
    clients.back()->handshake();
    auto made = std::make_unique<HandshakeJob>();
    made->handshake = Handshake::server(settings);
    CHECK_TRUE(made->handshake->feed(clients.back()->out));
    clients.back()->out.clear();
    made->owner = clients.back().get();
    made->now = real_now();
    made->mailbox = mailbox;
    CHECK_TRUE(pool.submit(made) == HandshakePool::Submitted::yes);
  }
  int finished = 0;
  Duration spent{};
  while (finished < kConnections) {
    auto done = next();
    LibraryPeer& client = *static_cast<LibraryPeer*>(done->owner);
    const Bytes output = done->handshake->take_output();
    client.in.insert(client.in.end(), output.begin(), output.end());
    client.handshake();
    CHECK_TRUE(done->cpu > Duration(0));
    if (done->result == Handshake::Step::finished) {
      check_data(*done->handshake, client);
      spent += done->cpu;
      ++finished;
      continue;
    }
    CHECK_TRUE(done->result == Handshake::Step::need_more);
    CHECK_TRUE(done->handshake->feed(client.out));
    client.out.clear();
    CHECK_TRUE(pool.submit(done) == HandshakePool::Submitted::yes);
  }
  const HandshakePoolCounts counts = pool.counts();
  LONGS_EQUAL(kConnections, counts.finished_full);
  LONGS_EQUAL(0, counts.finished_resumed);
  LONGS_EQUAL(2 * kConnections, counts.submitted);
  LONGS_EQUAL(0, counts.jobs);
  LONGS_EQUAL(0, counts.queued);
  // A job that is submitted again goes on counting: the cost is that of all steps.
  CHECK_TRUE(counts.cpu_full == spent);
}

TEST(HandshakePool, FullQueuesRefuseAtOnceAndLeaveTheJob) {
  HandshakePool pool({.threads = 1, .maximum_jobs = 4, .maximum_jobs_per_prefix = 2});
  CHECK_TRUE(submit(pool, "192.0.2.1", gated) == HandshakePool::Submitted::yes);
  gate->await_inside();
  CHECK_TRUE(submit(pool, "192.0.2.2", settings) == HandshakePool::Submitted::yes);
  // The same /24; another one; the same /56 and another.
  auto third = job("192.0.2.3", settings);
  CHECK_TRUE(pool.submit(third) == HandshakePool::Submitted::prefix_full);
  CHECK_TRUE(third != nullptr);
  CHECK_TRUE(submit(pool, "2001:db8:0:1::1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "2001:db8:0:2::1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "198.51.100.1", settings) == HandshakePool::Submitted::full);
  LONGS_EQUAL(1, pool.counts().refused_prefix);
  LONGS_EQUAL(1, pool.counts().refused_full);
  LONGS_EQUAL(3, pool.counts().queued);
  gate->open();
  for (int i = 0; i < 4; ++i) next();
  LONGS_EQUAL(0, pool.counts().jobs);
  CHECK_TRUE(submit(pool, "192.0.2.3", settings) == HandshakePool::Submitted::yes);
  next();
}

TEST(HandshakePool, PrefixesAreAsLongAsTheOptionsSay) {
  HandshakePool pool({.threads = 0,
                      .maximum_jobs = 64,
                      .maximum_jobs_per_prefix = 1,
                      .prefix_v4_bits = 31,
                      .prefix_v6_bits = 64});
  CHECK_TRUE(submit(pool, "192.0.2.2", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "192.0.2.3", settings) == HandshakePool::Submitted::prefix_full);
  CHECK_TRUE(submit(pool, "192.0.2.4", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "2001:db8:0:1::1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "2001:db8:0:1::2", settings) == HandshakePool::Submitted::prefix_full);
  CHECK_TRUE(submit(pool, "2001:db8:0:2::1", settings) == HandshakePool::Submitted::yes);
}

TEST(HandshakePool, AFloodOfListenersLeavesOriginsTheirPart) {
  HandshakePool pool({.threads = 0, .maximum_jobs = 48, .maximum_jobs_per_prefix = 48});
  ClientOptions trusting;
  trusting.ca_file = authority.ca_file();
  const auto of_origin = client_settings(trusting);
  const auto submit_origin = [&] {
    auto made = job("192.0.2.1", settings);
    made->handshake = Handshake::client(of_origin, "node.example");
    return pool.submit(made);
  };
  // From the origin's own network, too: its prefix is still another one.
  for (int i = 0; i < 48; ++i)
    CHECK_TRUE(submit(pool, "192.0.2.1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "198.51.100.1", settings) == HandshakePool::Submitted::full);
  for (int i = 0; i < 16; ++i) CHECK_TRUE(submit_origin() == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit_origin() == HandshakePool::Submitted::full);
  // In turns: the first two jobs are one of each.
  CHECK_TRUE(pool.run_one());
  CHECK_FALSE(next()->handshake->is_client());
  CHECK_TRUE(pool.run_one());
  CHECK_TRUE(next()->handshake->is_client());
  CHECK_TRUE(submit(pool, "198.51.100.1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "198.51.100.1", settings) == HandshakePool::Submitted::full);
  CHECK_TRUE(submit_origin() == HandshakePool::Submitted::yes);
  LONGS_EQUAL(64, pool.counts().jobs);
}

// Somebody was once reset when the signature was made and paid for, because others had come since.
TEST(HandshakePool, WhoHasBegunIsNotRefused) {
  HandshakePool pool({.threads = 0, .maximum_jobs = 1, .maximum_jobs_per_prefix = 1});
  CHECK_TRUE(submit(pool, "192.0.2.1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(pool.run_one());
  auto begun = next();
  CHECK_TRUE(begun->result == Handshake::Step::need_more);
  CHECK_TRUE(submit(pool, "192.0.2.1", settings) == HandshakePool::Submitted::yes);
  CHECK_TRUE(submit(pool, "192.0.2.1", settings) == HandshakePool::Submitted::full);
  CHECK_TRUE(pool.submit(begun) == HandshakePool::Submitted::yes);
  LONGS_EQUAL(2, pool.counts().jobs);
}

TEST(HandshakePool, WorkersAreWokenWithoutHoldingUpThePool) {
  // Asks another thread for the counts, which needs the pool's mutex, while it is raised.
  class AskingSignal : public Signal {
   public:
    void raise() override {
      asked = std::async(std::launch::async, [this] { return pool->counts().jobs; });
      answered = asked.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
    }
    HandshakePool* pool = nullptr;
    std::future<std::size_t> asked;
    bool answered = false;
  };
  HandshakePool pool({.threads = 0});
  const Ref<AskingSignal> asking = make_ref<AskingSignal>();
  asking->pool = &pool;
  mailbox = make_ref<HandshakeMailbox>(asking);
  submit(pool, "192.0.2.1", settings);
  CHECK_TRUE(pool.run_one());
  CHECK_TRUE(asking->answered);
  LONGS_EQUAL(0, asking->asked.get());
  CHECK_TRUE(mailbox->take() != nullptr);
}

TEST(HandshakePool, PrefixesTakeTurns) {
  HandshakePool pool({.threads = 1});
  submit(pool, "203.0.113.1", gated);
  gate->await_inside();
  HandshakeJob* flood = nullptr;
  for (int i = 0; i < 20; ++i) submit(pool, "192.0.2.1", settings, &flood);
  HandshakeJob* one = nullptr;
  HandshakeJob* other = nullptr;
  submit(pool, "198.51.100.1", settings, &one);
  submit(pool, "2001:db8::1", settings, &other);
  gate->open();
  next();  // the gated one
  next();  // of the flood
  POINTERS_EQUAL(one, next().get());
  POINTERS_EQUAL(other, next().get());
  for (int i = 0; i < 19; ++i) next();
  LONGS_EQUAL(0, pool.counts().jobs);
}

TEST(HandshakePool, CancelledJobsNeverComeBack) {
  HandshakePool pool({.threads = 1});
  HandshakeJob* running = nullptr;
  HandshakeJob* queued = nullptr;
  HandshakeJob* wanted = nullptr;
  submit(pool, "192.0.2.1", gated, &running);
  gate->await_inside();
  submit(pool, "192.0.2.1", settings, &queued);
  submit(pool, "192.0.2.1", settings, &wanted);
  pool.cancel(queued);
  LONGS_EQUAL(1, pool.counts().queued);
  pool.cancel(running);
  gate->open();
  POINTERS_EQUAL(wanted, next().get());
  CHECK_TRUE(mailbox->take() == nullptr);
  // Done but not taken yet.
  HandshakeJob* returned = nullptr;
  submit(pool, "192.0.2.1", settings, &returned);
  signal->wait(seen);
  pool.cancel(returned);
  CHECK_TRUE(mailbox->take() == nullptr);
  LONGS_EQUAL(3, pool.counts().cancelled);
  LONGS_EQUAL(0, pool.counts().jobs);
}

// By the worker, that knows of all; steps are counted with what they cost.
TEST(HandshakePool, FailuresAreCountedOnce) {
  HandshakePool pool({.threads = 1});
  auto made = job("192.0.2.1", settings);
  made->handshake = Handshake::server(settings);
  made->handshake->feed(std::as_bytes(std::span("GET / HTTP/1.1\r\n", 16)));
  pool.submit(made);
  const auto failed = next();
  CHECK_TRUE(failed->result == Handshake::Step::failed);
  pool.note_failure(failed->handshake->failure());
  LONGS_EQUAL(1, pool.counts().failed[static_cast<std::size_t>(HandshakeFailure::not_tls)]);
  CHECK_TRUE(pool.counts().cpu_failed > Duration(0));
}

TEST(HandshakePool, StoppingDropsWhatWaitsAndRefusesMore) {
  HandshakePool pool({.threads = 2});
  submit(pool, "192.0.2.1", gated);
  submit(pool, "192.0.2.2", gated);
  gate->await_inside();
  for (int i = 0; i < 8; ++i) submit(pool, "192.0.2.3", gated);
  gate->open();
  pool.stop();
  pool.stop();
  LONGS_EQUAL(0, pool.counts().queued);
  LONGS_EQUAL(0, pool.counts().jobs);
  CHECK_TRUE(submit(pool, "192.0.2.1", settings) == HandshakePool::Submitted::stopped);
}
