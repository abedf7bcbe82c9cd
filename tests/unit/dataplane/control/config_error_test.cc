// How errors of a configuration read, and that there is a bound on them.
#include "dataplane/control/config_error.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::control;

TEST_GROUP(ConfigError){};

TEST(ConfigError, ReadsLikeACompilersMessage) {
  const ConfigError error{
      .file = "node.toml", .line = 12, .key = "limits.fetches", .reason = "is 0: use 1 to 5"};
  STRCMP_EQUAL("node.toml:12: limits.fetches: is 0: use 1 to 5", error.text().c_str());
}

TEST(ConfigError, LeavesOutWhatIsNotKnown) {
  const ConfigError error{
      .file = "node.toml", .line = 0, .key = "", .reason = "cannot be read: gone"};
  STRCMP_EQUAL("node.toml: cannot be read: gone", error.text().c_str());
  const ConfigError flag{.file = "", .line = 0, .key = "--ram", .reason = "is odd"};
  STRCMP_EQUAL("--ram: is odd", flag.text().c_str());
}

TEST(ConfigError, CountsWhatExceedsTheBound) {
  ConfigErrors errors;
  for (std::uint32_t i = 1; i <= 25; ++i)
    errors.add({.file = "f", .line = i, .key = "k", .reason = "r"});
  UNSIGNED_LONGS_EQUAL(20, errors.errors.size());
  UNSIGNED_LONGS_EQUAL(5, errors.left_out);
  STRCMP_CONTAINS("\nand 5 more", errors.text().c_str());
}
