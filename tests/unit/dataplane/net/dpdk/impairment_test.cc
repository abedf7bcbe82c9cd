// The bad link keeps its word: about the chances it was given, the same for the same seed, nothing
// held for ever, nothing leaked.
#include "tests/sim/dpdk/impairment.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {
namespace {

// Notes the number in each packet sent and frees it.
class Notes final : public PacketIo {
 public:
  std::size_t receive(std::span<rte_mbuf*>) override { return 0; }
  std::size_t send(std::span<rte_mbuf*> packets) override {
    const std::size_t taken = std::min(packets.size(), room);
    for (rte_mbuf* packet : packets.first(taken)) {
      std::uint32_t number = 0;
      std::memcpy(&number, rte_pktmbuf_mtod(packet, std::byte*), sizeof number);
      numbers.push_back(number);
      PacketPool::give(packet);
    }
    return taken;
  }
  void reclaim() override {}
  std::size_t room = SIZE_MAX;
  std::vector<std::uint32_t> numbers;
};

constexpr std::uint32_t kPackets = 10000;

}  // namespace

TEST_GROUP(Impairment) {
  void setup() override {
    ensure_eal();
    pool = *PacketPool::create({.name = "impaired", .packets = 1023, .data_bytes = 256});
  }
  void teardown() override {
    CHECK_EQUAL(pool->capacity(), pool->available());
    pool.reset();
  }
  std::vector<std::uint32_t> impaired(const ImpairmentOptions& options) {
    Notes notes;
    {
      Impairment impairment(notes, options);
      for (std::uint32_t number = 0; number < kPackets; ++number) {
        std::array<std::byte, 64> frame{};
        std::memcpy(frame.data(), &number, sizeof number);
        rte_mbuf* packet = pool->take_copy(frame);
        CHECK(packet != nullptr);
        CHECK_EQUAL(1U, impairment.send({&packet, 1}));
      }
      for (int i = 0; i < 10; ++i) impairment.reclaim();
      counters = impairment.counters();
    }
    return notes.numbers;
  }
  std::unique_ptr<PacketPool> pool;
  ImpairmentCounters counters;
};

TEST(Impairment, passes_everything_unless_told) {
  const auto numbers = impaired({});
  CHECK_EQUAL(kPackets, numbers.size());
  CHECK(std::ranges::is_sorted(numbers));
}

TEST(Impairment, does_as_often_as_told_and_the_same_for_a_seed) {
  const ImpairmentOptions options{
      .seed = 42, .loss = 0.03, .duplication = 0.02, .corruption = 0.01, .reordering = 0.05};
  const auto numbers = impaired(options);
  CHECK(counters.lost > 200 && counters.lost < 400);
  CHECK(counters.duplicated > 120 && counters.duplicated < 280);
  CHECK(counters.corrupted > 50 && counters.corrupted < 150);
  CHECK(counters.reordered > 380 && counters.reordered < 620);
  CHECK_EQUAL(kPackets - counters.lost + counters.duplicated, numbers.size());
  CHECK_FALSE(std::ranges::is_sorted(numbers));
  CHECK(numbers == impaired(options));
  ImpairmentOptions other = options;
  other.seed = 43;
  CHECK(numbers != impaired(other));
}

TEST(Impairment, waits_for_a_full_ring_within_bounds) {
  Notes notes;
  notes.room = 0;
  Impairment impairment(notes, {});
  std::uint32_t sent = 0;
  for (; sent < 1000; ++sent) {
    rte_mbuf* packet = pool->take_copy(std::array<std::byte, 64>{});
    if (impairment.send({&packet, 1}) == 1) continue;
    PacketPool::give(packet);
    break;
  }
  CHECK(sent > 0 && sent < 200);
  notes.room = SIZE_MAX;
  impairment.reclaim();
  CHECK_EQUAL(sent, notes.numbers.size());
}

}  // namespace nearfield::net::dpdk
