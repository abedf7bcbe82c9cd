// How long a packet may be: what routers say, what silence says, and trying again.
#include "dataplane/net/tcp/path_mtu.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;
using Change = nearfield::net::tcp::PathMtu::Change;

static_assert(sizeof(PathMtu) <= 24);

TEST_GROUP(PathMtu) {
  const MonotonicTime start{100s};
  static PathMtu of(std::uint16_t packet_bytes, bool is_v4) {
    PathMtu mtu;
    mtu.start(packet_bytes, is_v4);
    return mtu;
  }
};

TEST(PathMtu, ARouterLowersAndNeverRaises) {
  PathMtu mtu = of(1500, true);
  LONGS_EQUAL(1500, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_packet_too_big(1500, 0, start) == Change::none);
  CHECK_TRUE(mtu.on_packet_too_big(9000, 0, start) == Change::none);
  CHECK_TRUE(mtu.on_packet_too_big(0xffffffff, 0, start) == Change::none);
  CHECK_TRUE(mtu.on_packet_too_big(1400, 0, start) == Change::smaller);
  LONGS_EQUAL(1400, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_packet_too_big(1450, 0, start) == Change::none);
  LONGS_EQUAL(1400, mtu.packet_bytes());
}

TEST(PathMtu, NeverBelowTheFloorOfItsFamily) {
  PathMtu v4 = of(1500, true);
  CHECK_TRUE(v4.on_packet_too_big(296, 0, start) == Change::smaller);
  LONGS_EQUAL(552, v4.packet_bytes());
  CHECK_TRUE(v4.may_fragment());
  PathMtu v6 = of(1500, false);
  CHECK_TRUE(v6.on_packet_too_big(1280, 0, start) == Change::smaller);
  LONGS_EQUAL(1280, v6.packet_bytes());
  CHECK_FALSE(v6.may_fragment());
}

TEST(PathMtu, ImpossibleSizesAreIgnored) {
  PathMtu v6 = of(1500, false);
  for (const std::uint32_t mtu : {0u, 68u, 1279u}) {
    CHECK_TRUE(v6.on_packet_too_big(mtu, 0, start) == Change::none);
  }
  LONGS_EQUAL(1500, v6.packet_bytes());
  PathMtu v4 = of(1500, true);
  for (const std::uint32_t mtu : {1u, 67u}) {
    CHECK_TRUE(v4.on_packet_too_big(mtu, 0, start) == Change::none);
  }
  CHECK_FALSE(v4.may_fragment());
  CHECK_TRUE(v4.on_packet_too_big(68, 0, start) == Change::smaller);
}

TEST(PathMtu, ARouterThatDoesNotSayMeansTheNextPlateau) {
  PathMtu mtu = of(9000, true);
  for (const int expected : {8166, 4352, 2002, 1492, 1006, 552}) {
    CHECK_TRUE(mtu.on_packet_too_big(0, mtu.packet_bytes(), start) == Change::smaller);
    LONGS_EQUAL(expected, mtu.packet_bytes());
  }
  CHECK_FALSE(mtu.may_fragment());
  CHECK_TRUE(mtu.on_packet_too_big(0, 552, start) == Change::none);
  CHECK_TRUE(mtu.may_fragment());
}

// RFC 1191 6.4: ten packets of one size were under way, and each draws a message.
TEST(PathMtu, MessagesAboutOneBurstLowerOnce) {
  PathMtu mtu = of(1500, true);
  CHECK_TRUE(mtu.on_packet_too_big(0, 1500, start) == Change::smaller);
  for (int repeated = 0; repeated < 9; ++repeated) {
    CHECK_TRUE(mtu.on_packet_too_big(0, 1500, start) == Change::none);
  }
  LONGS_EQUAL(1492, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_packet_too_big(0, 1492, start) == Change::smaller);
  LONGS_EQUAL(1006, mtu.packet_bytes());
}

