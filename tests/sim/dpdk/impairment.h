// Impairment: a bad link in front of a queue: loses, doubles, corrupts and reorders packets of both
// directions by chance, from a seed, so that a failing run can be played again.
//
// What is corrupted is IP, with checksums as they were: a port's verdict about a packet it received
// is taken back, and checksums it was to make are made before. Nothing would tell of a wrong bit in
// ARP; on a wire the frame's own check does.
//
// Bounded: at most kHeld packets are held back for reordering, each for a bounded number of packets
// or calls, and at most kPending wait for a full ring.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/dpdk/packet_io.h"

namespace nearfield::net::dpdk {

struct ImpairmentOptions {
  std::uint64_t seed = 1;
  // Chances of a packet, 0 to 1.
  double loss = 0;
  double duplication = 0;
  double corruption = 0;  // one bit turned over
  double reordering = 0;  // held back for 1 to `reordering_distance` packets
  std::uint32_t reordering_distance = 8;
  // Of a call of send(): nothing is taken, as by a full ring.
  double refusal = 0;
};

struct ImpairmentCounters {
  std::uint64_t passed = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t reordered = 0;
  std::uint64_t refused = 0;  // calls
};

class Impairment final : public PacketIo {
 public:
  Impairment(PacketIo& inner, const ImpairmentOptions& options);
  ~Impairment() override;  // frees what it holds
  Impairment(const Impairment&) = delete;
  Impairment& operator=(const Impairment&) = delete;

  std::size_t receive(std::span<rte_mbuf*> packets) override;
  std::size_t send(std::span<rte_mbuf*> packets) override;
  void reclaim() override;

  const ImpairmentCounters& counters() const { return counters_; }

 private:
  static constexpr std::size_t kHeld = 64;
  static constexpr std::size_t kPending = 256;

  struct Held {
    rte_mbuf* packet;
    std::uint32_t countdown;
  };
  // What one direction has in its hands.
  struct Direction {
    std::array<Held, kHeld> held;
    std::size_t held_count = 0;
    std::array<rte_mbuf*, kPending> pending;  // in order, to be passed on
    std::size_t pending_count = 0;
  };

  bool chance(double probability);
  void take(Direction& direction, rte_mbuf* packet);
  void pass(Direction& direction, rte_mbuf* packet);
  void count_down(Direction& direction);
  void push();

  PacketIo& inner_;
  ImpairmentOptions options_;
  std::uint64_t state_;
  Direction in_;
  Direction out_;
  ImpairmentCounters counters_;
};

}  // namespace nearfield::net::dpdk
