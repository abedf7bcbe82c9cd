// The io_uring transport when something is short: receive buffers, slots, descriptors.
#include "dataplane/net/uring/uring_reactor.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <optional>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/uring/loopback.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace std::chrono_literals;

TEST_GROUP_BASE(UringShortages, ServedLoop){};

TEST(UringShortages, FewReceiveBuffersSlowNobodyDownForGood) {
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

TEST(UringShortages, WhoFindsNoSlotIsReset) {
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
  CHECK(fourth.receive(1).size() == 1);
}

namespace {

// Leaves `free` descriptors to the process while it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(std::size_t free) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    taken_.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(taken_.front()) + 64;
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int next; (next = ::dup(taken_.front())) >= 0;) taken_.push_back(next);
    while (free-- > 0) give_one_back();
  }
  ~FewDescriptors() {
    while (!taken_.empty()) give_one_back();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  void give_one_back() {
    ::close(taken_.back());
    taken_.pop_back();
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

}  // namespace

// UndefinedBehaviorSanitizer looks at memory through a pipe it makes: without descriptors it sees
// errors everywhere.
#if __has_feature(address_sanitizer)
#define TEST_WITHOUT_DESCRIPTORS IGNORE_TEST
#else
#define TEST_WITHOUT_DESCRIPTORS TEST
#endif

TEST_WITHOUT_DESCRIPTORS(UringShortages, WithoutDescriptorsClientsWaitInTheQueueUntilThereAreSome) {
  constexpr int kClients = 8;
  constexpr int kFree = 3;
  std::vector<Client> clients;
  std::optional<FewDescriptors> few;
  serve(each<EchoHandler>(), {}, [&] {
    for (int number = 0; number < kClients; ++number) clients.emplace_back(listener.local());
    // Before the loop starts: io_uring notes the limit when accepting is asked for.
    few.emplace(kFree);
  });
  Watched<bool> failed;
  std::function<void()> look = [&] {
    if (loop->reactor->statistics().accept_failures > 0) {
      failed.update([](bool& value) { value = true; });
    } else {
      loop->reactor->post(look);
    }
  };
  loop->reactor->post(look);
  const bool has_failed = failed.await([](bool value) { return value; });
  const int accepted = seen.get().accepted;
  // One that leaves makes room for one that waits, and the rest come when the shortage ends.
  clients.front().half_close();
  const bool next_came = seen.await([](const Seen& value) { return value.accepted == kFree + 1; });
  few.reset();
  const bool all_came = seen.await([](const Seen& value) { return value.accepted == kClients; });
  CHECK(has_failed);
  CHECK_EQUAL(kFree, accepted);
  CHECK(next_came);
  CHECK(all_came);
  for (Client& client : std::span(clients).subspan(1)) {
    CHECK(client.send("x"));
    CHECK(client.receive(1).size() == 1);
  }
}
