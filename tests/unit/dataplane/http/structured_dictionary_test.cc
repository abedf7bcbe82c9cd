// Structured Fields dictionaries: all of the grammar, because one error voids the field.
#include "dataplane/http/structured_dictionary.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

namespace {

std::string show(std::string_view value) {
  const auto members = parse_dictionary(value);
  if (!members) return "error";
  std::string out;
  for (const DictionaryMember& member : *members) {
    out += member.key + "=";
    switch (member.type) {
      case DictionaryMember::Type::kBoolean:
        out += member.boolean ? "true" : "false";
        break;
      case DictionaryMember::Type::kInteger:
        out += std::to_string(member.integer);
        break;
      case DictionaryMember::Type::kString:
        out += "'" + member.text + "'";
        break;
      case DictionaryMember::Type::kToken:
        out += member.text;
        break;
      case DictionaryMember::Type::kOther:
        out += "other";
        break;
    }
    out += " ";
  }
  return out;
}

}  // namespace

TEST_GROUP(StructuredDictionary){};

TEST(StructuredDictionary, ReadsWhatTheGrammarAllows) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"a", "a=true "},
      {"a, b=?0,c=?1", "a=true b=false c=true "},
      {"max-age=3600 ,\t no-store", "max-age=3600 no-store=true "},
      {"a=-5", "a=-5 "},
      {"a=999999999999999", "a=999999999999999 "},
      {"a=1.5", "a=other "},
      {"a=\"x\\\"\\\\y\"", "a='x\"\\y' "},
      {"a=to/k:en*", "a=to/k:en* "},
      {"a=(1 \"b\" c;p=1);q", "a=other "},
      {"a=()", "a=other "},
      {"a=:aGk=:", "a=other "},
      {"a=@1659578233", "a=other "},
      {"a=%\"f%c3%bc\"", "a=other "},
      {"a=1;p;q=\"x\", b;r=?0", "a=1 b=true "},
      {"a=1, b=2, a=3", "a=3 b=2 "},
      {"*k_-.*9", "*k_-.*9=true "},
  };
  for (const auto& [value, expected] : cases) TEXT_EQUAL(expected, show(value));
}

TEST(StructuredDictionary, AnyErrorVoidsAll) {
  const std::string_view refused[] = {
      "a=",         "A=1",        "a =1",
      "a= 1",       "a,",         ",a",
      "a,,b",       "&&&&&",      "a=1 b=2",
      "a=1;",       "a=1;P",      "a=\"x",
      "a=\"\\x\"",  "a=\"\x80\"", "a=1000000000000000",
      "a=1.",       "a=1.2345",   "a=1234567890123.1",
      "a=-",        "a=?2",       "a=(1",
      "a=(1,2)",    "a=(1\"b\")", "a=:a b:",
      "a=:a",       "a=@1.5",     "a=%\"%ZZ\"",
      "a=%\"%C3\"", "9a",         "a=[1]",
      "a=\"x\"y",
  };
  for (std::string_view value : refused) {
    if (show(value) != "error") FAIL(("read: " + std::string(value)).c_str());
  }
}

TEST(StructuredDictionary, MembersAreBounded) {
  std::string value = "k0";
  for (int i = 1; i < 64; ++i) value += ", k" + std::to_string(i);
  LONGS_EQUAL(64, parse_dictionary(value)->size());
  TEXT_EQUAL("error", show(value + ", more"));
}
