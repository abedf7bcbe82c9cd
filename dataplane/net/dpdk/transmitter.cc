// A packet is filled first and gets its headers last, when its length is known: it ends at
// piece_bytes, at the end of the payload, or where the driver's longest chain ends.
//
// The awkward part: CWR is for the first packet only, and NICs differ in whether segmentation
// repeats it, so a segment with CWR sends its first piece alone.
#include "dataplane/net/dpdk/transmitter.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cache/base/assert.h"
#include "dataplane/net/dpdk/header_template.h"
#include "dataplane/net/ip/checksum.h"

namespace nearfield::net::dpdk {
namespace {

constexpr std::size_t kQueueSlots = Transmitter::kMaximumPieces + 4 * Transmitter::kBacklogPackets;
constexpr std::uint32_t kMinimumPoolBytes =
    256 + ip::kMaximumEthernetHeaderBytes + ip::kIpv6HeaderBytes + tcp::kMaximumHeaderBytes;
// i40e and iavf refuse to cut into less (I40E_MIN_TSO_MSS, IAVF_MIN_TSO_MSS in DPDK 24.11).
constexpr std::uint32_t kLeastSegmentationBytes = 256;
// An IPv4 packet's length has 16 bits; headers at their longest leave this for a super-segment.
constexpr std::uint32_t kMaximumSuperBytes =
    UINT16_MAX - ip::kIpv6HeaderBytes - tcp::kMaximumHeaderBytes;

std::byte* data_of(rte_mbuf* packet) { return rte_pktmbuf_mtod(packet, std::byte*); }

std::uint32_t room_of(rte_mbuf* buffer) {
  return RTE_MBUF_HAS_EXTBUF(buffer) ? 0 : rte_pktmbuf_tailroom(buffer);
}

}  // namespace

// The segment's payload, piece by piece as it lies in memory.
class Transmitter::Payload {
 public:
  explicit Payload(const tcp::OutgoingSegment& segment)
      : plan_(segment.plan), offset_(segment.plan_offset), remaining_(segment.payload_bytes) {}

  std::uint32_t remaining() const { return remaining_; }
  // The next bytes, at most `maximum` and as far as they lie together. None: a source has no room
  // to make them in.
  std::span<const std::byte> next(std::uint32_t maximum) {
    while (index_ < count_ && used_ == vectors_[index_].iov_len) {
      ++index_;
      used_ = 0;
    }
    if (index_ == count_ && !refill()) return {};
    const iovec& vector = vectors_[index_];
    return {static_cast<const std::byte*>(vector.iov_base) + used_,
            std::min<std::size_t>(maximum, vector.iov_len - used_)};
  }
  void consume(std::size_t bytes) {
    used_ += bytes;
    offset_ += bytes;
    remaining_ -= static_cast<std::uint32_t>(bytes);
  }

  std::uint32_t copied = 0;

 private:
  bool refill() {
    std::uint64_t covered = 0;
    count_ = plan_->peek(offset_, remaining_, vectors_, &covered);
    index_ = 0;
    used_ = 0;
    // The segment names bytes that the plan has.
    NEARFIELD_ASSERT(covered > 0 || plan_->has_source());
    return covered > 0;
  }

  const SendPlan* plan_;
  std::uint64_t offset_;
  std::uint32_t remaining_;
  std::array<iovec, 32> vectors_;
  std::size_t count_ = 0;
  std::size_t index_ = 0;
  std::size_t used_ = 0;  // of vectors_[index_]
};

struct Transmitter::Packet {
  rte_mbuf* first = nullptr;
  rte_mbuf* last = nullptr;
  std::uint32_t payload_bytes = 0;
  ip::Checksum sum;  // of the payload, when it is made here

