// SYN cookies: what was asked for comes back, for as long as it may, and nothing else does.
#include "dataplane/net/tcp/syn_cookie.h"

#include <random>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/tcp/initial_sequence.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

TEST_GROUP(SynCookies) {
  const SynCookies cookies{SipHashKey{1, 2}};
  const std::uint32_t offset = 0xfffff000;
  const MonotonicTime start{1000 * SynCookies::kStep + 10s};

  static PeerOffer plain_offer() {
    PeerOffer offer;
    offer.maximum_segment_bytes = 1460;
    offer.initial = {0xfffffffe};
    return offer;
  }
  static PeerOffer full_offer() {
    PeerOffer offer = plain_offer();
    offer.window_shift = 8;
    offer.sack_permitted = true;
    offer.timestamps = true;
    offer.timestamp_value = 123;
    return offer;
  }
  // The acknowledgment an honest peer sends when it gets the SYN-ACK made at `now`.
  Header answer(const Flow& flow, const PeerOffer& offer, MonotonicTime now) const {
    Header ack;
    ack.flags.ack = true;
    ack.sequence = offer.initial + 1;
    ack.acknowledgment = cookies.make(flow, offer, now) + 1;
    ack.window = 4321;
    if (offer.timestamps) {
      ack.options.timestamps =
          Timestamps{.value = offer.timestamp_value + 20,
                     .echo = cookies.timestamp_value(flow, offer, timestamp_now(now) + offset)};
    }
    return ack;
  }
};

TEST(SynCookies, APlainOfferComesBack) {
  const Header ack = answer(flow_v4(1), plain_offer(), start);
  const auto offer = cookies.check(flow_v4(1), ack, offset, start + 100ms);
  CHECK_TRUE(offer.has_value());
  LONGS_EQUAL(1460, offer->maximum_segment_bytes);
  LONGS_EQUAL(0xfffffffe, offer->initial.value);
  LONGS_EQUAL(4321, offer->window);
  CHECK_FALSE(offer->window_shift.has_value());
  CHECK_FALSE(offer->sack_permitted || offer->timestamps || offer->ecn);
}

TEST(SynCookies, WithoutTimestampsTheRestOfAnOfferIsForgotten) {
  PeerOffer asked = full_offer();
  asked.timestamps = false;
  const auto offer =
      cookies.check(flow_v4(1), answer(flow_v4(1), asked, start), offset, start + 1s);
  CHECK_TRUE(offer.has_value());
  CHECK_FALSE(offer->window_shift.has_value());
  CHECK_FALSE(offer->sack_permitted);
}

TEST(SynCookies, EveryCombinationOfOptionsComesBackInATimestamp) {
  for (int shift = -1; shift <= 14; ++shift) {
    for (int flags = 0; flags < 4; ++flags) {
      PeerOffer asked = full_offer();
      asked.window_shift.reset();
      if (shift >= 0) asked.window_shift = static_cast<std::uint8_t>(shift);
      asked.sack_permitted = (flags & 1) != 0;
      asked.ecn = (flags & 2) != 0;
      const Header ack = answer(flow_v6(9), asked, start);
      const auto offer = cookies.check(flow_v6(9), ack, offset, start + 50ms);
      CHECK_TRUE(offer.has_value());
      CHECK_TRUE(offer->window_shift == asked.window_shift);
      CHECK_EQUAL(asked.sack_permitted, offer->sack_permitted);
      CHECK_EQUAL(asked.ecn, offer->ecn);
      CHECK_TRUE(offer->timestamps);
      LONGS_EQUAL(143, offer->timestamp_value);
    }
  }
}

TEST(SynCookies, TheTimestampIsNeverAheadOfTheClockAndAtMost63Behind) {
  std::mt19937 random(1);
  for (int round = 0; round < 10'000; ++round) {
    PeerOffer asked = full_offer();
    asked.window_shift = static_cast<std::uint8_t>(random() % 15);
    asked.sack_permitted = random() % 2 != 0;
    asked.ecn = random() % 2 != 0;
    // Close to the wrap as often as anywhere.
    const std::uint32_t real =
        random() % 2 != 0 ? static_cast<std::uint32_t>(random()) : random() % 64;
    const std::uint32_t behind = real - cookies.timestamp_value(flow_v4(1), asked, real);
    CHECK_TRUE(behind <= 63);
  }
}

