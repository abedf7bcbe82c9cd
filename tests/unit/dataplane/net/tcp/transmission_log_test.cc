// The scoreboard against a map of bytes: whatever is done to it in whatever order, sums, states and
// deliveries are those of the bytes, and its invariants hold.
#include "dataplane/net/tcp/transmission_log.h"

#include <map>
#include <random>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;

namespace {

constexpr StreamPosition kStart = kFirstBytePosition;
using State = Transmission::State;

MonotonicTime at_ms(std::int64_t ms) { return MonotonicTime{std::chrono::milliseconds(ms)}; }

}  // namespace

TEST_GROUP(TransmissionLog) {
  TransmissionPool pool{1, 100};
  TransmissionLog log;
  TransmissionLog::Delivery delivery;
  void teardown() override { log.clear(pool); }
  bool append(std::uint64_t begin, std::uint64_t end, std::int64_t ms) {
    const bool done = log.append(pool, kStart + begin, kStart + end, at_ms(ms));
    log.check();
    return done;
  }
  void sack(std::uint64_t begin, std::uint64_t end) {
    delivery = log.begin_delivery();
    log.sack(pool, kStart + begin, kStart + end, &delivery);
    log.check();
  }
  void acknowledge(std::uint64_t to) {
    delivery = log.begin_delivery();
    log.acknowledge(pool, kStart + to, &delivery);
    log.check();
  }
};

TEST(TransmissionLog, BurstOfOneMomentIsOneRange) {
  CHECK(append(0, 1000, 5));
  CHECK(append(1000, 3000, 5));
  LONGS_EQUAL(1, log.count());
  CHECK(append(3000, 4000, 6));
  LONGS_EQUAL(2, log.count());
  LONGS_EQUAL(4000, log.in_flight_bytes());
}

TEST(TransmissionLog, AcknowledgmentCuts) {
  append(0, 3000, 5);
  acknowledge(1000);
  LONGS_EQUAL(1000, delivery.bytes);
  CHECK(delivery.any && delivery.timed && !delivery.reordered);
  CHECK(delivery.end == kStart + 1000);
  LONGS_EQUAL(2000, log.in_flight_bytes());
  acknowledge(3000);
  CHECK(log.empty());
}

// What came behind the gap long ago was once taken for a round trip of many seconds.
TEST(TransmissionLog, MendedGapTimesNothing) {
  append(0, 1000, 5);
  append(1000, 3000, 6);
  log.mark_lost(pool, kStart, kStart + 1000);
  CHECK(log.next_lost(pool, 1000).has_value());
  log.on_lost_resent(at_ms(5000));
  acknowledge(3000);
  LONGS_EQUAL(3000, delivery.bytes);
  LONGS_EQUAL(1000, delivery.retransmitted_bytes);
  CHECK(!delivery.timed);
}

TEST(TransmissionLog, SackedNeighboursJoin) {
  append(0, 5000, 5);
  sack(1000, 2000);
  sack(3000, 4000);
  LONGS_EQUAL(5, log.count());
  sack(2000, 3000);
  LONGS_EQUAL(3, log.count());
  LONGS_EQUAL(1000, delivery.bytes);
  sack(1000, 4000);
  LONGS_EQUAL(0, delivery.bytes);
  CHECK(log.highest_sacked() == kStart + 4000);
}

TEST(TransmissionLog, ReorderingIsNoticed) {  // RFC 8985 6.2 step 3
  append(0, 5000, 5);
  sack(3000, 4000);
  CHECK(!delivery.reordered);
  sack(1000, 2000);
  CHECK(delivery.reordered);
}

TEST(TransmissionLog, RetransmissionIsNoReordering) {
  append(0, 5000, 5);
  sack(1000, 4000);
  log.mark_lost(pool, kStart, kStart + 1000);
  const auto range = log.next_lost(pool, 1000);
  CHECK(range && range->begin == kStart && range->end == kStart + 1000);
  log.on_lost_resent(at_ms(9));
  log.check();
  acknowledge(4000);
  CHECK(!delivery.reordered && delivery.retransmitted && !delivery.timed);
  CHECK(delivery.sent_at == at_ms(9));
  LONGS_EQUAL(1000, delivery.bytes);
  LONGS_EQUAL(1000, delivery.retransmitted_bytes);
}

