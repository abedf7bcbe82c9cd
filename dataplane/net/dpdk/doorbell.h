// Doorbell: what wakes a worker that sleeps until something comes: packets in its queue (by the
// receive interrupt), frames of the kernel in its exception TAP, messages of the port's other
// workers. One descriptor that becomes readable with any of them.
//
// Invariant: what comes after arm() has returned rings; what came before may not have. So whoever
// wants to sleep arms first, then looks once more at all of it, and sleeps when there was nothing.
//
// The awkward part is that drivers differ in what an interrupt's descriptor is (an eventfd to be
// read, a socket not to be read), which DPDK's own epoll functions know; so everything is in one
// epoll instance, and that one is what the worker's ring watches.
#pragma once

#include <memory>

namespace nearfield::net::dpdk {

class PacketIo;

class Doorbell {
 public:
  // Null when the process has no descriptors left.
  static std::unique_ptr<Doorbell> create();
  ~Doorbell();
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // --- any thread ---
  void ring();

  // --- the worker ---
  // Once, when the port has started. `io` must not go before the port has been closed, and the
  // bell not before either. False: it has no interrupt, and the bell is of no use.
  bool watch_queue(PacketIo& io);
  bool watch(int descriptor);  // rings as long as it is readable
  // Forgets what has rung and asks for the interrupt. False: packets have rung just now, or the
  // driver refuses: sleep for a short time only.
  bool arm();
  void disarm();  // after arm(), before the queue is looked at in earnest
  bool is_ready() const { return io_ != nullptr; }
  int descriptor() const { return epoll_; }

 private:
  Doorbell() = default;

  int epoll_ = -1;
  int event_ = -1;
  PacketIo* io_ = nullptr;
};

}  // namespace nearfield::net::dpdk
