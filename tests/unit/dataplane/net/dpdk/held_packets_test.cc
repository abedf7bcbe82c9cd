// Packets for a neighbour that has not answered yet: which wait, in which order they leave, and
// when they are given up.
#include "tests/unit/dataplane/net/dpdk/transmitter_fixture.h"

namespace nearfield::net::dpdk {

TEST_GROUP_BASE(HeldPackets, TransmitterFixture){};

TEST(HeldPackets, holds_what_waits_for_a_neighbour_until_it_answers) {
  for (const char* peer : {"198.51.100.7:50000", "[2001:db8::7]:50000"}) {
    for (const std::optional<std::uint16_t> vlan : {std::optional<std::uint16_t>{}, {7}}) {
      for (const PortCapabilities& can : {PortCapabilities{}, chaining(), segmenting()}) {
        const bool v4 = peer[0] != '[';
        flow = {*Endpoint::parse(v4 ? "192.0.2.1:80" : "[2001:db8::1]:80"), *Endpoint::parse(peer)};
        neighbour.vlan = vlan;
        queue.free_all();
        transmitter.reset();
        make(can);
        neighbour.known = false;
        neighbour.is_asked = true;
        const tcp::OutgoingSegment empty = segment(0);
        const auto ticket = transmitter->transmit(empty);
        CHECK(ticket.has_value());
        transmitter->release_held();
        transmitter->flush();
        CHECK_EQUAL(0U, queue.sent.size());
        CHECK_EQUAL(*ticket, transmitter->completed());  // it waits for nobody's memory
        neighbour.answers();
        transmitter->release_held();
        CHECK(transmitter->transmit(segment(100)).has_value());
        transmitter->flush();
        CHECK_EQUAL(2U, queue.sent.size());
        CHECK_EQUAL(0U, decode(queue.sent[0]).segment.payload.size());  // the order is kept
        const auto [held, next] = std::pair(bytes_of(queue.sent[0]), bytes_of(queue.sent[1]));
        CHECK(std::equal(held.begin(), held.begin() + 12, next.begin()));  // the MAC addresses
        PacketPool::give(queue.sent[1]);
        queue.sent.pop_back();
        check_sent(empty);
        CHECK_EQUAL(1U, transmitter->counters().held);
        CHECK_EQUAL(0U, transmitter->counters().held_lost);
      }
    }
  }
}

TEST(HeldPackets, holds_a_copy_of_the_first_piece) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  const auto ticket = transmitter->transmit(segment(5000, 5317));  // all of it in the arena
  transmitter->flush();
  CHECK_EQUAL(*ticket, transmitter->completed());
  neighbour.answers();
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(1U, queue.sent.size());
  const Decoded decoded = decode(queue.sent[0]);
  CHECK_EQUAL(1448U, decoded.segment.payload.size());
  CHECK(std::ranges::equal(pulled(5317, 1448), decoded.segment.payload));
  CHECK_FALSE(decoded.segment.header.flags.fin);
  CHECK_EQUAL(1448U, transmitter->counters().copied_bytes);
}

TEST(HeldPackets, holds_the_newest_few_of_a_neighbour_and_a_bounded_number_in_all) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  for (std::uint32_t i = 0; i < 5; ++i) {
    tcp::OutgoingSegment outgoing = segment(0);
    outgoing.header.acknowledgment = {i};
    CHECK(transmitter->transmit(outgoing).has_value());
  }
  CHECK_EQUAL(pool->capacity() - HeldPackets::kOfOneNeighbour, pool->available());
  CHECK_EQUAL(2U, transmitter->counters().held_lost);
  for (std::size_t i = 0; i < HeldPackets::kMaximum; ++i) {
    flow.peer.address.bytes[14] = static_cast<std::uint8_t>(10 + i / 250);
    flow.peer.address.bytes[15] = static_cast<std::uint8_t>(i % 250);
    CHECK(transmitter->transmit(segment(0)).has_value());
  }
  const std::size_t most = std::min<std::size_t>(HeldPackets::kMaximum, pool->capacity() / 8);
  CHECK_EQUAL(pool->capacity() - most, pool->available());
  CHECK_EQUAL(HeldPackets::kMaximum + 5 - most, transmitter->counters().held_lost);
  // With that the oldest are gone, those of the first neighbour among them.
  neighbour.answers();
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(most, queue.sent.size());
}

TEST(HeldPackets, sends_the_held_in_their_order) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  for (std::uint32_t i = 0; i < 5; ++i) {
    tcp::OutgoingSegment outgoing = segment(0);
    outgoing.header.acknowledgment = {i};
    CHECK(transmitter->transmit(outgoing).has_value());
  }
  neighbour.answers();
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(3U, queue.sent.size());
  for (std::uint32_t i = 0; i < 3; ++i)
    CHECK_EQUAL(2 + i, decode(queue.sent[i]).segment.header.acknowledgment.value);
}

TEST(HeldPackets, drops_what_is_held_for_a_neighbour_that_is_given_up) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
  CHECK(transmitter->transmit(segment(17, 5299)).has_value());
  transmitter->release_held();
  const int looks = neighbour.looks;
  transmitter->release_held();
  CHECK_EQUAL(looks, neighbour.looks);  // nothing has changed, nobody is asked
  neighbour.is_asked = false;
  ++neighbour.changes;
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(0U, queue.sent.size());
  CHECK_EQUAL(2U, transmitter->counters().held_lost);
  CHECK_EQUAL(pool->capacity(), pool->available());
  // What is held at the end goes back as well: see teardown().
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
}

TEST(HeldPackets, keeps_the_held_while_the_ring_is_full) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
  queue.room = 0;
  const std::vector<std::byte> frame(60, std::byte{9});
  while (transmitter->send_frame(frame)) CHECK(transmitter->backlog() < 1000);
  neighbour.answers();
  transmitter->release_held();
  const std::size_t backlog = transmitter->backlog();
  queue.room = SIZE_MAX;
  transmitter->flush();
  CHECK_EQUAL(backlog, queue.sent.size());
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(backlog + 1, queue.sent.size());
  CHECK_EQUAL(0U, transmitter->counters().held_lost);
}

TEST(HeldPackets, takes_nothing_to_hold_while_the_pool_is_empty) {
  small = *PacketPool::create({.name = "small", .packets = 1, .data_bytes = 2048});
  make(chaining(), small.get());
  neighbour.known = false;
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
  CHECK_FALSE(transmitter->transmit(segment(0)).has_value());
  CHECK_EQUAL(1U, transmitter->counters().pool_exhausted);
  transmitter.reset();
  CHECK_EQUAL(1U, small->available());
}

}  // namespace nearfield::net::dpdk