TEST(TransmissionLog, LostIsCutToWhatIsWanted) {
  append(0, 5000, 5);
  log.mark_all_lost();
  log.check();
  const auto range = log.next_lost(pool, 1200);
  CHECK(range && range->bytes() == 1200);
  log.on_lost_resent(at_ms(6));
  CHECK(log.next_lost(pool, 10000)->begin == kStart + 1200);
  LONGS_EQUAL(3800, log.lost_bytes());
  log.unmark_lost();
  log.check();
  LONGS_EQUAL(0, log.lost_bytes());
  CHECK(*log.oldest_sent_at() == at_ms(5));
}

TEST(TransmissionLog, ForgottenSacksAreLost) {
  append(0, 3000, 5);
  sack(1000, 3000);
  log.forget_sacks();
  log.check();
  LONGS_EQUAL(2000, log.lost_bytes());
  CHECK(log.next_lost(pool, 1000)->begin == kStart + 1000);
}

TEST(TransmissionLog, ProbeIsTheLastUnsacked) {
  append(0, 5000, 5);
  sack(4000, 5000);
  const auto range = log.last_unsacked(1000);
  CHECK(range && range->begin == kStart + 3000 && range->end == kStart + 4000);
  log.on_probed(pool, *range, at_ms(8));
  log.check();
  LONGS_EQUAL(4000, log.in_flight_bytes());
  sack(3000, 5000);
  CHECK(delivery.retransmitted && delivery.sent_at == at_ms(8));
}

// A pool that is dry refuses what is new, and forgets SACKs it cannot remember; two ranges are for
// everyone.
TEST(TransmissionLog, DryPool) {
  TransmissionPool small(2, 1);
  TransmissionLog one;
  TransmissionLog two;
  CHECK(one.append(small, kStart, kStart + 1000, at_ms(1)));
  CHECK(one.append(small, kStart + 1000, kStart + 2000, at_ms(2)));
  CHECK(one.append(small, kStart + 2000, kStart + 3000, at_ms(3)));
  CHECK(!one.may_append(small));
  CHECK(!one.append(small, kStart + 3000, kStart + 4000, at_ms(4)));
  TransmissionLog::Delivery told = one.begin_delivery();
  one.sack(small, kStart + 2200, kStart + 2500, &told);
  one.check();
  LONGS_EQUAL(0, told.bytes);
  one.mark_lost(small, kStart + 2200, kStart + 2500);  // whole, as it cannot be cut
  one.check();
  LONGS_EQUAL(1000, one.lost_bytes());
  CHECK(two.append(small, kStart, kStart + 1000, at_ms(1)));
  CHECK(two.append(small, kStart + 1000, kStart + 2000, at_ms(2)));
  one.clear(small);
  two.clear(small);
  LONGS_EQUAL(5, small.free_count());
}

namespace {

// One byte of the model stands for a hundred of the log, so that ranges are cut in odd places.
struct ModelByte {
  State state = State::in_flight;
  std::int64_t sent_ms = 0;
  bool retransmitted = false;
};

}  // namespace