  void chain(rte_mbuf* buffer) {
    last->next = buffer;
    last = buffer;
    ++first->nb_segs;
  }
};

Transmitter::Transmitter(const TransmitterOptions& options, PacketIo& io, PacketPool& pool,
                         NextHop& next_hop, const ExternalMemory* memory)
    : options_(options),
      io_(io),
      pool_(pool),
      next_hop_(next_hop),
      memory_(memory),
      staging_memory_(make_staging(options.staging_bytes)),
      staging_({staging_memory_.get(), options.staging_bytes}),
      can_chain_(options.capabilities.multiple_segments &&
                 options.capabilities.maximum_packet_segments >= 2),
      sums_tcp_(!options.capabilities.tcp_checksum),
      queue_(std::make_unique<rte_mbuf*[]>(kQueueSlots)),
      held_(std::clamp<std::size_t>(pool.capacity() / 8, 1, HeldPackets::kMaximum)),
      identifications_(std::make_unique<std::uint16_t[]>(kIdentifications)) {
  NEARFIELD_ASSERT(pool.data_bytes() >= kMinimumPoolBytes);
  NEARFIELD_ASSERT(can_chain_ || pool.data_bytes() >= Port::frame_bytes(options.mtu));
  if (!options_.capabilities.external_buffers || !can_chain_) memory_ = nullptr;
  points_to_staging_ =
      options_.capabilities.external_buffers && can_chain_ && staging_memory_.get_deleter().is_dpdk;
}

Transmitter::~Transmitter() { drop_from(begin_); }

std::unique_ptr<std::byte, Transmitter::FreeStaging> Transmitter::make_staging(std::size_t bytes) {
  if (void* memory = rte_malloc("staging", bytes, RTE_CACHE_LINE_SIZE); memory != nullptr)
    return {static_cast<std::byte*>(memory), FreeStaging{.is_dpdk = true}};
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return {static_cast<std::byte*>(memory), FreeStaging{.is_dpdk = false}};
}

void Transmitter::FreeStaging::operator()(std::byte* memory) const {
  is_dpdk ? rte_free(memory) : std::free(memory);
}

std::optional<tcp::Ticket> Transmitter::transmit(const tcp::OutgoingSegment& segment) {
  if (!make_room()) {
    ++counters_.queue_full;
    return std::nullopt;
  }
  is_ticket_given_ = true;
  const auto link = next_hop_.resolve(segment.flow->peer.address, now_);
  NEARFIELD_ASSERT(segment.payload_bytes == 0 || segment.piece_bytes > 0);
  const bool is_made = segment.plan != nullptr && segment.plan->has_source();
  if (is_made) staging_.retire(epochs_.completed());
  const auto ticket = link ? make_packets(segment, *link) : hold(segment);
  // Buffers of this segment, if any, are of the open epoch or of one before.
  if (is_made) staging_.settle(epochs_.open());
  return ticket;
}

std::optional<tcp::Ticket> Transmitter::make_packets(const tcp::OutgoingSegment& segment,
                                                     const ip::FrameHeader& link) {
  const HeaderTemplate headers(segment, link, options_.hop_limit, identification_of(segment),
                               sums_tcp_);
  const std::uint32_t piece_bytes = segment.piece_bytes;
  const std::size_t start = end_;
  const PortCapabilities& can = options_.capabilities;
  Payload payload(segment);
  std::uint64_t super_segments = 0;
  do {
    if (end_ - start == kMaximumPieces) {
      ++counters_.cut_short;
      break;
    }
    const std::uint32_t offset = segment.payload_bytes - payload.remaining();
    std::uint32_t limit = std::min(payload.remaining(), piece_bytes);
    std::uint16_t maximum_segments = can.maximum_packet_segments;
    if (can.segmentation && can_chain_ && payload.remaining() > piece_bytes &&
        piece_bytes >= kLeastSegmentationBytes && !(segment.header.flags.cwr && offset == 0)) {
      limit = std::min(payload.remaining(),
                       std::max(piece_bytes, kMaximumSuperBytes / piece_bytes * piece_bytes));
      maximum_segments = can.maximum_segments;
    }
    Packet packet;
    packet.first = packet.last = pool_.take();
    Step step = Step::kNoPacket;
    if (packet.first != nullptr) {
      queue_[end_++] = packet.first;
      packet.first->data_len = static_cast<std::uint16_t>(headers.bytes());
      headers.copy_to(data_of(packet.first));
      step = fill(packet, payload, limit, maximum_segments, true);
    }
    if (step == Step::kNoPacket || step == Step::kNoReference || step == Step::kNoStaging) {
      ++(step == Step::kNoPacket      ? counters_.pool_exhausted
         : step == Step::kNoReference ? counters_.epoch_full
                                      : counters_.staging_full);
      drop_from(start);
      return std::nullopt;
    }
    if (step == Step::kTooLong) {  // wrong piece_bytes for this MTU: nothing of it can leave
      ++counters_.too_long;
      drop_from(start);
      return epochs_.open();
    }
    finish(headers, packet, offset, piece_bytes);
    super_segments += packet.payload_bytes > piece_bytes;
  } while (payload.remaining() > 0);

  counters_.super_segments += super_segments;
  counters_.payload_bytes += segment.payload_bytes - payload.remaining();
  counters_.copied_bytes += payload.copied;
  if (backlog() >= kBurstPackets) push();
  return epochs_.open();
}

// A packet that waits keeps neither an epoch nor a turn waiting, so it points to nothing. Its
// segment's further packets are lost: TCP sends them again when this one is acknowledged.
std::optional<tcp::Ticket> Transmitter::hold(const tcp::OutgoingSegment& segment) {
  const auto awaited = next_hop_.awaited(segment.flow->peer.address);
  if (!awaited) {
    ++counters_.no_next_hop;
    return epochs_.open();
  }
  const HeaderTemplate headers(segment, awaited->header, options_.hop_limit,
                               identification_of(segment), sums_tcp_);
  Packet packet;
  packet.first = packet.last = pool_.take();
  Step step = Step::kNoPacket;
  Payload payload(segment);
  if (packet.first != nullptr) {
    packet.first->data_len = static_cast<std::uint16_t>(headers.bytes());
    headers.copy_to(data_of(packet.first));
    step = fill(packet, payload, std::min<std::uint32_t>(payload.remaining(), segment.piece_bytes),
                options_.capabilities.maximum_packet_segments, false);
  }
  if (step != Step::kDone) {
    PacketPool::give(packet.first);
    ++(step == Step::kNoPacket    ? counters_.pool_exhausted
       : step == Step::kNoStaging ? counters_.staging_full
                                  : counters_.too_long);
    if (step == Step::kTooLong) return epochs_.open();
    return std::nullopt;
  }
  finish(headers, packet, 0, segment.piece_bytes);
  counters_.payload_bytes += packet.payload_bytes;
  counters_.copied_bytes += packet.payload_bytes;
  ++counters_.held;
  if (!held_.hold(packet.first, awaited->neighbour)) ++counters_.held_lost;
  return epochs_.open();
}

void Transmitter::release() {
  using Fate = HeldPackets::Fate;
  const std::uint64_t settled = next_hop_.settled();
  if (settled == settled_) return;
  bool is_full = false;
  held_.sift([&](rte_mbuf* packet, const Address& neighbour) {
    const NextHop::Answer answer = next_hop_.answer_of(neighbour, now_);
    if (answer.is_pending) return Fate::kStays;
    if (!answer.mac) {
      ++counters_.held_lost;
      return Fate::kLost;
    }
    is_full = is_full || !has_frame_room();
    if (is_full) return Fate::kStays;
    std::memcpy(data_of(packet), answer.mac->bytes.data(), answer.mac->bytes.size());
    queue_[end_++] = packet;
    return Fate::kTaken;
  });
  if (!is_full) settled_ = settled;
}

bool Transmitter::is_external(std::span<const std::byte> bytes) const {
  if (memory_ != nullptr && memory_->holds(bytes.data())) return true;
  return points_to_staging_ && reinterpret_cast<std::uintptr_t>(bytes.data()) -
                                       reinterpret_cast<std::uintptr_t>(staging_memory_.get()) <
                                   options_.staging_bytes;
}

Transmitter::Step Transmitter::fill(Packet& packet, Payload& payload, std::uint32_t limit_bytes,
                                    std::uint16_t maximum_segments, bool may_point) {
  while (packet.payload_bytes < limit_bytes) {
    std::span<const std::byte> bytes = payload.next(limit_bytes - packet.payload_bytes);
    if (bytes.empty()) return Step::kNoStaging;
    const bool is_short = bytes.size() < options_.copy_below_bytes;
    Step step;
    if (may_point && is_external(bytes) && !(is_short && bytes.size() <= room_of(packet.last))) {
      if (packet.first->nb_segs == maximum_segments) return Step::kDone;
      step = attach(packet, bytes);
    } else {
      step = copy(packet, bytes, maximum_segments);
      if (step == Step::kChainFull) return Step::kDone;
      payload.copied += static_cast<std::uint32_t>(bytes.size());
    }
    if (step != Step::kDone) return step;
    if (sums_tcp_) packet.sum.add(bytes);
    payload.consume(bytes.size());
    packet.payload_bytes += static_cast<std::uint32_t>(bytes.size());
  }
  return Step::kDone;
}

// A buffer's length has 16 bits; a super-segment's payload is shorter than that.
Transmitter::Step Transmitter::attach(Packet& packet, std::span<const std::byte> bytes) {
  rte_mbuf_ext_shared_info* shared = epochs_.reference();
  if (shared == nullptr) {
    epochs_.advance();
    shared = epochs_.reference();
    if (shared == nullptr) return Step::kNoReference;
  }
  rte_mbuf* buffer = pool_.take();
  if (buffer == nullptr) {
    epochs_.give_back();
    return Step::kNoPacket;
  }
  void* address = const_cast<std::byte*>(bytes.data());  // DPDK has one type for both directions
  const auto length = static_cast<std::uint16_t>(bytes.size());
  rte_pktmbuf_attach_extbuf(buffer, address, reinterpret_cast<rte_iova_t>(address), length, shared);
  buffer->data_len = length;
  packet.chain(buffer);
  return Step::kDone;
}

// Copies what fits into one buffer and cuts `bytes` to that.
Transmitter::Step Transmitter::copy(Packet& packet, std::span<const std::byte>& bytes,
                                    std::uint16_t maximum_segments) {
  std::uint32_t room = room_of(packet.last);
  if (room == 0 || (!can_chain_ && room < bytes.size())) {
    if (!can_chain_) return Step::kTooLong;
    if (packet.first->nb_segs == maximum_segments) return Step::kChainFull;
    rte_mbuf* buffer = pool_.take();
    if (buffer == nullptr) return Step::kNoPacket;
    packet.chain(buffer);
    room = room_of(buffer);
  }
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), room));
  std::memcpy(data_of(packet.last) + packet.last->data_len, bytes.data(), bytes.size());
  packet.last->data_len = static_cast<std::uint16_t>(packet.last->data_len + bytes.size());
  return Step::kDone;
}

