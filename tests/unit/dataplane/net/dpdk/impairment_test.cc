// The bad link keeps its word: about the chances it was given, the same for the same seed, nothing
// held for ever, nothing leaked; and what it corrupts is what a checksum can find.
#include "tests/sim/dpdk/impairment.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "dataplane/net/ip/checksum.h"
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
      const auto* data = rte_pktmbuf_mtod(packet, std::byte*);
      last.assign(data, data + packet->data_len);
      last_flags = packet->ol_flags;
      PacketPool::give(packet);
    }
    return taken;
  }
  void reclaim() override {}
  std::size_t room = SIZE_MAX;
  std::vector<std::uint32_t> numbers;
  std::vector<std::byte> last;
  std::uint64_t last_flags = 0;
};

constexpr std::uint32_t kPackets = 10000;

// An Ethernet frame with an IPv4 one in it, for what looks no closer.
std::array<std::byte, 64> ipv4_frame() {
  std::array<std::byte, 64> frame{};
  frame[12] = std::byte{0x08};
  return frame;
}

int different_bits(std::span<const std::byte> a, std::span<const std::byte> b) {
  int bits = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    bits += std::popcount(std::to_integer<unsigned>(a[i] ^ b[i]));
  return bits;
}

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
        std::array<std::byte, 64> frame = ipv4_frame();
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

TEST(Impairment, refuses_as_a_full_ring_does) {
  Notes notes;
  Impairment impairment(notes, {.seed = 1, .refusal = 0.5});
  std::uint32_t refused = 0;
  for (std::uint32_t sent = 0; sent < 100;) {
    rte_mbuf* packet = pool->take_copy(ipv4_frame());
    if (impairment.send({&packet, 1}) == 1) {
      ++sent;
      continue;
    }
    PacketPool::give(packet);
    ++refused;
  }
  CHECK(refused > 50 && refused < 200);
  CHECK_EQUAL(refused, impairment.counters().refused);
  CHECK_EQUAL(100U, notes.numbers.size());
}

TEST(Impairment, corrupts_behind_the_checksums_a_port_would_have_made) {
  constexpr std::size_t kIp = 14;
  constexpr std::size_t kTcp = kIp + 20;
  std::array<std::byte, 64> frame = ipv4_frame();
  const std::array<std::uint8_t, 20> header{0x45, 0, 0,   50, 0, 0,  0x40, 0,  64,  6,
                                            0,    0, 192, 0,  2, 10, 198,  51, 100, 7};
  std::memcpy(&frame[kIp], header.data(), header.size());
  frame[kTcp + 12] = std::byte{0x50};
  // What arrives of it over a good link: one's complement sums over the header, and over the pseudo
  // header and the segment, complemented.
  std::array<std::byte, 64> whole = frame;
  const auto put = [&whole](std::size_t at, std::uint16_t sum) {
    whole[at] = std::byte(sum >> 8);
    whole[at + 1] = std::byte(sum & 0xff);
  };
  ip::Checksum of_header;
  of_header.add(std::span(whole).subspan(kIp, 20));
  put(kIp + 10, of_header.finish());
  ip::Checksum of_segment;
  of_segment.add(std::span(whole).subspan(kIp + 12, 8));
  of_segment.add_word(6);
  of_segment.add_word(30);
  of_segment.add(std::span(whole).subspan(kTcp));
  put(kTcp + 16, of_segment.finish());
  for (std::uint64_t seed = 1; seed < 100; ++seed) {
    Notes notes;
    Impairment impairment(notes, {.seed = seed, .corruption = 1});
    rte_mbuf* packet = pool->take_copy(frame);
    packet->l2_len = 14;
    packet->l3_len = 20;
    packet->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
    CHECK_EQUAL(1U, impairment.send({&packet, 1}));
    CHECK_EQUAL(whole.size(), notes.last.size());
    CHECK_EQUAL(1, different_bits(whole, notes.last));
    CHECK_EQUAL(0U, notes.last_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK));
  }
}

TEST(Impairment, leaves_frames_without_checksums_alone) {
  Notes notes;
  Impairment impairment(notes, {.corruption = 1});
  std::array<std::byte, 64> arp = ipv4_frame();
  arp[13] = std::byte{0x06};
  rte_mbuf* packet = pool->take_copy(arp);
  CHECK_EQUAL(1U, impairment.send({&packet, 1}));
  CHECK_EQUAL(0, different_bits(arp, notes.last));
  CHECK_EQUAL(0U, impairment.counters().corrupted);
}

}  // namespace nearfield::net::dpdk
