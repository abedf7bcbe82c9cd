// Entity tags, well-formed and otherwise.
#include "dataplane/http/etag.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

namespace {

std::string tags(std::string_view value) {
  EntityTagList list(value);
  if (list.is_any()) return "any";
  std::string out;
  while (const auto tag = list.next())
    out += (tag->weak ? "W[" : "[") + std::string(tag->opaque) + "]";
  return out;
}

}  // namespace

TEST_GROUP(EntityTag){};

TEST(EntityTag, ParsesExactlyOne) {
  CHECK(parse_entity_tag("\"abc\"")->opaque == "abc");
  CHECK_FALSE(parse_entity_tag("\"abc\"")->weak);
  CHECK(parse_entity_tag(" W/\"a,b\" ")->weak);
  CHECK(parse_entity_tag("\"\"")->opaque.empty());
  CHECK(parse_entity_tag("\"abcdef\xfc\"").has_value());
  for (std::string_view bad : {"", "abc", "\"", "\"a", "a\"", "w/\"a\"", "W\"a\"", "W\\\"a\"",
                               "W/a", "\"a\"b", "\"a\", \"b\"", "\"a b\"", "\"a\x7f\""}) {
    CHECK_FALSE(parse_entity_tag(bad).has_value());
  }
}

TEST(EntityTag, ComparesStronglyAndWeakly) {
  const EntityTag strong{false, "a"};
  const EntityTag weak{true, "a"};
  CHECK(strong_equal(strong, strong));
  CHECK_FALSE(strong_equal(strong, weak));
  CHECK_FALSE(strong_equal(weak, weak));
  CHECK(weak_equal(strong, weak));
  CHECK_FALSE(weak_equal(strong, {false, "b"}));
}

TEST(EntityTag, ListsSkipWhatIsNoTag) {
  TEXT_EQUAL("any", tags(" * "));
  TEXT_EQUAL("[a]W[b][c,d]", tags("\"a\", W/\"b\" ,,\"c,d\""));
  TEXT_EQUAL("[b]", tags("a, \"b\", w/\"c\""));
  TEXT_EQUAL("[b]", tags("\"a\"x, \"b\""));
  TEXT_EQUAL("", tags("\"open"));
  TEXT_EQUAL("", tags(""));
  TEXT_EQUAL("", tags(",,,"));
}

TEST(EntityTag, OfAResponseMustBeOne) {
  CHECK(entity_tag_of(fields_of({{"ETag", "\"a\""}, {"etag", "\"a\""}}))->opaque == "a");
  CHECK_FALSE(entity_tag_of(fields_of({{"ETag", "\"a\""}, {"ETag", "\"b\""}})).has_value());
  CHECK_FALSE(entity_tag_of(fields_of({{"ETag", "a"}})).has_value());
  CHECK_FALSE(entity_tag_of(Fields()).has_value());
}
