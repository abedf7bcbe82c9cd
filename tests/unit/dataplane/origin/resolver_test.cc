// Names are looked up on helper threads, once for all who ask, and remembered.
#include "dataplane/origin/resolver.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

namespace {

// Only post() of a reactor, and a way to run what was posted on the test's thread.
class PostBox final : public net::Reactor {
 public:
  void post(std::function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  // Waits for the next one and runs it.
  void run_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !tasks_.empty(); });
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return tasks_.empty();
  }

  MonotonicTime now() const override { return {}; }
  WallTime wall_now() const override { return {}; }
  std::chrono::milliseconds wall_now_ms() const override { return {}; }
  std::uint64_t random() override { return 0; }
  void arm(net::Timer&, MonotonicTime) override {}
  void cancel(net::Timer&) override {}
  Ref<Signal> make_signal(std::function<void()>) override { return {}; }
  void cancel_signal(const Ref<Signal>&) override {}
  net::Stream* connect(const net::Endpoint&, const net::ConnectOptions&,
                       net::StreamHandler&) override {
    return nullptr;
  }
  void listen(const net::ListenPlace&, net::Acceptor&) override {}
  void stop_listening() override {}

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
};

class Waiter final : public ResolveWaiter {
 public:
  std::vector<Resolution> answers;
  void on_resolved(const Resolution& resolution) override { answers.push_back(resolution); }
};

// A name server under the test's control: each look-up waits until the test lets it answer.
class NameServer {
 public:
  Resolution look_up(const std::string& host) {
    std::unique_lock lock(mutex_);
    asked_.push_back(host);
    changed_.notify_all();
    changed_.wait(lock, [&] { return permits_ > 0; });
    --permits_;
    return reply_;
  }
  void let_answer(Resolution reply, int look_ups = 1) {
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
    permits_ += look_ups;
    changed_.notify_all();
  }
  void wait_until_asked(std::size_t times) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_.size() >= times; });
  }
  std::size_t times_asked() {
    const std::lock_guard lock(mutex_);
    return asked_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> asked_;
  Resolution reply_;
  int permits_ = 0;
};

net::Address address(const char* text) { return net::Address::parse(text).value(); }
Resolution found(const char* text) { return {.addresses = {address(text)}, .failure = {}}; }

}  // namespace

TEST_GROUP(Resolver) {
  PostBox reactor;
  std::shared_ptr<NameServer> server = std::make_shared<NameServer>();
  std::shared_ptr<Waiter> waiter = std::make_shared<Waiter>();
  MonotonicTime now{1h};
  ResolverLimits limits;
  std::unique_ptr<SystemResolver> resolver;

  void open() {
    resolver = std::make_unique<SystemResolver>(
        limits, [server = server](const std::string& host) { return server->look_up(host); });
  }
  TEST_TEARDOWN() {
    resolver.reset();
    server->let_answer({}, 1000);  // helper threads that still wait
  }
  void resolve_once(const char* host, Resolution reply) {
    resolver->resolve(host, now, reactor, waiter);
    server->let_answer(std::move(reply));
    reactor.run_one();
  }
};

TEST(Resolver, OneLookUpForAllWhoAsk) {
  open();
  auto second = std::make_shared<Waiter>();
  CHECK(!resolver->known("a", now).has_value());
  resolver->resolve("a", now, reactor, waiter);
  resolver->resolve("a", now, reactor, second);
  server->wait_until_asked(1);
  CHECK(reactor.empty());
  server->let_answer(found("192.0.2.1"));
  reactor.run_one();
  reactor.run_one();
  CHECK_EQUAL(1u, server->times_asked());
  CHECK_EQUAL(1u, waiter->answers.size());
  CHECK(second->answers.at(0).addresses.at(0) == address("192.0.2.1"));
  CHECK(resolver->known("a", now + 29s).has_value());
}

TEST(Resolver, WhoHasGoneHearsNothing) {
  open();
  resolver->resolve("a", now, reactor, waiter);
  waiter.reset();
  server->let_answer(found("192.0.2.1"));
  reactor.run_one();
}

