// Which requests a stored variant answers.
#include "dataplane/http/vary.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

namespace {

std::string names_of(std::initializer_list<Field> response) {
  return vary_names(fields_of(response)).value_or("*");
}

bool matches(std::string_view names, const Fields& stored, const Fields& now,
             std::string_view language = {}) {
  std::string key;
  append_vary_key(key, names, stored);
  std::string other;
  append_vary_key(other, names, now);
  const bool result = vary_matches(names, key, now, language);
  if (language.empty()) CHECK_EQUAL(key == other, result);
  return result;
}

}  // namespace

TEST_GROUP(Vary){};

TEST(Vary, NamesAreLowerCaseSortedAndOnce) {
  TEXT_EQUAL("", names_of({}));
  TEXT_EQUAL("", names_of({{"Vary", ""}}));
  TEXT_EQUAL("bar,foo", names_of({{"Vary", "Foo, BAR"}, {"Vary", "foo"}}));
}

TEST(Vary, AnyStarAnywhereMeansNever) {
  TEXT_EQUAL("*", names_of({{"Vary", "*"}}));
  TEXT_EQUAL("*", names_of({{"Vary", "*, *"}}));
  TEXT_EQUAL("*", names_of({{"Vary", ", *"}}));
  TEXT_EQUAL("*", names_of({{"Vary", "Foo, *"}}));
  TEXT_EQUAL("*", names_of({{"Vary", "*, Foo"}}));
  TEXT_EQUAL("*", names_of({{"Vary", ""}, {"Vary", "*"}}));
  TEXT_EQUAL("*", names_of({{"Vary", "no token"}}));
}

TEST(Vary, TooManyNamesAreNeverReused) {
  std::string names = "f0";
  for (int i = 1; i < 33; ++i) names += ",f" + std::to_string(i);
  TEXT_EQUAL("*", names_of({{"Vary", names}}));
}

TEST(Vary, AllListedFieldsMustAgree) {
  CHECK(matches("foo", fields_of({{"Foo", "1"}}), fields_of({{"FOO", "1"}, {"Bar", "x"}})));
  CHECK_FALSE(matches("foo", fields_of({{"Foo", "1"}}), fields_of({{"Foo", "2"}})));
  CHECK_FALSE(matches("foo", fields_of({{"Foo", "1"}}), Fields()));
  CHECK_FALSE(matches("foo", Fields(), fields_of({{"Foo", "1"}})));
  CHECK_FALSE(matches("foo", Fields(), fields_of({{"Foo", ""}})));
  CHECK(matches("bar,foo", fields_of({{"Foo", "1"}}), fields_of({{"Foo", "1"}})));
  CHECK_FALSE(matches("bar,foo", fields_of({{"Foo", "1"}, {"Bar", "2"}}),
                      fields_of({{"Foo", "1"}, {"Bar", "3"}})));
  CHECK_FALSE(matches("foo", fields_of({{"Foo", "1, 2"}}), fields_of({{"Foo", "2, 1"}})));
  // Values cannot imitate a neighbouring part of the key.
  CHECK_FALSE(matches("a,b", fields_of({{"A", "1"}, {"B", "2"}}), fields_of({{"A", "1+2"}})));
}

TEST(Vary, LinesAndBlanksAreTheSameList) {
  CHECK(matches("foo", fields_of({{"Foo", "1"}, {"Foo", "2"}}), fields_of({{"Foo", "1, 2"}})));
  CHECK(matches("foo", fields_of({{"Foo", "1,2"}}), fields_of({{"Foo", " 1, 2 "}})));
  CHECK_FALSE(matches("foo", fields_of({{"Foo", "\"1, 2\""}}), fields_of({{"Foo", "\"1,2\""}})));
  CHECK_FALSE(matches("foo", fields_of({{"Foo", "a"}}), fields_of({{"Foo", "A"}})));
}

TEST(Vary, PreferencesAreComparedByMeaning) {
  const auto same = [](std::string_view field, std::string_view name, std::string_view a,
                       std::string_view b) {
    return matches(name, fields_of({{field, a}}), fields_of({{field, b}}));
  };
  CHECK(same("Accept-Language", "accept-language", "en, de", "de, en"));
  CHECK(same("Accept-Language", "accept-language", "en, de", "eN, De"));
  CHECK(same("Accept-Language", "accept-language", "en,de", " en , de "));
  CHECK(same("Accept-Language", "accept-language", "en; q=0.5, de", "de, en;q=0.50"));
  CHECK_FALSE(same("Accept-Language", "accept-language", "en;q=0.5, de", "en, de;q=0.5"));
  CHECK_FALSE(same("Accept-Language", "accept-language", "en", "en;q=0"));
  CHECK(same("Accept-Encoding", "accept-encoding", "gzip, br", "br,GZIP"));
  CHECK_FALSE(same("Accept-Encoding", "accept-encoding", "gzip, br", "gzip"));
}

TEST(Vary, StoredLanguageAnswersWhoeverLikesItBest) {
  const Fields stored = fields_of({{"Accept-Language", "en, de"}});
  const auto asks = [](std::string_view value) { return fields_of({{"Accept-Language", value}}); };
  CHECK(matches("accept-language", stored, asks("fr;q=0.5, de;q=1.0"), "de"));
  CHECK(matches("accept-language", stored, asks("DE"), "de"));
  CHECK_FALSE(matches("accept-language", stored, asks("fr;q=0.5, de;q=1.0"), "fr"));
  CHECK_FALSE(matches("accept-language", stored, asks("fr, de"), "de"));
  CHECK_FALSE(matches("accept-language", stored, asks("de;q=0"), "de"));
  CHECK_FALSE(matches("accept-language", stored, asks("*"), "de"));
  CHECK_FALSE(matches("accept-language", stored, asks("de"), "de, en"));
  CHECK_FALSE(matches("accept-language", stored, Fields(), "de"));
  // Another listed field still has to agree.
  CHECK_FALSE(matches("accept-language,foo", fields_of({{"Accept-Language", "en"}, {"Foo", "1"}}),
                      asks("de"), "de"));
}
