// What a worker remembers of tokens and expressions, and that it stays bounded.
#include <CppUTest/TestHarness.h>

#include "dataplane/access/expressions.h"
#include "dataplane/access/token_tables.h"

using namespace nearfield;
using namespace nearfield::access;

TEST_GROUP(Tables){static Digest id(int number){return sha256(bytes_of(std::to_string(number)));
}
static Digest identity(int number) { return id(1000000 + number); }
static MonotonicTime at(int second) { return MonotonicTime(std::chrono::seconds(second)); }
}
;

TEST(Tables, TheLeastRecentlyUsedGoodTokenLeaves) {
  GoodTokens tokens(2, 1 << 20);
  tokens.add(id(1), identity(1), Token());
  tokens.add(id(2), identity(2), Token());
  CHECK(tokens.find(id(1)) != nullptr);
  tokens.add(id(3), identity(3), Token());
  CHECK(tokens.find(id(2)) == nullptr);
  CHECK(tokens.find(id(1)) != nullptr);
  LONGS_EQUAL(2, tokens.size());
  tokens.remove(id(1));
  tokens.remove(id(3));
  LONGS_EQUAL(0, tokens.bytes());
}

TEST(Tables, GoodTokensAreBoundedInBytes) {
  GoodTokens tokens(1000, 64 << 10);
  for (int i = 0; i < 100; ++i) {
    Token token;
    token.payload = std::string(4000, 'x');
    tokens.add(id(i), identity(i), std::move(token));
  }
  CHECK_TRUE(tokens.bytes() <= std::size_t{64} << 10);
  CHECK_TRUE(tokens.size() >= 10);
}

TEST(Tables, ATokenHasOnePlaceUnderWhateverName) {
  GoodTokens tokens(2, 1 << 20);
  tokens.add(id(1), identity(1), Token());
  for (int spelling = 10; spelling < 20; ++spelling) {
    tokens.add(id(spelling), identity(2), Token());
    CHECK(tokens.find_identity(identity(2)) == tokens.find(id(spelling)));
  }
  CHECK(tokens.find(id(1)) != nullptr);
  CHECK(tokens.find(id(18)) == nullptr);
  LONGS_EQUAL(2, tokens.size());
  tokens.remove(id(19));
  CHECK(tokens.find_identity(identity(2)) == nullptr);
}

TEST(Tables, TokensOfKeysThatAreGoneLeave) {
  GoodTokens tokens(10, 1 << 20);
  Token token;
  token.key = id(100);
  tokens.add(id(1), identity(1), token);
  token.sealing_key = id(101);
  tokens.add(id(2), identity(2), token);
  token.key = id(102);
  tokens.add(id(3), identity(3), token);
  tokens.retain({id(100), id(101)});
  CHECK(tokens.find(id(1)) != nullptr);
  CHECK(tokens.find(id(2)) != nullptr);
  CHECK(tokens.find(id(3)) == nullptr);
  tokens.retain({id(100)});
  CHECK(tokens.find(id(1)) != nullptr);
  CHECK(tokens.find(id(2)) == nullptr);
  tokens.retain({});
  LONGS_EQUAL(0, tokens.bytes());
}

TEST(Tables, BadTokensAreForgottenAfterAWhileAndKnowTheirRing) {
  BadTokens tokens(16, std::chrono::seconds(60), {1, 2});
  tokens.add(id(1), id(100), Reason::kBadSignature, at(0));
  CHECK(tokens.find(id(1), id(100), at(59)) == Reason::kBadSignature);
  CHECK_FALSE(tokens.find(id(1), id(101), at(1)).has_value());
  CHECK_FALSE(tokens.find(id(1), id(100), at(60)).has_value());
  for (int i = 0; i < 1000; ++i) tokens.add(id(i), id(100), Reason::kBadSignature, at(1));
  CHECK(tokens.find(id(999), id(100), at(2)) == Reason::kBadSignature);
  BadTokens none(0, std::chrono::seconds(60), {1, 2});
  none.add(id(1), id(100), Reason::kBadSignature, at(0));
  CHECK_FALSE(none.find(id(1), id(100), at(0)).has_value());
}

TEST(Tables, ExpressionsAreLinearAndBounded) {
  ExpressionCache cache(4);
  const auto posix = [&cache](std::string expression, std::string_view text) {
    return cache.matches({MatchType::kPosix, std::move(expression), false}, text);
  };
  // RFC 9246 2.1.15.2.
  const char* example = R"([^:]*\://[^/]*/folder/content/quality_[^/]*/segment.{3}\.mp4(\?.*)?)";
  CHECK(posix(example, "http://h/folder/content/quality_hi/segment001.mp4?x") == true);
  CHECK(posix(example, "http://h/folder/content/quality_hi/segment0001.mp4") == false);
  CHECK(posix("a[[:digit:]]+", "a12") == true);
  CHECK(posix("b", "abc") == false);  // all of it
  CHECK(cache.matches({MatchType::kExpression, "b", false}, "abc") == true);
  CHECK(cache.matches({MatchType::kExpression, "B", true}, "abc") == true);
  CHECK_FALSE(posix("(", "x").has_value());
  CHECK_FALSE(posix("(a{1000}){1000}", "x").has_value());
  CHECK(posix("(a*)*(a*)*(a*)*b", std::string(8000, 'a')) == false);
  for (int i = 0; i < 100; ++i) posix("x" + std::to_string(i), "x");
  LONGS_EQUAL(4, cache.size());
}

TEST(Tables, ExpressionsAreKnownByTextAndKind) {
  ExpressionCache cache(8);
  // Of texts that are gone by the time the next one is looked for.
  for (int i = 0; i < 3; ++i) {
    const std::string text = "a long expression, [a-z]+ more than fits into a short string";
    cache.matches({MatchType::kExpression, std::string(text), false}, "x");
    cache.matches({MatchType::kExpression, std::string(text), true}, "x");
    cache.matches({MatchType::kPosix, std::string(text), false}, "x");
    LONGS_EQUAL(3, cache.size());
  }
  CHECK(cache.matches({MatchType::kExpression, "b", false}, "aBc") == false);
  CHECK(cache.matches({MatchType::kExpression, "b", true}, "aBc") == true);
  CHECK(cache.matches({MatchType::kPosix, "b", true}, "aBc") == false);
}

TEST(Tables, ATokenCostsAllThatItHolds) {
  Token token;
  token.renewal.emplace();
  for (std::string* name : {&token.renewal->cookie_name, &token.renewal->header_name}) {
    const std::size_t before = token.memory_bytes();
    name->assign(4000, 'x');
    CHECK_TRUE(token.memory_bytes() >= before + 3900);
  }
}
