// What wakes a worker that waits: the queue's interrupt, messages, other descriptors; and that what
// rang before it was armed is forgotten. Interrupts of a pretended queue: an eventfd.
#include "dataplane/net/dpdk/doorbell.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/dpdk/packet_io.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {
namespace {

class Queue : public PacketIo {
 public:
  std::size_t receive(std::span<rte_mbuf*>) override { return 0; }
  std::size_t send(std::span<rte_mbuf*> packets) override { return packets.size(); }
  void reclaim() override {}
};

class InterruptedQueue final : public Queue {
 public:
  InterruptedQueue() : event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~InterruptedQueue() override { ::close(event); }
  InterruptedQueue(const InterruptedQueue&) = delete;
  InterruptedQueue& operator=(const InterruptedQueue&) = delete;

  bool watch(int epoll_descriptor) override {
    epoll_event wanted{};
    wanted.events = EPOLLIN | EPOLLET;
    return ::epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, event, &wanted) == 0;
  }
  bool arm() override { return is_armed = can_arm; }
  void disarm() override { is_armed = false; }
  void interrupt() const {
    const std::uint64_t one = 1;
    CHECK_EQUAL(8, ::write(event, &one, sizeof one));
  }

  int event;
  bool can_arm = true;
  bool is_armed = false;
};

bool rings(const Doorbell& bell) {
  pollfd one{.fd = bell.descriptor(), .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) == 1;
}

}  // namespace

TEST_GROUP(Doorbell) {
  InterruptedQueue queue;
  std::unique_ptr<Doorbell> bell;

  void setup() override {
    ensure_eal();
    bell = Doorbell::create();
    CHECK(bell != nullptr);
    CHECK_FALSE(bell->is_ready());
    CHECK(bell->watch_queue(queue));
    CHECK(bell->is_ready());
  }
};

TEST(Doorbell, rings_for_packets_and_messages_after_it_was_armed) {
  CHECK(bell->arm());
  CHECK(queue.is_armed);
  CHECK_FALSE(rings(*bell));
  queue.interrupt();
  CHECK(rings(*bell));
  bell->disarm();
  CHECK_FALSE(queue.is_armed);
  CHECK(bell->arm());
  CHECK_FALSE(rings(*bell));
  bell->ring();
  bell->ring();
  CHECK(rings(*bell));
  CHECK(bell->arm());
  CHECK_FALSE(rings(*bell));
}

TEST(Doorbell, rings_as_long_as_another_descriptor_is_readable) {
  int ends[2];
  CHECK_EQUAL(0, ::pipe(ends));
  CHECK(bell->watch(ends[0]));
  CHECK_EQUAL(1, ::write(ends[1], "x", 1));
  CHECK(bell->arm());
  CHECK(rings(*bell));
  char byte;
  CHECK_EQUAL(1, ::read(ends[0], &byte, 1));
  CHECK(bell->arm());
  CHECK_FALSE(rings(*bell));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Doorbell, is_of_no_use_without_an_interrupt) {
  Queue silent;
  const auto other = Doorbell::create();
  CHECK_FALSE(other->watch_queue(silent));
  CHECK_FALSE(other->is_ready());
  queue.can_arm = false;
  CHECK_FALSE(bell->arm());
}

}  // namespace nearfield::net::dpdk
