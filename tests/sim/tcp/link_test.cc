// A link does to packets what its options say, as often as they say, and the same again for the
// same seed.
#include "tests/sim/tcp/link.h"

#include <cmath>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::sim::tcp;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr MonotonicTime kStart{std::chrono::seconds(5)};

struct Arrival {
  MonotonicTime at;
  std::uint32_t sequence;  // 0: damaged
  Ecn ecn;
};

Bytes packet_number(std::uint32_t number, std::size_t payload_bytes = 1000, bool is_v6 = false,
                    Ecn ecn = Ecn::not_capable) {
  Segment segment;
  segment.source = {is_v6 ? make_v6(1) : make_v4(192, 0, 2, 1), 80};
  segment.destination = {is_v6 ? make_v6(2) : make_v4(192, 0, 2, 2), 1000};
  segment.sequence = number;
  segment.flags = kAck;
  segment.ecn = ecn;
  const Bytes payload(payload_bytes, std::byte{0x5a});
  segment.payload = payload;
  return build(segment);
}

}  // namespace

TEST_GROUP(SimTcpLink) {
  EventQueue events;
  std::vector<Arrival> arrivals;
  std::vector<Link::Drop> drops;
  std::vector<std::size_t> too_big;
  std::size_t damaged = 0;

  Link::Ends ends() {
    return {[this](const Bytes& packet, MonotonicTime now) {
              const auto segment = read(packet);
              damaged += !segment;
              arrivals.push_back({now, segment ? segment->sequence : 0,
                                  segment ? segment->ecn : Ecn::not_capable});
            },
            [this](std::span<const std::byte>, std::size_t mtu, MonotonicTime) {
              too_big.push_back(mtu);
            },
            [this](std::span<const std::byte>, Link::Drop why, MonotonicTime) {
              drops.push_back(why);
            }};
  }
  void run() {
    while (events.next_at()) events.run_next();
  }
  // `count` packets, one each millisecond, numbered from 1.
  void offer_many(Link & link, std::uint32_t count) {
    for (std::uint32_t number = 1; number <= count; ++number)
      link.offer(packet_number(number, 1000, number % 2 == 0), kStart + milliseconds(number));
    run();
  }
};

TEST(SimTcpLink, DelayAndRateAddUp) {
  LinkOptions options;
  options.bits_per_second = 8'000'000;  // a byte a microsecond
  options.delay = milliseconds(10);
  Link link(options, 1, kStart, events, ends());
  link.offer(packet_number(1), kStart);  // 1040 bytes
  link.offer(packet_number(2), kStart);
  run();
  UNSIGNED_LONGS_EQUAL(2, arrivals.size());
  CHECK(arrivals[0].at == kStart + milliseconds(10) + microseconds(1040));
  CHECK(arrivals[1].at == kStart + milliseconds(10) + microseconds(2080));
  UNSIGNED_LONGS_EQUAL(2080, link.counters().longest_queue_bytes);
}

TEST(SimTcpLink, AggregatedPacketsArriveTogether) {
  LinkOptions options;
  options.delay = milliseconds(2);
  options.aggregation = milliseconds(10);
  Link link(options, 1, kStart, events, ends());
  offer_many(link, 9);  // due at 3 to 11 ms
  UNSIGNED_LONGS_EQUAL(9, arrivals.size());
  CHECK(arrivals[0].at == kStart + milliseconds(10));
  CHECK(arrivals[7].at == kStart + milliseconds(10));
  CHECK(arrivals[8].at == kStart + milliseconds(20));
}

TEST(SimTcpLink, AFullQueueDropsItsTailAndMarksBeforeThat) {
  LinkOptions options;
  options.bits_per_second = 8'000'000;
  options.queue_bytes = 5200;
  options.ecn_threshold_bytes = 2500;
  Link link(options, 1, kStart, events, ends());
  for (std::uint32_t number = 1; number <= 8; ++number)
    link.offer(packet_number(number, 1000, false, number % 2 ? Ecn::ect0 : Ecn::not_capable),
               kStart);
  run();
  UNSIGNED_LONGS_EQUAL(5, arrivals.size());
  UNSIGNED_LONGS_EQUAL(3, link.counters().overflowed);
  UNSIGNED_LONGS_EQUAL(1, link.counters().marked);
  CHECK(arrivals[4].ecn == Ecn::experienced);
  CHECK(arrivals[2].ecn == Ecn::ect0);
  CHECK(arrivals[3].ecn == Ecn::not_capable);
}