TEST(PathMtu, AQuotedLengthNoLinkHasSaysNothing) {
  PathMtu mtu = of(1500, true);
  for (const std::uint16_t quoted : std::to_array<std::uint16_t>({0, 20, 68})) {
    CHECK_TRUE(mtu.on_packet_too_big(0, quoted, start) == Change::none);
  }
  LONGS_EQUAL(1500, mtu.packet_bytes());
  CHECK_FALSE(mtu.may_fragment());
}

TEST(PathMtu, ADeviceBelowTheFloorIsItsOwnFloor) {
  PathMtu mtu = of(296, true);
  CHECK_TRUE(mtu.on_packet_too_big(100, 0, start) == Change::none);
  CHECK_TRUE(mtu.on_timeout(9, 296, start) == Change::none);
  LONGS_EQUAL(296, mtu.packet_bytes());
}

TEST(PathMtu, TwoTimeoutsOfALargePacketAreABlackHole) {
  for (const bool is_v4 : {true, false}) {
    PathMtu mtu = of(1500, is_v4);
    CHECK_TRUE(mtu.on_timeout(1, 1500, start) == Change::none);
    CHECK_TRUE(mtu.on_timeout(2, 1500, start) == Change::smaller);
    LONGS_EQUAL(1280, mtu.packet_bytes());
  }
}

TEST(PathMtu, TimeoutsOfSmallPacketsSayNothingOfTheSize) {
  PathMtu v6 = of(1500, false);
  for (std::uint32_t count = 1; count < 20; ++count) {
    CHECK_TRUE(v6.on_timeout(count, 1280, start) == Change::none);
  }
  PathMtu v4 = of(1500, true);
  for (std::uint32_t count = 1; count < 20; ++count) {
    CHECK_TRUE(v4.on_timeout(count, 552, start) == Change::none);
  }
  LONGS_EQUAL(1500, v4.packet_bytes());
}

TEST(PathMtu, Ipv4GoesOnToItsFloorWhenTheBaseWasNotEnough) {
  PathMtu mtu = of(1500, true);
  CHECK_TRUE(mtu.on_timeout(2, 1500, start) == Change::smaller);
  CHECK_TRUE(mtu.on_timeout(3, 1280, start) == Change::none);
  CHECK_TRUE(mtu.on_timeout(5, 1280, start) == Change::smaller);
  LONGS_EQUAL(552, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_timeout(5, 552, start) == Change::none);
}

TEST(PathMtu, ABlackHoleThatWasNoneIsTakenBack) {
  PathMtu mtu = of(1500, true);
  mtu.on_timeout(2, 1500, start);
  CHECK_TRUE(mtu.on_acknowledged(1280, start + 1s) == Change::none);
  CHECK_TRUE(mtu.on_acknowledged(1500, start + 1s) == Change::larger);
  LONGS_EQUAL(1500, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_time(start + 24h) == Change::none);
}

TEST(PathMtu, WhatARouterSaidIsNotTakenBackByAnAcknowledgment) {
  PathMtu mtu = of(1500, true);
  mtu.on_packet_too_big(1400, 0, start);
  CHECK_TRUE(mtu.on_acknowledged(1500, start) == Change::none);
  LONGS_EQUAL(1400, mtu.packet_bytes());
}

TEST(PathMtu, TheLargerSizeIsTriedAfterTenMinutesAndKeptWhenItWorks) {
  PathMtu mtu = of(1500, false);
  CHECK_TRUE(mtu.on_time(start + 24h) == Change::none);  // nothing to raise
  mtu.on_packet_too_big(1400, 0, start);
  CHECK_TRUE(mtu.on_time(start + 10min - 1ns) == Change::none);
  CHECK_TRUE(mtu.on_time(start + 10min) == Change::larger);
  LONGS_EQUAL(1500, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_time(start + 30min) == Change::none);
  CHECK_TRUE(mtu.on_acknowledged(1500, start + 10min) == Change::none);
  // It is an ordinary size now: one time-out is a tail loss.
  CHECK_TRUE(mtu.on_timeout(1, 1500, start + 11min) == Change::none);
}

