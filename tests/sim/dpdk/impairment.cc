// Every packet takes the same draws in the same order, so that one probability can be changed
// without changing what happens by the others.
#include "tests/sim/dpdk/impairment.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include <algorithm>

namespace nearfield::net::dpdk {
namespace {

// splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// Of its own: neither its buffers nor what they point to are shared.
rte_mbuf* copy_of(const rte_mbuf* packet) {
  return rte_pktmbuf_copy(packet, packet->pool, 0, UINT32_MAX);
}

// With a VLAN's tag or without.
bool is_ip(const rte_mbuf& packet) {
  const auto* data = rte_pktmbuf_mtod(&packet, const std::uint8_t*);
  const auto type_at = [&](std::size_t offset) {
    return packet.data_len < offset + 2 ? 0U : data[offset] << 8U | data[offset + 1];
  };
  unsigned type = type_at(12);
  if (type == RTE_ETHER_TYPE_VLAN) type = type_at(16);
  return type == RTE_ETHER_TYPE_IPV4 || type == RTE_ETHER_TYPE_IPV6;
}

// Makes the checksums that were left to the port, and takes back what the port said of them. The
// headers are in the first buffer, as the transmitter makes packets.
void settle_checksums(rte_mbuf* packet) {
  packet->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
  const std::uint64_t left = packet->ol_flags;
  packet->ol_flags &= ~(RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK);
  const bool is_v4 = (left & RTE_MBUF_F_TX_IPV4) != 0;
  auto* v4 = rte_pktmbuf_mtod_offset(packet, rte_ipv4_hdr*, packet->l2_len);
  if ((left & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
    v4->hdr_checksum = 0;
    v4->hdr_checksum = rte_ipv4_cksum(v4);
  }
  if ((left & RTE_MBUF_F_TX_L4_MASK) != RTE_MBUF_F_TX_TCP_CKSUM) return;
  const auto at = static_cast<std::uint16_t>(packet->l2_len + packet->l3_len);
  auto* tcp = rte_pktmbuf_mtod_offset(packet, rte_tcp_hdr*, at);
  tcp->cksum = 0;
  tcp->cksum =
      is_v4 ? rte_ipv4_udptcp_cksum_mbuf(packet, v4, at)
            : rte_ipv6_udptcp_cksum_mbuf(
                  packet, rte_pktmbuf_mtod_offset(packet, rte_ipv6_hdr*, packet->l2_len), at);
}

}  // namespace

Impairment::Impairment(PacketIo& inner, const ImpairmentOptions& options)
    : inner_(inner), options_(options), state_(options.seed) {}

Impairment::~Impairment() {
  for (Direction* direction : {&in_, &out_}) {
    for (std::size_t i = 0; i < direction->held_count; ++i)
      rte_pktmbuf_free(direction->held[i].packet);
    rte_pktmbuf_free_bulk(direction->pending.data(),
                          static_cast<unsigned>(direction->pending_count));
  }
}

bool Impairment::chance(double probability) {
  return static_cast<double>(next(state_) >> 11) * 0x1.0p-53 < probability;
}

void Impairment::pass(Direction& direction, rte_mbuf* packet) {
  if (direction.pending_count == kPending) {
    ++counters_.lost;
    rte_pktmbuf_free(packet);
    return;
  }
  ++counters_.passed;
  direction.pending[direction.pending_count++] = packet;
}

void Impairment::count_down(Direction& direction) {
  for (std::size_t i = 0; i < direction.held_count;) {
    Held& held = direction.held[i];
    if (--held.countdown > 0) {
      ++i;
      continue;
    }
    pass(direction, held.packet);
    Held* const all = direction.held.data();
    std::copy(all + i + 1, all + direction.held_count, all + i);
    --direction.held_count;
  }
}

void Impairment::take(Direction& direction, rte_mbuf* packet) {
  const bool lost = chance(options_.loss);
  const bool doubled = chance(options_.duplication);
  const bool corrupted = chance(options_.corruption);
  const bool held = chance(options_.reordering);
  const std::uint64_t draw = next(state_);
  if (lost) {
    ++counters_.lost;
    rte_pktmbuf_free(packet);
    count_down(direction);
    return;
  }
  if (doubled) {
    if (rte_mbuf* copy = copy_of(packet); copy != nullptr) {
      ++counters_.duplicated;
      pass(direction, copy);
    }
  }
  if (corrupted && is_ip(*packet)) {
    // In a copy: the bytes may be the cache's. Behind the MAC addresses, so that it arrives.
    rte_mbuf* copy = copy_of(packet);
    if (copy != nullptr) {
      rte_pktmbuf_free(packet);
      packet = copy;
      settle_checksums(packet);
      auto* data = rte_pktmbuf_mtod(packet, std::uint8_t*);
      data[12 + draw % (packet->data_len - 12U)] ^= static_cast<std::uint8_t>(1U << (draw >> 61));
      ++counters_.corrupted;
    }
  }
  count_down(direction);
  if (held && direction.held_count < kHeld) {
    ++counters_.reordered;
    const auto distance =
        static_cast<std::uint32_t>(1 + (draw >> 32) % std::max(1U, options_.reordering_distance));
    direction.held[direction.held_count++] = {packet, distance};
    return;
  }
  pass(direction, packet);
}

std::size_t Impairment::receive(std::span<rte_mbuf*> packets) {
  std::array<rte_mbuf*, kBurstPackets> burst;
  if (in_.pending_count < kPending / 4) {
    const std::size_t count = inner_.receive(burst);
    for (std::size_t i = 0; i < count; ++i) take(in_, burst[i]);
    if (count == 0) count_down(in_);
  }
  const std::size_t given = std::min(packets.size(), in_.pending_count);
  std::copy_n(in_.pending.begin(), given, packets.begin());
  std::copy(in_.pending.begin() + static_cast<std::ptrdiff_t>(given),
            in_.pending.begin() + static_cast<std::ptrdiff_t>(in_.pending_count),
            in_.pending.begin());
  in_.pending_count -= given;
  // Time passes for what is held on the way out, too, when nothing else is sent.
  if (given == 0) {
    count_down(out_);
    push();
  }
  return given;
}

std::size_t Impairment::send(std::span<rte_mbuf*> packets) {
  push();
  if (out_.pending_count > kPending / 4) return 0;
  if (options_.refusal > 0 && chance(options_.refusal)) {
    ++counters_.refused;
    return 0;
  }
  const std::size_t taken = std::min(packets.size(), kBurstPackets);
  for (std::size_t i = 0; i < taken; ++i) take(out_, packets[i]);
  push();
  return taken;
}

void Impairment::reclaim() {
  count_down(out_);
  push();
  inner_.reclaim();
}

void Impairment::push() {
  const std::size_t taken = inner_.send({out_.pending.data(), out_.pending_count});
  std::copy(out_.pending.begin() + static_cast<std::ptrdiff_t>(taken),
            out_.pending.begin() + static_cast<std::ptrdiff_t>(out_.pending_count),
            out_.pending.begin());
  out_.pending_count -= taken;
}

}  // namespace nearfield::net::dpdk
