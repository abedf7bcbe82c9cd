#include "dataplane/net/dpdk/doorbell.h"

#include <rte_interrupts.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "dataplane/net/dpdk/packet_io.h"

namespace nearfield::net::dpdk {
namespace {

constexpr std::size_t kDescriptors = 3;

}  // namespace

std::unique_ptr<Doorbell> Doorbell::create() {
  std::unique_ptr<Doorbell> bell(new Doorbell);
  bell->epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  bell->event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell->epoll_ < 0 || bell->event_ < 0 || !bell->watch(bell->event_)) return nullptr;
  return bell;
}

Doorbell::~Doorbell() {
  if (event_ >= 0) ::close(event_);
  if (epoll_ >= 0) ::close(epoll_);
}

void Doorbell::ring() {
  const std::uint64_t one = 1;
  // Cannot fail but for a counter near 2^64, which would ring as well.
  [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);
}

bool Doorbell::watch_queue(PacketIo& io) {
  if (!io.watch(epoll_)) return false;
  io_ = &io;
  return true;
}

// Without data: DPDK's functions, which look for an event of theirs there, pass it over.
bool Doorbell::watch(int descriptor) {
  epoll_event event{};
  event.events = EPOLLIN;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

bool Doorbell::arm() {
  std::uint64_t rung;
  [[maybe_unused]] const ssize_t read = ::read(event_, &rung, sizeof rung);
  std::array<rte_epoll_event, kDescriptors> events;
  // Reads what of a driver must be read. What has just rung may not be in the queue yet (net_tap is
  // told of packets by a signal), and would not ring again.
  if (rte_epoll_wait(epoll_, events.data(), kDescriptors, 0) > 0) return false;
  return io_->arm();
}

void Doorbell::disarm() { io_->disarm(); }

}  // namespace nearfield::net::dpdk