TEST(TransmissionLog, Model) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const auto up_to = [&](std::uint64_t bound) { return random() % (bound + 1); };
    TransmissionPool shared(1, 400);
    TransmissionLog subject;
    std::map<StreamPosition, ModelByte> model;
    StreamPosition next = kStart;
    std::int64_t now = 1;
    for (int step = 0; step < 400; ++step) {
      now += static_cast<std::int64_t>(up_to(2));
      const StreamPosition first = model.empty() ? next : model.begin()->first;
      const StreamPosition begin = first + up_to(next - first);
      const StreamPosition end = begin + up_to(std::min<std::uint64_t>(next - begin, 40));
      switch (up_to(9)) {
        case 0:
        case 1:
        case 2: {
          const std::uint64_t bytes = 1 + up_to(60);
          if (model.size() > 600) break;
          CHECK(subject.append(shared, next, next + bytes, at_ms(now)));
          for (std::uint64_t i = 0; i < bytes; ++i) model[next++] = {State::in_flight, now, false};
          break;
        }
        case 3: {
          const StreamPosition to = first + up_to((next - first) / 3);
          auto told = subject.begin_delivery();
          subject.acknowledge(shared, to, &told);
          std::uint64_t newly = 0;
          std::int64_t latest = -1;
          while (!model.empty() && model.begin()->first < to) {
            if (model.begin()->second.state != State::sacked) {
              ++newly;
              latest = std::max(latest, model.begin()->second.sent_ms);
            }
            model.erase(model.begin());
          }
          LONGS_EQUAL(newly, told.bytes);
          CHECK(newly == 0 || told.sent_at == at_ms(latest));
          break;
        }
        case 4:
        case 5: {
          if (begin == end) break;
          auto told = subject.begin_delivery();
          subject.sack(shared, begin, end, &told);
          std::uint64_t newly = 0;
          std::uint64_t again = 0;
          for (StreamPosition at = begin; at < end; ++at) {
            ModelByte& byte = model.at(at);
            if (byte.state == State::sacked) continue;
            ++newly;
            again += byte.retransmitted ? 1 : 0;
            byte.state = State::sacked;
          }
          LONGS_EQUAL(newly, told.bytes);
          LONGS_EQUAL(again, told.retransmitted_bytes);
          break;
        }
        case 6: {
          subject.mark_lost(shared, begin, end);
          for (StreamPosition at = begin; at < end; ++at) {
            if (model.at(at).state == State::in_flight) model.at(at).state = State::lost;
          }
          break;
        }
        case 7: {
          const auto range = subject.next_lost(shared, 1 + up_to(30));
          StreamPosition expected = 0;
          for (const auto& [at, byte] : model) {
            if (byte.state == State::lost) {
              expected = at;
              break;
            }
          }
          CHECK_EQUAL(expected != 0, range.has_value());
          if (!range) break;
          CHECK(range->begin == expected);
          subject.on_lost_resent(at_ms(now));
          for (StreamPosition at = range->begin; at < range->end; ++at) {
            CHECK(model.at(at).state == State::lost);
            model.at(at) = {State::in_flight, now, true};
          }
          break;
        }
        case 8: {
          const auto range = subject.last_unsacked(1 + up_to(20));
          if (!range) break;
          subject.on_probed(shared, *range, at_ms(now));
          for (StreamPosition at = range->begin; at < range->end; ++at) {
            CHECK(model.at(at).state != State::sacked);
            model.at(at) = {State::in_flight, now, true};
          }
          break;
        }
        default: {
          const auto kind = up_to(5);
          for (auto& [at, byte] : model) {
            if (kind == 0 && byte.state == State::sacked) byte.state = State::lost;
            if (kind == 1 && byte.state == State::in_flight) byte.state = State::lost;
            if (kind == 2 && byte.state == State::lost) byte.state = State::in_flight;
          }
          if (kind == 0) {
            // Joined ranges have one time and one history for all their bytes, so that what was
            // forgotten is only comparable once it was sent again.
            subject.forget_sacks();
            while (const auto range = subject.next_lost(shared, 1000)) {
              subject.on_lost_resent(at_ms(now));
              for (StreamPosition at = range->begin; at < range->end; ++at) {
                CHECK(model.at(at).state == State::lost);
                model.at(at) = {State::in_flight, now, true};
              }
            }
          }
          if (kind == 1) subject.mark_all_lost();
          if (kind == 2) subject.unmark_lost();
          break;
        }
      }
      subject.check();
      std::uint64_t sums[3] = {};
      std::int64_t oldest = INT64_MAX;
      for (const auto& [at, byte] : model) {
        ++sums[static_cast<int>(byte.state)];
        if (byte.state == State::in_flight) oldest = std::min(oldest, byte.sent_ms);
      }
      LONGS_EQUAL(sums[0], subject.in_flight_bytes());
      LONGS_EQUAL(sums[1], subject.lost_bytes());
      LONGS_EQUAL(sums[2], subject.sacked_bytes());
      CHECK_EQUAL(sums[0] > 0, subject.oldest_sent_at().has_value());
      if (sums[0] > 0) CHECK(*subject.oldest_sent_at() == at_ms(oldest));
      CHECK_EQUAL(model.empty(), subject.empty());
    }
    subject.clear(shared);
    LONGS_EQUAL(402, shared.free_count());
  }
}