void Transmitter::finish(const HeaderTemplate& headers, const Packet& packet, std::uint32_t offset,
                         std::uint32_t piece_bytes) {
  using Sums = HeaderTemplate::Sums;
  rte_mbuf* first = packet.first;
  const bool is_super = packet.payload_bytes > piece_bytes;
  first->pkt_len = static_cast<std::uint32_t>(headers.bytes()) + packet.payload_bytes;
  headers.finish(data_of(first), offset, packet.payload_bytes,
                 sums_tcp_  ? Sums::kHere
                 : is_super ? Sums::kNicPieces
                            : Sums::kNic,
                 packet.sum);
  if (sums_tcp_) return;
  first->l2_len = headers.link_bytes() & 0x7f;
  first->l3_len = headers.ip_bytes() & 0x1ff;
  first->l4_len = headers.tcp_bytes() & 0xff;
  first->ol_flags |= headers.is_v4() ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
  first->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
  if (!is_super) return;
  first->tso_segsz = static_cast<std::uint16_t>(piece_bytes);
  first->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
  if (headers.is_v4()) first->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
}

// Numbers of packets that may be fragmented, counted for each pair of hosts (some share a counter),
// so that a host learns nothing of our traffic with others (RFC 7739 is the same for IPv6).
std::uint16_t Transmitter::take_identifications(const tcp::Flow& flow, std::uint32_t packets) {
  std::array<std::uint8_t, 32> hosts;
  std::ranges::copy(flow.local.address.bytes, hosts.begin());
  std::ranges::copy(flow.peer.address.bytes, hosts.begin() + 16);
  const std::uint64_t hash = siphash(options_.key, std::as_bytes(std::span(hosts)));
  std::uint16_t& counter = identifications_[hash % kIdentifications];
  const auto first = static_cast<std::uint16_t>(counter + (hash >> 32));
  counter = static_cast<std::uint16_t>(counter + packets);
  return first;
}

