// What the Transmitter makes of segments, in every combination of capabilities.
#include <thread>

#include "tests/unit/dataplane/net/dpdk/transmitter_fixture.h"

namespace nearfield::net::dpdk {

TEST_GROUP_BASE(Transmitter, TransmitterFixture){};

TEST(Transmitter, cuts_and_chains_with_checksums_of_its_own) {
  make(chaining());
  check_all_sizes();
  CHECK(transmitter->counters().copied_bytes * 5 < transmitter->counters().payload_bytes);
}

TEST(Transmitter, copies_where_a_driver_cannot_chain) {
  make({});
  check_all_sizes();
  CHECK_EQUAL(transmitter->counters().payload_bytes, transmitter->counters().copied_bytes);
}

TEST(Transmitter, leaves_checksums_to_a_nic_that_makes_them) {
  PortCapabilities can = chaining();
  can.tcp_checksum = can.ipv4_checksum = true;
  make(can);
  check_all_sizes();
}

TEST(Transmitter, leaves_cutting_to_a_nic_that_segments) {
  make(segmenting());
  check_all_sizes();
  CHECK(transmitter->counters().super_segments > 0);
}

// Some NICs refuse to cut into very small pieces, which a peer may ask for.
TEST(Transmitter, cuts_itself_what_a_nic_would_not) {
  make(segmenting());
  tcp::OutgoingSegment small = segment(1000);
  small.piece_bytes = 255;
  CHECK(transmitter->transmit(small).has_value());
  transmitter->flush();
  CHECK_EQUAL(4U, queue.sent.size());
  check_sent(small);
  queue.free_all();
  small.piece_bytes = 256;
  small.header.flags.cwr = false;
  CHECK(transmitter->transmit(small).has_value());
  transmitter->flush();
  CHECK_EQUAL(1U, queue.sent.size());
}

TEST(Transmitter, ends_a_packet_where_the_longest_chain_ends) {
  for (const std::uint16_t longest : std::initializer_list<std::uint16_t>{2, 3, 5}) {
    queue.free_all();
    transmitter.reset();
    PortCapabilities can = segmenting();
    can.maximum_segments = longest;
    can.maximum_packet_segments = 2;
    make(can);
    check_all_sizes();
    CHECK(transmitter->transmit(segment(65000)).has_value());
    transmitter->flush();
    for (const rte_mbuf* packet : queue.sent) CHECK(packet->nb_segs <= longest);
  }
}

TEST(Transmitter, points_to_the_arena_and_to_nothing_else) {
  make(chaining());
  CHECK(transmitter->transmit(segment(1000, 5317)).has_value());  // content only
  CHECK(transmitter->transmit(segment(17, 5299)).has_value());    // text only
  transmitter->flush();
  CHECK_EQUAL(2U, queue.sent.size());
  CHECK_EQUAL(2U, queue.sent[0]->nb_segs);
  CHECK(memory->holds(rte_pktmbuf_mtod(queue.sent[0]->next, void*)));
  CHECK_EQUAL(1U, queue.sent[1]->nb_segs);
  CHECK_FALSE(memory->holds(rte_pktmbuf_mtod(queue.sent[1], void*)));
}

TEST(Transmitter, sets_what_the_ip_header_is_asked_for) {
  make(chaining());
  tcp::OutgoingSegment outgoing = segment(4000);
  outgoing.ecn_capable = true;
  outgoing.may_fragment = true;
  CHECK(transmitter->transmit(outgoing).has_value());
  transmitter->flush();
  std::vector<std::uint16_t> identifications;
  for (const rte_mbuf* packet : queue.sent) {
    const Decoded decoded = decode(packet);
    CHECK_EQUAL(ip::kEct0, decoded.packet.ecn);
    CHECK_FALSE(decoded.packet.dont_fragment);
    CHECK_EQUAL(64, decoded.packet.hop_limit);
    const auto* header = reinterpret_cast<const rte_ipv4_hdr*>(decoded.packet.whole.data());
    identifications.push_back(rte_be_to_cpu_16(header->packet_id));
  }
  CHECK_EQUAL(3U, identifications.size());
  CHECK_EQUAL(static_cast<std::uint16_t>(identifications[0] + 1), identifications[1]);
  CHECK_EQUAL(static_cast<std::uint16_t>(identifications[0] + 2), identifications[2]);
  queue.free_all();
  CHECK(transmitter->transmit(outgoing).has_value());
  transmitter->flush();
  const Decoded next = decode(queue.sent[0]);
  const auto* header = reinterpret_cast<const rte_ipv4_hdr*>(next.packet.whole.data());
  CHECK_EQUAL(static_cast<std::uint16_t>(identifications[0] + 3),
              rte_be_to_cpu_16(header->packet_id));
}

TEST(Transmitter, completes_tickets_in_order_whatever_the_order_of_return) {
  make(chaining());
  std::vector<tcp::Ticket> tickets;
  for (int turn = 0; turn < 3; ++turn) {
    const auto ticket = transmitter->transmit(segment(1000, 5317));
    CHECK(ticket.has_value());
    tickets.push_back(*ticket);
    transmitter->flush();
  }
  CHECK(tickets[0] < tickets[1] && tickets[1] < tickets[2]);
  CHECK(transmitter->completed() < tickets[0]);
  PacketPool::give(queue.sent[1]);  // the middle one first
  queue.sent.erase(queue.sent.begin() + 1);
  CHECK(transmitter->completed() < tickets[0]);
  queue.free_front(1);
  CHECK_EQUAL(tickets[1], transmitter->completed());
  queue.free_front(1);
  CHECK_EQUAL(tickets[2], transmitter->completed());
}

TEST(Transmitter, waits_for_clones_of_its_packets) {
  make(chaining());
  const auto ticket = transmitter->transmit(segment(1000, 5317));
  transmitter->flush();
  rte_mbuf* clone = rte_pktmbuf_clone(queue.sent[0], pool->handle());
  CHECK(clone != nullptr);
  queue.free_all();
  CHECK(transmitter->completed() < *ticket);
  PacketPool::give(clone);
  CHECK_EQUAL(*ticket, transmitter->completed());
}

TEST(Transmitter, completes_what_refers_to_nothing_with_the_turn) {
  make(chaining());
  const auto ticket = transmitter->transmit(segment(17, 5299));
  CHECK(transmitter->completed() < *ticket);
  transmitter->flush();
  CHECK_EQUAL(*ticket, transmitter->completed());
}

TEST(Transmitter, asks_a_lazy_driver_to_let_go_when_it_falls_silent) {
  make(chaining());
  queue.frees_on_reclaim = true;
  const auto ticket = transmitter->transmit(segment(1000, 5317));
  transmitter->flush();
  CHECK_EQUAL(0, queue.reclaims);
  CHECK(transmitter->completed() < *ticket);
  transmitter->flush();
  CHECK_EQUAL(1, queue.reclaims);
  CHECK_EQUAL(*ticket, transmitter->completed());
  transmitter->flush();
  CHECK_EQUAL(1, queue.reclaims);
}

TEST(Transmitter, bounds_epochs_that_do_not_come_back) {
  make(chaining());
  tcp::Ticket last = 0;
  for (int turn = 0; turn < 1500; ++turn) {
    const auto ticket = transmitter->transmit(segment(300, 5317));
    if (!ticket) break;
    CHECK(*ticket >= last);
    last = *ticket;
    transmitter->flush();
  }
  CHECK(transmitter->counters().pool_exhausted > 0);  // 2047 packets at two each
  CHECK(transmitter->completed() == 0);
  queue.free_all();
  transmitter->flush();
  CHECK(transmitter->completed() >= last);
}

TEST(Transmitter, keeps_a_bounded_backlog_when_the_ring_is_full_and_the_order) {
  make(chaining());
  queue.room = 10;
  std::uint32_t taken = 0;
  for (;; ++taken) {
    tcp::OutgoingSegment outgoing = segment(100, 5317);
    outgoing.header.acknowledgment = {taken};
    if (!transmitter->transmit(outgoing)) break;
    CHECK(taken < 1000);
  }
  transmitter->flush();
  CHECK_EQUAL(10U, queue.sent.size());
  CHECK_EQUAL(taken - 10, transmitter->backlog());
  CHECK(transmitter->backlog() >= Transmitter::kBacklogPackets);
  CHECK_EQUAL(1U, transmitter->counters().queue_full);
  queue.room = SIZE_MAX;
  transmitter->flush();
  CHECK_EQUAL(0U, transmitter->backlog());
  for (std::uint32_t i = 0; i < taken; ++i)
    CHECK_EQUAL(i, decode(queue.sent[i]).segment.header.acknowledgment.value);
  CHECK(transmitter->transmit(segment(100)).has_value());
}

TEST(Transmitter, takes_nothing_of_a_segment_the_pool_cannot_hold) {
  small = *PacketPool::create({.name = "small", .packets = 15, .data_bytes = 2048});
  make(chaining(), small.get());
  CHECK_FALSE(transmitter->transmit(segment(20000)).has_value());
  CHECK_EQUAL(1U, transmitter->counters().pool_exhausted);
  CHECK_EQUAL(0U, transmitter->backlog());
  CHECK_EQUAL(15U, small->available());
  const tcp::OutgoingSegment fits = segment(5000);
  const auto ticket = transmitter->transmit(fits);
  CHECK(ticket.has_value());
  transmitter->flush();
  check_sent(fits);
  queue.free_all();
  CHECK_EQUAL(*ticket, transmitter->completed());
}

TEST(Transmitter, counts_what_has_nowhere_to_go_as_lost) {
  make(chaining());
  neighbour.known = false;
  const auto ticket = transmitter->transmit(segment(5000));
  CHECK(ticket.has_value());
  transmitter->flush();
  CHECK_EQUAL(0U, queue.sent.size());
  CHECK_EQUAL(1U, transmitter->counters().no_next_hop);
  CHECK_EQUAL(*ticket, transmitter->completed());
}

// RFC 4861 7.2.2, RFC 1122 2.3.2.2.

TEST(Transmitter, sends_no_more_than_its_maximum_of_pieces) {
  make(chaining());
  tcp::OutgoingSegment outgoing = segment(1100, 0);
  outgoing.piece_bytes = 1;
  CHECK(transmitter->transmit(outgoing).has_value());
  CHECK_EQUAL(1U, transmitter->counters().cut_short);
  CHECK_EQUAL(Transmitter::kMaximumPieces, transmitter->counters().payload_bytes);
  transmitter->flush();
}

TEST(Transmitter, loses_a_piece_that_fits_no_buffer) {
  make({});
  tcp::OutgoingSegment outgoing = segment(9000);
  outgoing.piece_bytes = 9000;
  CHECK(transmitter->transmit(outgoing).has_value());
  CHECK_EQUAL(1U, transmitter->counters().too_long);
  CHECK_EQUAL(0U, transmitter->backlog());
}

TEST(Transmitter, sends_frames_of_others_between_its_own) {
  make(chaining());
  const std::vector<std::byte> frame(60, std::byte{9});
  CHECK(transmitter->transmit(segment(100)).has_value());
  CHECK(transmitter->send_frame(frame));
  CHECK_FALSE(transmitter->send_frame(std::span(frame).first(13)));
  CHECK_FALSE(transmitter->send_frame(std::vector<std::byte>(3000)));
  transmitter->flush();
  CHECK_EQUAL(2U, queue.sent.size());
  CHECK(bytes_of(queue.sent[1]) == frame);
  CHECK_EQUAL(2U, transmitter->counters().frames_lost);
  queue.room = 0;
  while (transmitter->send_frame(frame)) CHECK(transmitter->backlog() < 1000);
  queue.room = SIZE_MAX;
  transmitter->flush();
}

// The ring between the threads is in a driver library the thread sanitizer has not seen into: it
// would call every packet that crosses a race.
#if !__has_feature(thread_sanitizer)
TEST(Transmitter, hears_of_buffers_another_thread_lets_go) {
  auto receive_pool = *PacketPool::create({.name = "peer", .packets = 63});
  PacketPool* pools[] = {receive_pool.get()};
  auto port = *Port::open({.name = "net_ring_transmit"}, pools);
  CHECK(port->start().has_value());
  options.capabilities = port->capabilities();
  auto ours =
      std::make_unique<Transmitter>(options, port->queue(0), *pool, neighbour, memory.get());
  constexpr int kTurns = 200;
  std::thread peer([&] {
    auto registered = EalThread::enter();
    std::array<rte_mbuf*, kBurstPackets> packets{};
    for (std::size_t received = 0; received < kTurns;) {
      const std::size_t count = port->queue(0).receive(packets);
      for (std::size_t i = 0; i < count; ++i) PacketPool::give(packets[i]);
      received += count;
    }
  });
  tcp::Ticket last = 0;
  for (int turn = 0; turn < kTurns;) {
    if (const auto ticket = ours->transmit(segment(1000, 5317))) {
      last = *ticket;
      ++turn;
    }
    ours->flush();
  }
  peer.join();
  ours->flush();
  CHECK(ours->completed() >= last);
  port.reset();
}
#endif

}  // namespace nearfield::net::dpdk
