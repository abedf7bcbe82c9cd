// Sizes, durations and shares: what is read, what is refused, and that what is printed reads back.
#include "dataplane/control/units.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

TEST_GROUP(Units){};

TEST(Units, ReadsSizesInPowersOf1024) {
  CHECK(parse_size("0") == 0U);
  CHECK(parse_size("4096") == 4096U);
  CHECK(parse_size("100B") == 100U);
  CHECK(parse_size("64K") == 65536U);
  CHECK(parse_size("512M") == 512ULL * 1024 * 1024);
  CHECK(parse_size("1G") == 1ULL << 30);
  CHECK(parse_size("1GB") == 1ULL << 30);
  CHECK(parse_size("1GiB") == 1ULL << 30);
  CHECK(parse_size("2T") == 2ULL << 40);
  CHECK(parse_size("16777215T") == 16777215ULL << 40);
}

TEST(Units, RefusesWhatIsNoSize) {
  for (const char* text : {"", "G", "-1", "+1", "1.5G", "1 G", "1g", "1Gi", "1P", "0x10", "1G ",
                           " 1G", "16777216T", "18446744073709551616"}) {
    CHECK_FALSE_TEXT(parse_size(text).has_value(), text);
  }
  STRCMP_CONTAINS("'1.5G' is not a size", parse_size("1.5G").error().message.c_str());
  STRCMP_CONTAINS("use less", parse_size("16777216T").error().message.c_str());
}

TEST(Units, ReadsDurations) {
  CHECK(parse_duration("0s") == Duration(0));
  CHECK(parse_duration("250ms") == Duration(250ms));
  CHECK(parse_duration("50us") == Duration(50us));
  CHECK(parse_duration("10s") == Duration(10s));
  CHECK(parse_duration("5m") == Duration(5min));
  CHECK(parse_duration("2h") == Duration(2h));
  CHECK(parse_duration("1d") == Duration(24h));
  CHECK(parse_duration("3650d") == Duration(3650 * 24h));
}

TEST(Units, RefusesDurationsWithoutAUnitAndTooLongOnes) {
  for (const char* text : {"", "10", "s", "-1s", "1.5s", "10 s", "10S", "1w", "1h30m", "3651d",
                           "99999999999999999999s"}) {
    CHECK_FALSE_TEXT(parse_duration(text).has_value(), text);
  }
}

TEST(Units, ReadsShares) {
  CHECK(parse_percent("0%") == 0U);
  CHECK(parse_percent("100%") == 100U);
  for (const char* text : {"", "%", "10", "101%", "-1%", "1.5%"}) {
    CHECK_FALSE_TEXT(parse_percent(text).has_value(), text);
  }
}

TEST(Units, PrintsWhatReadsBack) {
  STRCMP_EQUAL("1G", format_size(1ULL << 30).c_str());
  STRCMP_EQUAL("1000", format_size(1000).c_str());
  STRCMP_EQUAL("0", format_size(0).c_str());
  STRCMP_EQUAL("90s", format_duration(90s).c_str());
  STRCMP_EQUAL("0s", format_duration(0s).c_str());
  for (const std::uint64_t bytes : {1ULL, 1023ULL, 1024ULL, 1536ULL, 3ULL << 40, ~0ULL}) {
    CHECK(parse_size(format_size(bytes)) == bytes);
  }
  for (const Duration duration : {Duration(1us), Duration(999ms), Duration(61s), Duration(48h)}) {
    CHECK(parse_duration(format_duration(duration)) == duration);
  }
}