TEST(PathMtu, AFailedTrialGoesBackAtOnceAndIsRepeatedTenMinutesLater) {
  PathMtu mtu = of(1500, false);
  mtu.on_packet_too_big(1400, 0, start);
  CHECK_TRUE(mtu.on_time(start + 10min) == Change::larger);
  CHECK_TRUE(mtu.on_timeout(1, 1400, start + 11min) == Change::none);
  CHECK_TRUE(mtu.on_timeout(1, 1500, start + 11min) == Change::smaller);
  LONGS_EQUAL(1400, mtu.packet_bytes());
  CHECK_TRUE(mtu.on_time(start + 21min - 1ns) == Change::none);
  CHECK_TRUE(mtu.on_time(start + 21min) == Change::larger);
  // A router's answer ends a trial as well.
  CHECK_TRUE(mtu.on_packet_too_big(1300, 0, start + 21min) == Change::smaller);
  LONGS_EQUAL(1300, mtu.packet_bytes());
}

TEST(PathMtu, AFailedTrialThatWasOnlySlowIsTakenBack) {
  PathMtu mtu = of(1500, false);
  mtu.on_packet_too_big(1400, 0, start);
  mtu.on_time(start + 10min);
  CHECK_TRUE(mtu.on_timeout(1, 1500, start + 11min) == Change::smaller);
  CHECK_TRUE(mtu.on_acknowledged(1500, start + 11min) == Change::larger);
  LONGS_EQUAL(1500, mtu.packet_bytes());
}

TEST(PathMtu, ATrialThatGotPartOfTheWayKeepsThatPart) {
  PathMtu mtu = of(9000, true);
  mtu.on_packet_too_big(1500, 0, start);
  CHECK_TRUE(mtu.on_time(start + 10min) == Change::larger);
  CHECK_TRUE(mtu.on_acknowledged(4000, start + 10min) == Change::none);
  CHECK_TRUE(mtu.on_timeout(1, 9000, start + 10min) == Change::smaller);
  LONGS_EQUAL(4000, mtu.packet_bytes());
}

TEST(PathMtu, FragmentingIsGivenUpAfterTenMinutes) {
  PathMtu mtu = of(1500, true);
  mtu.on_packet_too_big(100, 0, start);
  CHECK_TRUE(mtu.on_time(start + 10min) == Change::larger);
  CHECK_FALSE(mtu.may_fragment());
  // Told again, believed for as long again.
  mtu.on_packet_too_big(552, 0, start + 20min);
  mtu.on_packet_too_big(100, 0, start + 29min);
  CHECK_TRUE(mtu.on_time(start + 30min) == Change::none);
  CHECK_TRUE(mtu.may_fragment());
  PathMtu narrow = of(552, true);
  CHECK_TRUE(narrow.on_packet_too_big(100, 0, start) == Change::none);
  CHECK_TRUE(narrow.may_fragment());
  CHECK_TRUE(narrow.on_time(start + 10min) == Change::none);
  CHECK_FALSE(narrow.may_fragment());
}

