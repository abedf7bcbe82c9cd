// Mailbox: what one worker tells the others of its port. RSS deals flows to queues, but an answer
// of a neighbour and a router's "packet too big" arrive on some queue, not on that of whom they are
// for: each worker has a table of neighbours of its own and asks for itself, and hands on what may
// concern the others.
//
// Why not one table for all: it would be read for every packet sent, by every worker, and changed
// at any time. A copy of some hundred bytes now and then costs nothing.
//
// Invariant: bounded; a message that finds it full is dropped and counted, which is a lost packet
// to whom it concerned, and neighbours are asked again. Any thread puts, one takes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "dataplane/net/tcp/stack.h"

namespace nearfield::net::dpdk {

struct Message {
  enum class Kind : std::uint8_t {
    neighbour,   // a frame: an answer, announcement or question of a neighbour
    path_error,  // what a router said about a packet of somebody's
    link_up,
    link_down
  };
  static constexpr std::size_t kFrameBytes = 128;  // ARP and ND frames with their usual options

  Kind kind = Kind::neighbour;
  std::uint8_t frame_bytes = 0;
  std::array<std::byte, kFrameBytes> frame;
  tcp::PathError path_error;
};

class Mailbox {
 public:
  static constexpr std::size_t kMessages = 64;

  // False: full. `was_empty`: whoever sleeps until there are messages has not been woken for
  // others.
  bool put(const Message& message, bool* was_empty = nullptr) {
    const std::lock_guard lock(mutex_);
    if (was_empty != nullptr) *was_empty = count_ == 0;
    if (count_ == kMessages) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    messages_[(first_ + count_++) % kMessages] = message;
    filled_.store(true, std::memory_order_release);
    return true;
  }

  // False: empty, which costs one load.
  bool take(Message& message) {
    if (!filled_.load(std::memory_order_acquire)) return false;
    const std::lock_guard lock(mutex_);
    message = messages_[first_];
    first_ = (first_ + 1) % kMessages;
    if (--count_ == 0) filled_.store(false, std::memory_order_relaxed);
    return true;
  }

  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::array<Message, kMessages> messages_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::atomic<bool> filled_{false};
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace nearfield::net::dpdk
