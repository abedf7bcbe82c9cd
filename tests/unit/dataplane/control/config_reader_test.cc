// The reader: types, ranges, unknown keys, lines. Uses the small tables of its own below rather
// than the node's keys.
#include "dataplane/control/config_reader.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

namespace {

struct Item {
  std::string name;
  std::uint32_t weight = 1;
};

struct Sample {
  bool flag = false;
  std::uint32_t number = 7;
  std::uint32_t bytes = 64;
  std::chrono::milliseconds wait{100};
  std::uint32_t share = 5;
  std::string text = "before";
  std::vector<std::string> words = {"kept"};
  std::vector<Item> items;
};

Result<void> short_text(std::string_view text) {
  if (text.size() <= 4) return {};
  return failure("is too long");
}

std::string read(std::string_view toml, Sample& sample) {
  ConfigErrors errors;
  const auto tree = parse_config_tree(toml, "t");
  if (!tree) return tree.error().text();
  ConfigReader reader(*tree, "t", errors);
  reader.table("top", [&] {
    reader.boolean("flag", sample.flag);
    reader.integer("number", sample.number, 1, 10);
    reader.size("bytes", sample.bytes, 16, 1024 * 1024);
    reader.duration("wait", sample.wait, Duration::zero(), Duration(10s));
    reader.percent("share", sample.share);
    reader.text("text", sample.text, short_text);
    reader.texts("words", sample.words, 3, short_text);
  });
  reader.tables<Item>("item", sample.items, 2, "name", [&](Item& item) {
    reader.text("name", item.name, short_text);
    reader.integer("weight", item.weight, 1, 10);
  });
  reader.finish();
  return errors.text();
}

}  // namespace

TEST_GROUP(ConfigReader) {
  Sample sample;
  void expect_error(const char* error, std::string_view toml) {
    STRCMP_EQUAL(error, read(toml, sample).c_str());
  }
};

TEST(ConfigReader, KeepsWhatIsAbsent) {
  expect_error("", "");
  CHECK_EQUAL(7U, sample.number);
  STRCMP_EQUAL("before", sample.text.c_str());
  UNSIGNED_LONGS_EQUAL(1, sample.words.size());
}

TEST(ConfigReader, ReadsEveryType) {
  expect_error("", R"(
[top]
flag = true
number = 10
bytes = "64K"
wait = "250ms"
share = "30%"
text = "abc"
words = ["a", "b"]
[[item]]
name = "x"
weight = 3
[[item]]
name = "y"
)");
  CHECK(sample.flag);
  CHECK_EQUAL(10U, sample.number);
  CHECK_EQUAL(65536U, sample.bytes);
  CHECK(sample.wait == 250ms);
  CHECK_EQUAL(30U, sample.share);
  STRCMP_EQUAL("abc", sample.text.c_str());
  UNSIGNED_LONGS_EQUAL(2, sample.words.size());
  UNSIGNED_LONGS_EQUAL(2, sample.items.size());
  CHECK_EQUAL(3U, sample.items[0].weight);
  CHECK_EQUAL(1U, sample.items[1].weight);
}

TEST(ConfigReader, TakesASizeAsANumberOfBytes) {
  expect_error("", "[top]\nbytes = 4096");
  CHECK_EQUAL(4096U, sample.bytes);
}

TEST(ConfigReader, TakesATextForATable) {
  expect_error("", "item = [\"x\", {name = \"y\", weight = 2}]");
  STRCMP_EQUAL("x", sample.items[0].name.c_str());
  CHECK_EQUAL(2U, sample.items[1].weight);
}

TEST(ConfigReader, ComplainsAboutTypesAndKeepsTheValue) {
  expect_error("t:2: top.flag: is a whole number: write true or false", "[top]\nflag = 1");
  expect_error("t:2: top.number: is a text: write a whole number", "[top]\nnumber = \"3\"");
  expect_error("t:2: top.number: is a fraction: write a whole number", "[top]\nnumber = 3.0");
  expect_error("t:2: top.wait: is a whole number: write a duration in quotes, \"10s\"",
               "[top]\nwait = 10");
  expect_error("t:2: top.bytes: is negative: write a size in quotes, \"512M\"",
               "[top]\nbytes = -1");
  expect_error("t:2: top.words: is a text: write a list of texts, [\"...\"]",
               "[top]\nwords = \"a\"");
  expect_error("t:2: top.words[1]: is a whole number: write a text", "[top]\nwords = [\"a\", 2]");
  expect_error("t:1: top: is a whole number: write a table, [top]", "top = 1");
  expect_error("t:1: item: is a table: write a list, or tables under [[item]]",
               "[item]\nname = \"x\"");
  expect_error("t:1: item[0]: is a whole number: write a table", "item = [1]");
  expect_error("t:2: top.text: is a date or time: write a text in quotes",
               "[top]\ntext = 2024-01-01");
  CHECK_EQUAL(7U, sample.number);
  CHECK(sample.wait == 100ms);
}