TEST(SynCookies, SegmentSizesAreRoundedDownToTheTable) {
  const auto through = [&](const Flow& flow, std::uint16_t size) {
    PeerOffer asked = plain_offer();
    asked.maximum_segment_bytes = size;
    return cookies.check(flow, answer(flow, asked, start), offset, start)->maximum_segment_bytes;
  };
  LONGS_EQUAL(88, through(flow_v4(1), 88));
  LONGS_EQUAL(88, through(flow_v4(1), 535));
  LONGS_EQUAL(536, through(flow_v4(1), 536));
  LONGS_EQUAL(1452, through(flow_v4(1), 1459));
  LONGS_EQUAL(1460, through(flow_v4(1), 8960));
  LONGS_EQUAL(536, through(flow_v6(1), 1000));  // not 88
  LONGS_EQUAL(1220, through(flow_v6(1), 1220));
  LONGS_EQUAL(1440, through(flow_v6(1), 1440));
  LONGS_EQUAL(8940, through(flow_v6(1), 9000));
  for (std::uint32_t size = kMinimumSegmentBytes; size < 65536; size += 7) {
    CHECK_TRUE(through(flow_v4(1), static_cast<std::uint16_t>(size)) <= size);
    CHECK_TRUE(through(flow_v6(1), static_cast<std::uint16_t>(size)) <= size);
  }
}

