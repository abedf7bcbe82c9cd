// Sizes on the command line: what is understood and what is refused.
#include "cache/sim/size_option.h"

#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache::sim;

TEST_GROUP(SizeOption){};

TEST(SizeOption, understands_bytes_suffixes_and_percentages) {
  UNSIGNED_LONGLONGS_EQUAL(12345, parse_size("12345")->bytes_of(0));
  UNSIGNED_LONGLONGS_EQUAL(2048, parse_size("2K")->bytes_of(0));
  UNSIGNED_LONGLONGS_EQUAL(1536u << 10, parse_size("1.5M")->bytes_of(0));
  UNSIGNED_LONGLONGS_EQUAL(std::uint64_t{64} << 30, parse_size("64G")->bytes_of(0));
  UNSIGNED_LONGLONGS_EQUAL(std::uint64_t{2} << 40, parse_size("2T")->bytes_of(0));
  UNSIGNED_LONGLONGS_EQUAL(250, parse_size("12.5%")->bytes_of(2000));
  UNSIGNED_LONGLONGS_EQUAL(1, parse_size("1%")->bytes_of(10));
}

TEST(SizeOption, refuses_everything_else) {
  for (const char* text :
       {"", "K", "-1", "0", "0%", "101%", "1X", "1GB", "1 G", "ten", "nan", "inf", "1e30"}) {
    CHECK_FALSE_TEXT(parse_size(text).has_value(), text);
  }
}