// The number of the segment's first packet.
std::uint16_t Transmitter::identification_of(const tcp::OutgoingSegment& segment) {
  if (!segment.may_fragment || !segment.flow->peer.address.is_v4()) return 0;
  const std::uint32_t pieces =
      segment.payload_bytes == 0 ? 1 : (segment.payload_bytes - 1) / segment.piece_bytes + 1;
  return take_identifications(*segment.flow, pieces);
}

// Whether there is room for one packet more than segments may fill.
bool Transmitter::has_frame_room() {
  if (backlog() >= kBacklogPackets) push();
  if (backlog() >= 2 * kBacklogPackets) return false;
  if (end_ == kQueueSlots) make_room();
  return true;
}

bool Transmitter::send_frame(std::span<const std::byte> frame) {
  rte_mbuf* packet = nullptr;
  if (has_frame_room() && frame.size() >= ip::kEthernetHeaderBytes) packet = pool_.take_copy(frame);
  if (packet == nullptr) {
    ++counters_.frames_lost;
    return false;
  }
  queue_[end_++] = packet;
  ++counters_.frames;
  return true;
}

void Transmitter::flush() {
  push();
  if (!is_sent_ && epochs_.is_waiting()) io_.reclaim();
  is_sent_ = false;
  if (!is_ticket_given_) return;
  const std::uint64_t open = epochs_.open();
  epochs_.advance();
  is_ticket_given_ = epochs_.open() == open;  // all epochs are taken: it goes on
}

void Transmitter::push() {
  while (begin_ < end_) {
    const std::size_t burst = std::min(kBurstPackets, end_ - begin_);
    const std::size_t taken = io_.send({&queue_[begin_], burst});
    begin_ += taken;
    counters_.packets += taken;
    is_sent_ = is_sent_ || taken > 0;
    if (taken < burst) break;
  }
  if (begin_ == end_) begin_ = end_ = 0;
}

// Afterwards there is room for a segment's packets behind the backlog.
bool Transmitter::make_room() {
  if (backlog() >= kBacklogPackets) push();
  if (kQueueSlots - end_ < kMaximumPieces) {
    std::copy(&queue_[begin_], &queue_[end_], &queue_[0]);
    end_ -= begin_;
    begin_ = 0;
  }
  return backlog() < kBacklogPackets;
}

void Transmitter::drop_from(std::size_t position) {
  while (end_ > position) PacketPool::give(queue_[--end_]);
  if (begin_ == end_) begin_ = end_ = 0;
}

}  // namespace nearfield::net::dpdk