TEST(Resolver, AnExpiredAnswerIsGivenWhileANewOneIsSought) {
  open();
  resolve_once("a", found("192.0.2.1"));
  now += 31s;
  const auto stale = resolver->known("a", now);
  CHECK(stale.has_value());
  CHECK(stale->addresses[0] == address("192.0.2.1"));
  server->let_answer(found("192.0.2.2"));
  // Behind the refresh in the queue, so that its answer is there.
  resolver->resolve("a", now, reactor, waiter);
  server->wait_until_asked(2);
  server->let_answer(found("192.0.2.2"));
  reactor.run_one();
  CHECK(resolver->known("a", now)->addresses[0] == address("192.0.2.2"));
}

TEST(Resolver, AVeryOldAnswerIsUsedOnlyWhenTheLookUpFails) {
  open();
  resolve_once("a", found("192.0.2.1"));
  now += 1h;
  CHECK(!resolver->known("a", now).has_value());
  resolve_once("a", {.addresses = {}, .failure = "server away"});
  CHECK(waiter->answers.back().addresses.at(0) == address("192.0.2.1"));
  // And is not sought again at once.
  CHECK(resolver->known("a", now).has_value());
  CHECK(!resolver->known("a", now + 2s).has_value());
}

TEST(Resolver, AFailureIsRememberedBriefly) {
  open();
  resolve_once("a", {.addresses = {}, .failure = "no such name"});
  STRCMP_EQUAL("no such name", waiter->answers.at(0).failure.c_str());
  STRCMP_EQUAL("no such name", resolver->known("a", now)->failure.c_str());
  CHECK(!resolver->known("a", now + 1s).has_value());
}

TEST(Resolver, TheQueueIsBounded) {
  limits.threads = 1;
  limits.queued_names = 1;
  open();
  resolver->resolve("a", now, reactor, waiter);
  server->wait_until_asked(1);  // the thread is busy with it
  resolver->resolve("b", now, reactor, waiter);
  resolver->resolve("c", now, reactor, waiter);
  reactor.run_one();
  STRCMP_CONTAINS("too many names", waiter->answers.at(0).failure.c_str());
  server->let_answer(found("192.0.2.1"), 2);
  reactor.run_one();
  reactor.run_one();
  CHECK_EQUAL(3u, waiter->answers.size());
}

TEST(Resolver, TheNameNotAskedForLongestIsForgotten) {
  limits.names = 2;
  open();
  resolve_once("a", found("192.0.2.1"));
  now += 1s;
  resolve_once("b", found("192.0.2.2"));
  now += 1s;
  CHECK(resolver->known("a", now).has_value());
  resolve_once("c", found("192.0.2.3"));
  CHECK(resolver->known("a", now).has_value());
  CHECK(!resolver->known("b", now).has_value());
}

TEST(Resolver, NothingIsPostedAfterStop) {
  open();
  resolver->resolve("a", now, reactor, waiter);
  server->wait_until_asked(1);
  resolver->stop();
  server->let_answer(found("192.0.2.1"));
  resolver->resolve("b", now, reactor, waiter);
  CHECK(reactor.empty());
}

TEST(Resolver, AThrowingLookUpIsAFailure) {
  SystemResolver throwing(
      limits, [](const std::string&) -> Resolution { throw std::runtime_error("broken"); });
  throwing.resolve("a", now, reactor, waiter);
  reactor.run_one();
  STRCMP_EQUAL("broken", waiter->answers.at(0).failure.c_str());
}

TEST(Resolver, TheSystemKnowsLocalhost) {
  const Resolution resolution = look_up_by_system("localhost");
  CHECK(!resolution.addresses.empty());
  const Resolution none = look_up_by_system(std::string(300, 'a'));  // fails without asking anybody
  CHECK(none.addresses.empty());
  CHECK(!none.failure.empty());
}

TEST(Resolver, FamiliesTakeTurns) {
  std::vector<net::Address> addresses;
  for (const char* text :
       {"2001:db8::1", "2001:db8::2", "2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"}) {
    addresses.push_back(address(text));
  }
  std::string order;
  for (const net::Address& one : interleave_families(addresses)) order += one.text() + " ";
  STRCMP_EQUAL("2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 192.0.2.3 ", order.c_str());
  std::vector<net::Address> many;
  for (int i = 0; i < 40; ++i) many.push_back(address(("192.0.2." + std::to_string(i)).c_str()));
  CHECK_EQUAL(kMaximumAddresses, interleave_families(many).size());
  CHECK(interleave_families({}).empty());
}
