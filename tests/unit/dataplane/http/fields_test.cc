// The field list is its own wire form; these are the ways of reading and changing it.
#include "dataplane/http/fields.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

TEST_GROUP(Fields){};

TEST(Fields, KeepsOrderAndSerialisesAsIs) {
  const Fields fields = fields_of({{"Host", "a"}, {"Accept", " */* "}, {"Empty", ""}});
  TEXT_EQUAL("Host: a\r\nAccept: */*\r\nEmpty: \r\n", fields.text());
  LONGS_EQUAL(3, fields.size());
  std::string out = "GET / HTTP/1.1\r\n";
  fields.append_to(out);
  TEXT_EQUAL("GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nEmpty: \r\n", out);
}

TEST(Fields, FindsIgnoringCaseTheFirstOfAName) {
  const Fields fields = fields_of({{"Age", "1"}, {"X", "Age: 9"}, {"AGE", "2"}, {"Agee", "3"}});
  TEXT_EQUAL("1", *fields.find("age"));
  TEXT_EQUAL("Age: 9", *fields.find("x"));
  CHECK_FALSE(fields.find("Ag").has_value());
  CHECK_FALSE(fields.find("Date").has_value());
  LONGS_EQUAL(2, fields.count("age"));
  TEXT_EQUAL("1, 2", *fields.combined("Age"));
  CHECK_FALSE(fields.combined("Nothing").has_value());
}

TEST(Fields, ListContainsLooksAtEveryLine) {
  const Fields fields = fields_of({{"Connection", "a, b"}, {"connection", "Close"}});
  CHECK(fields.list_contains("Connection", "close"));
  CHECK(fields.list_contains("Connection", "B"));
  CHECK_FALSE(fields.list_contains("Connection", "c"));
}

TEST(Fields, NoValueCanStartASecondField) {
  Fields fields;
  fields.add("Location", "/a\r\nSet-Cookie: stolen");
  fields.add("B", std::string_view("x\0y\n", 4));
  LONGS_EQUAL(2, fields.size());
  TEXT_EQUAL("Location: /a  Set-Cookie: stolen\r\nB: x y \r\n", fields.text());
  TEXT_EQUAL("x y", *fields.find("b"));
  CHECK_FALSE(fields.contains("Set-Cookie"));
}

TEST(Fields, FromTheWireIsTakenAsItIsOrNotAtAll) {
  Fields fields;
  CHECK(fields.add_received("A", " x\ty\xfc "));
  CHECK_FALSE(fields.add_received("A b", "x"));
  CHECK_FALSE(fields.add_received("", "x"));
  CHECK_FALSE(fields.add_received("B", "x\ry"));
  CHECK_FALSE(fields.add_received("B", "x\x7fy"));
  TEXT_EQUAL("A: x\ty\xfc\r\n", fields.text());
  LONGS_EQUAL(1, fields.size());
  CHECK(fields.contains("a"));
}

TEST(Fields, SetReplacesInThePlaceOfTheFirst) {
  Fields fields = fields_of({{"A", "1"}, {"B", "2"}, {"a", "3"}, {"C", "4"}});
  fields.set("a", "longer than before");
  TEXT_EQUAL("a: longer than before\r\nB: 2\r\nC: 4\r\n", fields.text());
  LONGS_EQUAL(3, fields.size());
  fields.set("D", "5");
  fields.set("B", *fields.find("C"));
  TEXT_EQUAL("a: longer than before\r\nB: 4\r\nC: 4\r\nD: 5\r\n", fields.text());
  LONGS_EQUAL(4, fields.size());
}

TEST(Fields, RemovesByNameAndPredicate) {
  Fields fields = fields_of({{"A", "1"}, {"B", "2"}, {"a", "3"}, {"C", "4"}});
  LONGS_EQUAL(2, fields.remove("A"));
  LONGS_EQUAL(0, fields.remove("A"));
  TEXT_EQUAL("B: 2\r\nC: 4\r\n", fields.text());
  // A removed name may come back.
  fields.set("A", "5");
  TEXT_EQUAL("5", *fields.find("a"));
  LONGS_EQUAL(2, fields.remove_if([](const Field& field) { return field.value != "4"; }));
  TEXT_EQUAL("C: 4\r\n", fields.text());
  LONGS_EQUAL(1, fields.size());
}

TEST(Fields, IteratesInOrder) {
  const Fields fields = fields_of({{"A", "1"}, {"B", ""}, {"C", "a: b"}});
  std::string seen;
  for (const Field& field : fields)
    seen += std::string(field.name) + "=" + std::string(field.value) + ";";
  TEXT_EQUAL("A=1;B=;C=a: b;", seen);
  const Fields none;
  for (const Field& field : none) FAIL(std::string(field.name).c_str());
}

TEST(Fields, ClearKeepsMemoryAndShrinkGivesItBack) {
  Fields fields;
  for (int i = 0; i < 50; ++i) fields.add("Name", "some value of middling length");
  const std::size_t full = fields.memory_bytes();
  CHECK(full >= fields.text().size());
  fields.clear();
  LONGS_EQUAL(full, fields.memory_bytes());
  CHECK(fields.empty());
  CHECK_FALSE(fields.contains("Name"));
  fields.shrink_to_fit();
  LONGS_EQUAL(0, fields.memory_bytes());
}