TEST(SynCookies, EveryForgedBitIsRefused) {
  for (const PeerOffer& asked : {plain_offer(), full_offer()}) {
    const Flow flow = flow_v4(1);
    const Header honest = answer(flow, asked, start);
    for (int bit = 0; bit < 32; ++bit) {
      const std::uint32_t mask = 1u << bit;
      Header ack = honest;
      ack.acknowledgment.value = (honest.acknowledgment.value - 1) ^ mask;
      ack.acknowledgment = ack.acknowledgment + 1;
      CHECK_FALSE(cookies.check(flow, ack, offset, start).has_value());
      ack = honest;
      ack.sequence.value ^= mask;
      CHECK_FALSE(cookies.check(flow, ack, offset, start).has_value());
    }
    for (int bit = 0; bit < 32; ++bit) {
      Flow other = flow;
      other.peer.address.bytes[12 + bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
      CHECK_FALSE(cookies.check(other, honest, offset, start).has_value());
      other = flow;
      (bit < 16 ? other.peer.port : other.local.port) ^= static_cast<std::uint16_t>(1 << bit % 16);
      CHECK_FALSE(cookies.check(other, honest, offset, start).has_value());
    }
    CHECK_FALSE(SynCookies({1, 3}).check(flow, honest, offset, start).has_value());
  }
}

TEST(SynCookies, OptionsCannotBeForgedInTheTimestamp) {
  const Header honest = answer(flow_v4(1), full_offer(), start);
  for (std::uint32_t bits = 1; bits < 64; ++bits) {
    Header ack = honest;
    ack.options.timestamps->echo ^= bits;
    CHECK_FALSE(cookies.check(flow_v4(1), ack, offset, start + 1s).has_value());
  }
  Header without = honest;
  without.options.timestamps.reset();
  CHECK_FALSE(cookies.check(flow_v4(1), without, offset, start).has_value());
  Header with = answer(flow_v4(1), plain_offer(), start);
  with.options.timestamps = Timestamps{.value = 1, .echo = timestamp_now(start) + offset};
  CHECK_FALSE(cookies.check(flow_v4(1), with, offset, start).has_value());
}

TEST(SynCookies, AnEchoOfTheFutureOrThePastIsRefused) {
  const MonotonicTime early = start + 30s;
  Header ack = answer(flow_v4(1), full_offer(), early);
  CHECK_TRUE(cookies.check(flow_v4(1), ack, offset, early).has_value());
  ack.options.timestamps->echo += 64;
  CHECK_FALSE(cookies.check(flow_v4(1), ack, offset, early).has_value());
  ack.options.timestamps->echo -= 64 + 128 * 1024;  // 131 seconds
  CHECK_FALSE(cookies.check(flow_v4(1), ack, offset, early).has_value());
}

TEST(SynCookies, AreGoodForThisStepAndTheNext) {
  for (const PeerOffer& asked : {plain_offer(), full_offer()}) {
    for (int step = 1000; step < 1004; ++step) {
      const MonotonicTime first = MonotonicTime{} + step * SynCookies::kStep;
      const MonotonicTime last = first + SynCookies::kStep - 1ns;
      const Header ack_first = answer(flow_v4(1), asked, first);
      const Header ack_last = answer(flow_v4(1), asked, last);
      CHECK_TRUE(cookies.check(flow_v4(1), ack_first, offset, first).has_value());
      CHECK_TRUE(
          cookies.check(flow_v4(1), ack_first, offset, last + SynCookies::kStep).has_value());
      CHECK_TRUE(cookies.check(flow_v4(1), ack_last, offset, last + SynCookies::kStep).has_value());
      // Two, three (where the lowest bit is the same again) and many steps later.
      for (int later = 1; later < 70; ++later) {
        const MonotonicTime now = last + SynCookies::kStep + 1ns + (later - 1) * SynCookies::kStep;
        CHECK_FALSE(cookies.check(flow_v4(1), ack_first, offset, now).has_value());
      }
      // Before it was made: another machine's clock.
      CHECK_FALSE(cookies.check(flow_v4(1), ack_first, offset, first - 1ns).has_value());
    }
  }
}

TEST(SynCookies, WorkFromTheFirstStepOnAndAcrossTheWrapOfTheTimestampClock) {
  const MonotonicTime wrap{1ms * (std::int64_t{1} << 32)};
  for (const MonotonicTime made :
       {MonotonicTime{}, MonotonicTime{1ms}, wrap - 1s, wrap - 1ms, wrap, wrap + 5ms}) {
    for (const std::uint32_t any_offset : {0u, 0xffffffffu, 12345u}) {
      const PeerOffer asked = full_offer();
      Header ack = answer(flow_v4(3), asked, made);
      ack.options.timestamps->echo =
          cookies.timestamp_value(flow_v4(3), asked, timestamp_now(made) + any_offset);
      CHECK_TRUE(cookies.check(flow_v4(3), ack, any_offset, made + 2s).has_value());
    }
  }
  Header odd;
  odd.flags.ack = true;
  odd.acknowledgment = {0x80000001};
  CHECK_FALSE(cookies.check(flow_v4(3), odd, 0, MonotonicTime{}).has_value());
}

TEST(SynCookies, OnlyAnAcknowledgmentIsLookedAt) {
  const Header honest = answer(flow_v4(1), plain_offer(), start);
  Header other = honest;
  other.flags.ack = false;
  CHECK_FALSE(cookies.check(flow_v4(1), other, offset, start).has_value());
  other = honest;
  other.flags.rst = true;
  CHECK_FALSE(cookies.check(flow_v4(1), other, offset, start).has_value());
  other = honest;
  other.flags.syn = true;
  CHECK_FALSE(cookies.check(flow_v4(1), other, offset, start).has_value());
  other = honest;
  other.flags.fin = true;
  other.flags.psh = true;
  CHECK_TRUE(cookies.check(flow_v4(1), other, offset, start).has_value());
}

TEST(SynCookies, EachOfTheTwentyEightBitsOfTheHashVaries) {
  for (int bit = 0; bit < 28; ++bit) {
    int set = 0;
    for (std::uint32_t flow = 0; flow < 1000; ++flow) {
      set += (cookies.make(flow_v4(flow), plain_offer(), start).value >> bit & 1) != 0;
    }
    CHECK_TRUE(set > 400 && set < 600);
  }
}

TEST(SynCookies, GuessesFail) {
  // Each succeeds once in 2^28.
  std::mt19937 random(2);
  int accepted = 0;
  for (int guess = 0; guess < 300'000; ++guess) {
    Header ack;
    ack.flags.ack = true;
    ack.sequence = {static_cast<std::uint32_t>(random())};
    ack.acknowledgment = {static_cast<std::uint32_t>(random())};
    accepted += cookies.check(flow_v4(guess % 1000), ack, offset, start).has_value();
  }
  LONGS_EQUAL(0, accepted);
}
