// HeldPackets: packets that wait for the answer of a neighbour that is not known yet (RFC 4861
// 7.2.2, RFC 1122 2.3.2.2), complete but for their destination MAC address. Without them the first
// SYN-ACK to a neighbour is lost, and the connection begins a second later, and slowly.
//
// Invariant: bounded, a neighbour and in all; the oldest gives way to the newest, whose sender may
// still be waiting. Packets of a neighbour are in the order they came. They are the owner's alone:
// none refers to memory outside its pool, so that holding one holds nothing else. What is left
// goes back to its pool with this.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/net/endpoint.h"

struct rte_mbuf;

namespace nearfield::net::dpdk {

class HeldPackets {
 public:
  static constexpr std::size_t kOfOneNeighbour = 3;
  // How many first handshakes through different neighbours may be under way.
  static constexpr std::size_t kMaximum = 128;

  // `maximum`: in all, 1 to kMaximum.
  explicit HeldPackets(std::size_t maximum);
  ~HeldPackets();
  HeldPackets(const HeldPackets&) = delete;
  HeldPackets& operator=(const HeldPackets&) = delete;

  bool is_empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // Takes the packet. False: an older one had to go for it.
  bool hold(rte_mbuf* packet, const Address& neighbour);

  enum class Fate : std::uint8_t { kStays, kTaken, kLost };
  // Asks `decide(packet, neighbour)` for the fate of each, the oldest first. What is taken is the
  // asked one's from then on, what is lost goes back to its pool.
  template <typename Decide>
  void sift(Decide&& decide) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      const Fate fate = decide(held_[i].packet, held_[i].neighbour);
      if (fate == Fate::kStays) held_[kept++] = held_[i];
      if (fate == Fate::kLost) give(held_[i].packet);
    }
    size_ = kept;
  }

 private:
  struct Held {
    rte_mbuf* packet = nullptr;
    Address neighbour;
  };
  static void give(rte_mbuf* packet);

  const std::size_t maximum_;
  std::unique_ptr<Held[]> held_;  // the oldest first
  std::size_t size_ = 0;
};

}  // namespace nearfield::net::dpdk
