// Tokens for one use.
#include "dataplane/access/replay_table.h"

#include <CppUTest/TestHarness.h>

#include <string>

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

TEST_GROUP(RenewedTokens) {
  RenewedTokens tokens{4};
  static WallTime at(int second) { return WallTime(std::chrono::seconds(second)); }
  static Digest id(int number) { return sha256(bytes_of(std::to_string(number))); }
};

TEST(RenewedTokens, AreKnownWithTheKeyThatSignedThem) {
  CHECK_FALSE(tokens.find(id(1)).has_value());
  tokens.add(id(1), id(100), at(10));
  CHECK_TRUE(tokens.find(id(1)) == id(100));
  CHECK_FALSE(tokens.find(id(2)).has_value());
  CHECK_FALSE(tokens.find(Digest()).has_value());
  tokens.add(id(1), id(101), at(20));
  CHECK_TRUE(tokens.find(id(1)) == id(101));
}

TEST(RenewedTokens, FullTheyForgetThoseThatExpireFirst) {
  for (const int second : {30, 10, 40, 20}) tokens.add(id(second), id(100), at(second));
  tokens.add(id(50), id(100), at(50));
  CHECK_FALSE(tokens.find(id(10)).has_value());
  for (const int second : {20, 30, 40, 50}) CHECK_TRUE(tokens.find(id(second)).has_value());
}