TEST(ConfigReader, ComplainsAboutRanges) {
  expect_error("t:2: top.number: is 11: use 1 to 10", "[top]\nnumber = 11");
  expect_error("t:2: top.number: is -1: use 1 to 10", "[top]\nnumber = -1");
  expect_error("t:2: top.bytes: is 8: use 16 to 1M", "[top]\nbytes = 8");
  expect_error("t:2: top.bytes: is 2M: use 16 to 1M", "[top]\nbytes = \"2M\"");
  expect_error("t:2: top.wait: is 11s: use 0s to 10s", "[top]\nwait = \"11s\"");
  expect_error("t:2: top.wait: is 50us: use whole multiples of 1ms", "[top]\nwait = \"50us\"");
  expect_error("t:2: top.text: is too long", "[top]\ntext = \"abcde\"");
  expect_error("t:2: top.words: has 4 entries: use at most 3",
               "[top]\nwords = [\"a\",\"b\",\"c\",\"d\"]");
  expect_error("t:2: top.words[1]: 'a' is there twice: remove one", "[top]\nwords = [\"a\",\"a\"]");
  expect_error("t:1: item: has 3 entries: use at most 2", "item = [\"a\", \"b\", \"c\"]");
}

TEST(ConfigReader, NamesTheLineOfAnItem) {
  expect_error("t:5: item[1].weight: is 0: use 1 to 10",
               "[[item]]\nname = \"x\"\n[[item]]\nname = \"y\"\nweight = 0");
}

TEST(ConfigReader, SuggestsWhatWasMeant) {
  expect_error("t:2: top.nubmer: is not known: did you mean 'number'?", "[top]\nnubmer = 1");
  expect_error("t:1: tpo: is not known: did you mean 'top'?", "[tpo]\nflag = true");
  expect_error("t:3: item[0].wieght: is not known: did you mean 'weight'?",
               "[[item]]\nname = \"x\"\nwieght = 1");
  expect_error("t:2: top.elephants: is not known: remove it, or see docs/configuration.md",
               "[top]\nelephants = 1");
}

TEST(ConfigReader, FindsAllProblemsAtOnce) {
  const std::string errors = read("[top]\nflag = 1\nnumber = 0\nwibble = 2\n", sample);
  STRCMP_CONTAINS("t:2: top.flag", errors.c_str());
  STRCMP_CONTAINS("t:3: top.number", errors.c_str());
  STRCMP_CONTAINS("t:4: top.wibble", errors.c_str());
}

TEST(ConfigReader, SaysWhereTheTomlEnds) {
  STRCMP_CONTAINS("t:2: not TOML: ", read("[top]\nflag = \n", sample).c_str());
  // TOML forbids doubles; the second one is named.
  STRCMP_CONTAINS("t:3: not TOML: ", read("[top]\nflag = true\nflag = false\n", sample).c_str());
  STRCMP_CONTAINS("t:3: not TOML: ",
                  read("[top]\nflag = true\n[top]\nnumber = 2\n", sample).c_str());
}

TEST(ConfigReader, SurvivesDeepNesting) {
  const std::string errors = read("a = " + std::string(5000, '[') + std::string(5000, ']'), sample);
  STRCMP_CONTAINS("not TOML", errors.c_str());
}

TEST(ConfigReader, NearestWordNeedsToBeNear) {
  const std::vector<std::string> known = {"header_timeout", "idle_timeout", "ram"};
  STRCMP_EQUAL("header_timeout", nearest_word("header_time", known).c_str());
  STRCMP_EQUAL("idle_timeout", nearest_word("idle-timeout", known).c_str());
  STRCMP_EQUAL("", nearest_word("elephant", known).c_str());
  STRCMP_EQUAL("", nearest_word(std::string(10000, 'x'), known).c_str());
  STRCMP_EQUAL("", nearest_word("", known).c_str());
}
