// Over any span no more leaves than the rate and one bucket, and over a long one no less than the
// rate; whatever is asked, nothing overflows.
#include "dataplane/net/tcp/pacer.h"

#include <algorithm>
#include <random>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/tcp/cubic.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

constexpr MonotonicTime kStart{1000s};

}  // namespace

TEST_GROUP(Pacer){};

TEST(Pacer, UnpacedIsUnlimited) {
  Pacer pacer;
  CHECK(pacer.allowance(kStart) == Pacer::kUnlimited);
  pacer.on_sent(UINT64_MAX, kStart);
  CHECK(pacer.allowance(kStart) == Pacer::kUnlimited);
  CHECK(pacer.next_opportunity(UINT64_MAX) <= kStart);
}

TEST(Pacer, AQuantumIsAMillisecondWithinItsBounds) {
  Pacer pacer;
  pacer.set_segment_bytes(1000);
  pacer.set_rate(100'000);
  CHECK(pacer.quantum() == 2000);
  pacer.set_rate(10'000'000);
  CHECK(pacer.quantum() == 10'000);
  pacer.set_rate(10'000'000'000);
  CHECK(pacer.quantum() == 65'536);
  pacer.set_segment_bytes(60'000);
  CHECK(pacer.quantum() == 65'536);
}

TEST(Pacer, WhatWasSentHasToBeEarnedAgain) {
  Pacer pacer;
  pacer.set_segment_bytes(1000);
  pacer.set_rate(1'000'000);  // a byte a microsecond; quantum 2000, bucket 3000
  CHECK(pacer.allowance(kStart) == 3000);
  pacer.on_sent(3000, kStart);
  CHECK(pacer.allowance(kStart) == 0);
  CHECK(pacer.allowance(kStart + 500us) == 500);
  CHECK(pacer.next_opportunity(700) == kStart + 700us);
  CHECK(pacer.next_opportunity(1'000'000) == kStart + 2ms);
  CHECK(pacer.allowance(kStart + 1h) == 3000);
}

TEST(Pacer, AfterIdlenessABurstMayLeave) {
  Pacer pacer;
  pacer.set_segment_bytes(1000);
  pacer.set_rate(1'000'000);
  pacer.on_sent(3000, kStart);
  pacer.on_idle(kStart + 10s, 10'000);
  CHECK(pacer.allowance(kStart + 10s) == 10'000);
  CHECK(pacer.next_opportunity(2000) <= kStart + 10s);
  pacer.on_sent(9'500, kStart + 10s);
  CHECK(pacer.allowance(kStart + 10s) == 500);
  CHECK(pacer.next_opportunity(2000) == kStart + 10s + 1500us);
  pacer.on_sent(700, kStart + 10s);
  CHECK(pacer.next_opportunity(2000) == kStart + 10s + 2200us);
}

TEST(Pacer, OneWhoDoesNotAskGoesIntoBoundedDebt) {
  Pacer pacer;
  pacer.set_rate(1);
  for (int i = 0; i < 10; ++i) {
    pacer.on_sent(UINT64_MAX, kStart);
  }
  CHECK(pacer.allowance(kStart) == 0);
  CHECK(pacer.next_opportunity(1) <= kStart + 2s + 1ns);
  pacer.set_rate(UINT64_MAX);
  CHECK(pacer.allowance(kStart + 3s) >= pacer.quantum());
  pacer.on_sent(UINT64_MAX, kStart + 3s);
  pacer.on_idle(kStart + 4s, UINT64_MAX);
  CHECK(pacer.allowance(kStart + 4s) >= UINT32_MAX);
}

TEST(Pacer, NextOpportunityIsTheFirstMomentThatItIs) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    Pacer pacer;
    pacer.set_segment_bytes(1 + random() % 9000);
    MonotonicTime now = kStart;
    for (int i = 0; i < 200; ++i) {
      if (random() % 10 == 0) {
        pacer.set_rate(1 + (random() >> (random() % 64)) % 20'000'000'000);
      }
      if (pacer.rate() == 0) {
        continue;
      }
      now += Duration{random() % 1'000'000};
      pacer.on_sent(random() % 3000, now);
      const std::uint64_t wanted = 1 + random() % 100'000;
      const std::uint64_t needed = std::min(wanted, pacer.quantum());
      const MonotonicTime next = pacer.next_opportunity(wanted);
      CHECK(pacer.allowance(next) >= needed);
      CHECK(pacer.allowance(next - 1ns) < needed);
    }
  }
}

TEST(Pacer, KeepsTheRateExactlyAndNeverExceedsItByMoreThanABucket) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::mt19937_64 random(seed);
    Pacer pacer;
    const std::uint64_t rate = 1000 + (random() >> (random() % 40)) % 12'500'000'000;
    pacer.set_segment_bytes(1448);
    pacer.set_rate(rate);
    const std::uint64_t bucket = pacer.allowance(kStart);
    MonotonicTime now = kStart;
    std::uint64_t sent = 0;
    for (int i = 0; i < 2000; ++i) {
      // Looking late by less than a millisecond loses nothing.
      now = std::max(now, pacer.next_opportunity(UINT64_MAX)) + Duration{random() % 900'000};
      const std::uint64_t piece = pacer.allowance(now) / (1 + random() % 8) + 1;
      std::uint64_t left = pacer.allowance(now);
      while (left > 0) {
        const std::uint64_t bytes = std::min(left, piece);
        pacer.on_sent(bytes, now);
        sent += bytes;
        left -= bytes;
      }
      const double earned =
          static_cast<double>(rate) * std::chrono::duration<double>(now - kStart).count();
      CHECK(static_cast<double>(sent) <= earned + static_cast<double>(bucket) + 1);
      CHECK(static_cast<double>(sent) >= earned - 1);
    }
  }
}

TEST(Pacer, TheRateIsTwiceTheWindowInSlowStartAndAQuarterMoreAfter) {
  Cubic cubic(1000);
  RoundTrip path;
  CHECK(pacing_rate(cubic, path) == 0);
  path.add_sample(100ms, kStart, 1);
  CHECK(cubic.window_bytes() == 10'000);
  CHECK(pacing_rate(cubic, path) == 200'000);
  cubic.on_congestion(CongestionSignal::loss, 10'000, kStart);
  CHECK(cubic.window_bytes() == 7000);
  CHECK(pacing_rate(cubic, path) == 87'500);
}
