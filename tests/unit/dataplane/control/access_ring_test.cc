// The ring between a worker and the log's writer: order, bounds, drops, and (under the thread
// sanitizer) no race.
#include "dataplane/control/access_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;
using proxy::AccessRecord;

namespace {

constexpr std::size_t kCapacity = 64 * 1024;

AccessRecord sample(std::uint16_t status = 200) {
  AccessRecord record;
  record.time = std::chrono::milliseconds(1'700'000'000'123);
  record.method = "GET";
  record.authority = "music.example";
  record.path = "/a/b.mp4";
  record.status = status;
  record.body_bytes = 12345;
  record.cache = "nearfield; hit";
  record.range = "bytes=0-9";
  record.protocol = "HTTP/2";
  record.tls = "TLSv1.3";
  record.first_byte = std::chrono::microseconds(77);
  record.duration = std::chrono::microseconds(99);
  record.client_prefix = *net::Address::parse("192.0.2.99");
  record.broken = true;
  return record;
}

}  // namespace

TEST_GROUP(AccessRing) {
  AccessRecord record;
  std::string storage;
};

TEST(AccessRing, GivesBackWhatWasPutIn) {
  AccessRing ring(kCapacity, -1);
  CHECK_FALSE(ring.take(record, storage));
  ring.record(sample());
  CHECK(ring.take(record, storage));
  CHECK(record.time == sample().time);
  CHECK(record.method == "GET");
  CHECK(record.authority == "music.example");
  CHECK(record.path == "/a/b.mp4");
  CHECK(record.cache == "nearfield; hit");
  CHECK(record.range == "bytes=0-9");
  CHECK(record.protocol == "HTTP/2");
  CHECK(record.tls == "TLSv1.3");
  CHECK_EQUAL(200, record.status);
  CHECK_EQUAL(12345U, record.body_bytes);
  CHECK(record.first_byte == sample().first_byte);
  CHECK(record.duration == sample().duration);
  CHECK(record.broken);
  CHECK_FALSE(ring.take(record, storage));
}

TEST(AccessRing, NeverHoldsAWholeAddressNorAQuery) {
  AccessRing ring(kCapacity, -1);
  AccessRecord full = sample();
  full.path = "/a?token=secret";
  ring.record(full);
  full.client_prefix = *net::Address::parse("2001:db8:1:2:3:4:5:6");
  ring.record(full);
  CHECK(ring.take(record, storage));
  STRCMP_EQUAL("192.0.2.0", record.client_prefix.text().c_str());
  CHECK(record.path == "/a");
  CHECK(ring.take(record, storage));
  STRCMP_EQUAL("2001:db8:1::", record.client_prefix.text().c_str());
}

TEST(AccessRing, CutsWhatAPeerMadeLong) {
  AccessRing ring(kCapacity, -1);
  const std::string long_text(100'000, 'x');
  AccessRecord huge = sample();
  huge.method = huge.authority = huge.path = huge.cache = huge.range = long_text;
  ring.record(huge);
  CHECK(ring.take(record, storage));
  UNSIGNED_LONGS_EQUAL(AccessRing::kMaximumMethodBytes, record.method.size());
  UNSIGNED_LONGS_EQUAL(AccessRing::kMaximumAuthorityBytes, record.authority.size());
  UNSIGNED_LONGS_EQUAL(AccessRing::kMaximumPathBytes, record.path.size());
  UNSIGNED_LONGS_EQUAL(AccessRing::kMaximumCacheBytes, record.cache.size());
  UNSIGNED_LONGS_EQUAL(AccessRing::kMaximumRangeBytes, record.range.size());
}

TEST(AccessRing, DropsAndCountsWhenFull) {
  AccessRing ring(kCapacity, -1);
  int put = 0;
  while (ring.dropped() == 0) {
    ring.record(sample());
    ++put;
  }
  UNSIGNED_LONGS_EQUAL(put - 1, ring.recorded());
  int taken = 0;
  while (ring.take(record, storage)) ++taken;
  LONGS_EQUAL(put - 1, taken);
  ring.record(sample());
  CHECK(ring.take(record, storage));
  UNSIGNED_LONGS_EQUAL(1, ring.dropped());
}

TEST(AccessRing, KeepsNothingWhileOff) {
  AccessRing ring(kCapacity, -1);
  ring.set_enabled(false);
  ring.record(sample());
  CHECK_FALSE(ring.take(record, storage));
  UNSIGNED_LONGS_EQUAL(0, ring.dropped());
}

TEST(AccessRing, KnocksOnceWhenHalfFull) {
  const int wake = ::eventfd(0, EFD_NONBLOCK);
  AccessRing ring(kCapacity, wake);
  std::uint64_t knocks = 0;
  ring.record(sample());
  CHECK(::read(wake, &knocks, sizeof(knocks)) < 0);
  while (ring.dropped() == 0) ring.record(sample());
  CHECK_EQUAL(static_cast<ssize_t>(sizeof(knocks)), ::read(wake, &knocks, sizeof(knocks)));
  UNSIGNED_LONGS_EQUAL(1, knocks);
  ::close(wake);
}

// One writer, one reader, both as fast as they can: everything that was not dropped arrives whole
// and in order.
TEST(AccessRing, CarriesRecordsBetweenThreads) {
  constexpr std::uint64_t kRecords = 50'000;
  AccessRing ring(16 * 1024, -1);
  std::jthread worker([&] {
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      AccessRecord one = sample();
      one.body_bytes = i;
      const std::string path = "/" + std::string(i % 700, static_cast<char>('a' + i % 26));
      one.path = path;
      ring.record(one);
    }
  });
  std::uint64_t taken = 0;
  std::uint64_t next = 0;
  bool good = true;
  while (taken + ring.dropped() < kRecords) {
    if (!ring.take(record, storage)) {
      std::this_thread::yield();
      continue;
    }
    ++taken;
    const std::uint64_t i = record.body_bytes;
    good = good && i >= next && record.path.size() == 1 + i % 700 &&
           (record.path.size() == 1 || record.path.back() == static_cast<char>('a' + i % 26)) &&
           record.method == "GET";
    next = i + 1;
  }
  CHECK(good);
  UNSIGNED_LONGS_EQUAL(ring.recorded(), taken);
}
