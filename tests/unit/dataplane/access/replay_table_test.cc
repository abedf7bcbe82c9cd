// Tokens for one use.
#include "dataplane/access/replay_table.h"

#include <CppUTest/TestHarness.h>

#include "dataplane/access/digest.h"

using namespace nearfield;
using namespace nearfield::access;

TEST_GROUP(ReplayTable) {
  ReplayTable table{2};
  static WallTime at(int second) { return WallTime(std::chrono::seconds(second)); }
  static Digest id(const char* text) { return sha256(bytes_of(text)); }
};

TEST(ReplayTable, OnceUntilItHasExpired) {
  CHECK(table.use(id("a"), at(0), at(10)) == ReplayTable::Use::kFirst);
  CHECK(table.use(id("a"), at(9), at(10)) == ReplayTable::Use::kAgain);
  CHECK(table.look(id("a"), at(9)) == ReplayTable::Use::kAgain);
  CHECK(table.look(id("b"), at(9)) == ReplayTable::Use::kFirst);
  CHECK(table.use(id("a"), at(10), at(20)) == ReplayTable::Use::kFirst);
}

TEST(ReplayTable, FullItRefusesRatherThanForgets) {
  table.use(id("a"), at(0), at(10));
  table.use(id("b"), at(0), at(20));
  CHECK(table.use(id("c"), at(5), at(30)) == ReplayTable::Use::kFull);
  CHECK(table.look(id("c"), at(5)) == ReplayTable::Use::kFull);
  CHECK(table.use(id("a"), at(5), at(10)) == ReplayTable::Use::kAgain);
  CHECK(table.use(id("c"), at(10), at(30)) == ReplayTable::Use::kFirst);
  LONGS_EQUAL(2, table.size());
}