TEST(PathMtu, StaysWithinItsBoundsWhateverIsSaid) {
  std::mt19937 random(1);
  for (int run = 0; run < 2000; ++run) {
    const bool is_v4 = random() % 2 != 0;
    const auto device =
        static_cast<std::uint16_t>(is_v4 ? 68 + random() % 9000 : 1280 + random() % 9000);
    PathMtu mtu = of(device, is_v4);
    const std::uint32_t floor = std::min<std::uint32_t>(device, is_v4 ? 552 : 1280);
    MonotonicTime now = start;
    for (int step = 0; step < 50; ++step) {
      const std::uint32_t before = mtu.packet_bytes();
      Change change = Change::none;
      const auto size =
          static_cast<std::uint32_t>(random() % 3 == 0 ? random() : random() % 10'000);
      switch (random() % 4) {
        case 0:
          change = mtu.on_packet_too_big(size % 7 == 0 ? 0 : size,
                                         static_cast<std::uint16_t>(random()), now);
          CHECK_TRUE(change != Change::larger);
          break;
        case 1:
          change = mtu.on_timeout(random() % 6, size, now);
          CHECK_TRUE(change != Change::larger);
          break;
        case 2:
          change = mtu.on_acknowledged(size % 65536, now);
          CHECK_TRUE(change != Change::smaller);
          break;
        default:
          now += std::chrono::minutes(random() % 12);
          change = mtu.on_time(now);
          CHECK_TRUE(change != Change::smaller);
      }
      const std::uint32_t after = mtu.packet_bytes();
      CHECK_TRUE(after >= floor && after <= device);
      CHECK_TRUE(change == (after < before   ? Change::smaller
                            : after > before ? Change::larger
                                             : Change::none));
    }
  }
}

TEST_GROUP(PathMtuCache) {
  const SipHashKey key{1, 2};
  const MonotonicTime start{100s};
  static Address peer(std::uint32_t number) {
    Address address;
    address.bytes[0] = 0x20;
    address.bytes[14] = static_cast<std::uint8_t>(number >> 8);
    address.bytes[15] = static_cast<std::uint8_t>(number);
    return address;
  }
};

TEST(PathMtuCache, RemembersTheSmallestForTenMinutes) {
  PathMtuCache cache(4, key);
  CHECK_FALSE(cache.find(peer(1), start).has_value());
  cache.insert(peer(1), 1400, start);
  cache.insert(peer(1), 1450, start + 1min);
  LONGS_EQUAL(1400, *cache.find(peer(1), start + 1min));
  cache.insert(peer(1), 1300, start + 2min);
  LONGS_EQUAL(1300, *cache.find(peer(1), start + 12min - 1ns));
  CHECK_FALSE(cache.find(peer(1), start + 12min).has_value());
  LONGS_EQUAL(0, cache.size());
}

TEST(PathMtuCache, AnExpiredSizeDoesNotBindTheNext) {
  PathMtuCache cache(4, key);
  cache.insert(peer(1), 1300, start);
  cache.insert(peer(1), 1400, start + 10min);
  LONGS_EQUAL(1400, *cache.find(peer(1), start + 10min));
  LONGS_EQUAL(1, cache.size());
}

TEST(PathMtuCache, IsForgottenWhenALargerSizeWorked) {
  PathMtuCache cache(4, key);
  cache.insert(peer(1), 1300, start);
  cache.erase(peer(1));
  cache.erase(peer(1));
  CHECK_FALSE(cache.find(peer(1), start).has_value());
}

TEST(PathMtuCache, WhenFullTheOldestLeaves) {
  PathMtuCache cache(100, key);
  for (std::uint32_t number = 0; number < 1000; ++number) cache.insert(peer(number), 1400, start);
  LONGS_EQUAL(100, cache.size());
  for (std::uint32_t number = 0; number < 1000; ++number) {
    CHECK_EQUAL(number >= 900, cache.find(peer(number), start).has_value());
  }
}

TEST(PathMtuCache, BehavesLikeAMap) {
  struct Model {
    std::uint16_t packet_bytes;
    MonotonicTime deadline;
  };
  PathMtuCache cache(300, key);  // as many as there are peers: eviction is tested above
  std::map<std::uint32_t, Model> model;
  std::mt19937 random(1);
  MonotonicTime now = start;
  for (int operation = 0; operation < 100'000; ++operation) {
    const std::uint32_t number = random() % 300;
    const auto size = static_cast<std::uint16_t>(random() % 1500);
    const auto known = model.find(number);
    const bool is_fresh = known != model.end() && known->second.deadline > now;
    switch (random() % 4) {
      case 0:
        model[number] = {is_fresh ? std::min(size, known->second.packet_bytes) : size, now + 10min};
        cache.insert(peer(number), size, now);
        break;
      case 1:
        if (random() % 4 == 0) {
          cache.erase(peer(number));
          model.erase(number);
        }
        break;
      case 2:
        now += std::chrono::milliseconds(random() % 10'000);
        break;
      default: {
        const auto found = cache.find(peer(number), now);
        CHECK_EQUAL(is_fresh, found.has_value());
        if (found) LONGS_EQUAL(known->second.packet_bytes, *found);
      }
    }
  }
}