TEST(SimTcpLink, LosesDuplicatesAndDamagesAsOftenAsTold) {
  LinkOptions options;
  options.loss = 0.1;
  options.duplication = 0.2;
  options.corruption = 0.3;
  Link link(options, 1, kStart, events, ends());
  offer_many(link, 10'000);
  CHECK(std::abs(static_cast<int>(link.counters().lost) - 1000) < 150);
  CHECK(std::abs(static_cast<int>(link.counters().duplicated) - 1800) < 200);
  CHECK(std::abs(static_cast<int>(link.counters().corrupted) - 2700) < 250);
  // All damage is seen by the reader.
  UNSIGNED_LONGS_EQUAL(link.counters().corrupted, damaged);
  UNSIGNED_LONGS_EQUAL(10'000 - link.counters().lost + link.counters().duplicated, arrivals.size());
}

TEST(SimTcpLink, BurstsAreAsLongAsTold) {
  LinkOptions options;
  options.burst_begins = 0.01;
  options.burst_ends = 0.25;  // four packets
  Link link(options, 1, kStart, events, ends());
  offer_many(link, 20'000);
  // Share of the bad state: 0.01 / 0.26.
  CHECK(std::abs(static_cast<int>(link.counters().lost) - 769) < 200);
  std::size_t bursts = 0;
  std::uint32_t expected = 1;
  for (const Arrival& arrival : arrivals) {
    bursts += arrival.sequence != expected;
    expected = arrival.sequence + 1;
  }
  const double length = static_cast<double>(link.counters().lost) / static_cast<double>(bursts);
  CHECK(length > 3 && length < 5);
}

TEST(SimTcpLink, ABurstEndsInTime) {
  LinkOptions options;
  options.burst_begins = 1;
  options.burst_ends = 0;
  options.burst_longest = milliseconds(10);
  Link link(options, 1, kStart, events, ends());
  offer_many(link, 55);
  // Ten are lost, one passes, and so on.
  UNSIGNED_LONGS_EQUAL(50, link.counters().lost);
}

TEST(SimTcpLink, JitterKeepsTheOrderUnlessToldOtherwise) {
  for (const bool reorders : {false, true}) {
    arrivals.clear();
    LinkOptions options;
    options.jitter = milliseconds(20);
    options.jitter_reorders = reorders;
    Link link(options, 1, kStart, events, ends());
    offer_many(link, 500);
    std::size_t backwards = 0;
    for (std::size_t index = 1; index < arrivals.size(); ++index)
      backwards += arrivals[index].sequence < arrivals[index - 1].sequence;
    CHECK(reorders == (backwards > 0));
  }
}

TEST(SimTcpLink, SomePacketsAreOvertaken) {
  LinkOptions options;
  options.reordering = 0.1;
  options.reordering_delay = milliseconds(3);
  Link link(options, 1, kStart, events, ends());
  offer_many(link, 1000);
  UNSIGNED_LONGS_EQUAL(1000, arrivals.size());
  CHECK(std::abs(static_cast<int>(link.counters().held_back) - 100) < 40);
}

TEST(SimTcpLink, AnMtuAnswersOrIsABlackHoleAndChanges) {
  for (const TooLong too_long : {TooLong::answered, TooLong::dropped}) {
    arrivals.clear();
    too_big.clear();
    LinkOptions options;
    options.too_long = too_long;
    options.mtu_changes = {{milliseconds(5), 900}, {milliseconds(8), 1500}};
    Link link(options, 1, kStart, events, ends());
    offer_many(link, 10);
    UNSIGNED_LONGS_EQUAL(3, link.counters().too_long);  // at 5, 6 and 7 ms
    UNSIGNED_LONGS_EQUAL(7, arrivals.size());
    UNSIGNED_LONGS_EQUAL(too_long == TooLong::answered ? 3 : 0, too_big.size());
  }
}

TEST(SimTcpLink, ABlackoutEnds) {
  LinkOptions options;
  options.blackouts = {{milliseconds(3), milliseconds(6)}};
  Link link(options, 1, kStart, events, ends());
  offer_many(link, 10);
  UNSIGNED_LONGS_EQUAL(3, link.counters().blacked_out);
  UNSIGNED_LONGS_EQUAL(7, arrivals.size());
  UNSIGNED_LONGS_EQUAL(3, drops.size());
}
