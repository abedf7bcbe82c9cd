#include "tests/bench/nic_model.h"

#include <rte_mbuf.h>

#include <cstring>

namespace nearfield::bench {

using net::dpdk::PacketPool;

NicModel::NicModel(PacketPool& receive_pool, bool verifies)
    : receive_pool_(receive_pool),
      receive_flags_(verifies ? RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0),
      send_(std::make_unique<SendDescriptor[]>(kDescriptors)),
      receive_(std::make_unique<ReceiveDescriptor[]>(kDescriptors)),
      send_packets_(std::make_unique<rte_mbuf*[]>(kDescriptors)),
      receive_packets_(std::make_unique<rte_mbuf*[]>(kDescriptors)) {
  post();
}

// The device has stopped.
NicModel::~NicModel() {
  for (; send_freed_ != send_next_; ++send_freed_)
    rte_pktmbuf_free_seg(send_packets_[send_freed_ % kDescriptors]);
  for (; receive_next_ != receive_posted_; ++receive_next_)
    PacketPool::give(receive_packets_[receive_next_ % kDescriptors]);
}

void NicModel::free_sent() {
  const std::uint32_t left = left_.load(std::memory_order_acquire);
  for (; send_freed_ != left; ++send_freed_)
    rte_pktmbuf_free_seg(send_packets_[send_freed_ % kDescriptors]);
}

void NicModel::reclaim() { free_sent(); }

std::size_t NicModel::send(std::span<rte_mbuf*> packets) {
  if (send_next_ - send_freed_ > kDescriptors - 2 * kFreeBatch ||
      left_.load(std::memory_order_relaxed) - send_freed_ >= kFreeBatch) {
    free_sent();
  }
  std::size_t taken = 0;
  for (rte_mbuf* packet : packets) {
    if (kDescriptors - (send_next_ - send_freed_) < packet->nb_segs) break;
    std::uint32_t packet_bytes = packet->pkt_len;
    for (rte_mbuf* buffer = packet; buffer != nullptr;) {
      rte_mbuf* const next = buffer->next;
      const std::uint32_t slot = send_next_++ % kDescriptors;
      send_[slot] = {rte_pktmbuf_mtod(buffer, const std::byte*), packet_bytes, buffer->data_len,
                     next == nullptr};
      send_packets_[slot] = buffer;
      packet_bytes = 0;
      buffer = next;
    }
    ++taken;
  }
  if (taken > 0) sent_.store(send_next_, std::memory_order_release);
  return taken;
}

void NicModel::post() {
  while (receive_posted_ - receive_next_ < kDescriptors) {
    rte_mbuf* packet = receive_pool_.take();
    if (packet == nullptr) break;
    const std::uint32_t slot = receive_posted_++ % kDescriptors;
    receive_packets_[slot] = packet;
    receive_[slot] = {rte_pktmbuf_mtod(packet, std::byte*), 0};
  }
  posted_.store(receive_posted_, std::memory_order_release);
}

std::size_t NicModel::receive(std::span<rte_mbuf*> packets) {
  const std::uint32_t filled = filled_.load(std::memory_order_acquire);
  std::size_t count = 0;
  while (receive_next_ != filled && count < packets.size()) {
    const std::uint32_t slot = receive_next_++ % kDescriptors;
    rte_mbuf* packet = receive_packets_[slot];
    packet->data_len = static_cast<std::uint16_t>(receive_[slot].bytes);
    packet->pkt_len = receive_[slot].bytes;
    packet->ol_flags = receive_flags_;
    packets[count++] = packet;
  }
  if (kDescriptors - (receive_posted_ - receive_next_) >= kFreeBatch) post();
  return count;
}

bool NicModel::next_sent(Sent& packet) {
  if (taken_ == known_sent_) {
    known_sent_ = sent_.load(std::memory_order_acquire);
    if (taken_ == known_sent_) return false;
  }
  const SendDescriptor* descriptor = &send_[taken_ % kDescriptors];
  packet = {descriptor->address, descriptor->bytes, descriptor->packet_bytes};
  while (!descriptor->is_last) descriptor = &send_[++taken_ % kDescriptors];
  ++taken_;
  return true;
}

void NicModel::release_sent() { left_.store(taken_, std::memory_order_release); }

bool NicModel::deliver(std::span<const std::byte> frame) {
  if (filled_next_ == known_posted_) {
    known_posted_ = posted_.load(std::memory_order_acquire);
    if (filled_next_ == known_posted_) return false;
  }
  ReceiveDescriptor& descriptor = receive_[filled_next_++ % kDescriptors];
  const ReceiveDescriptor& later = receive_[(filled_next_ + 7) % kDescriptors];
  __builtin_prefetch(&receive_[(filled_next_ + 15) % kDescriptors], 1);
  if (later.address != nullptr) {
    __builtin_prefetch(later.address, 1);
    __builtin_prefetch(later.address + 64, 1);
  }
  std::memcpy(descriptor.address, frame.data(), frame.size());
  descriptor.bytes = static_cast<std::uint32_t>(frame.size());
  filled_.store(filled_next_, std::memory_order_release);
  return true;
}

}  // namespace nearfield::bench
