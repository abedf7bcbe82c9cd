// RequestContent: one sum over all that is held, given back whatever happens, memory with it.
#include "dataplane/proxy/request_content.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::proxy;

TEST_GROUP(RequestContent) {
  std::atomic<std::uint64_t> held{0};
  static constexpr std::uint64_t kMost = 100;

  bool append(RequestContent & content, const std::string& text) {
    return content.append(std::as_bytes(std::span(text)), held, kMost);
  }
};

TEST(RequestContent, all_contents_together_are_bounded) {
  RequestContent one;
  RequestContent other;
  CHECK_TRUE(append(one, std::string(60, 'a')));
  CHECK_FALSE(append(other, std::string(41, 'b')));
  LONGS_EQUAL(60, held);
  CHECK_TRUE(append(other, std::string(40, 'b')));
  CHECK_FALSE(append(one, "c"));
  one.clear();
  LONGS_EQUAL(40, held);
  CHECK_TRUE(append(other, "c"));
  LONGS_EQUAL(41, other.size_bytes());
  STRCMP_EQUAL((std::string(40, 'b') + "c").c_str(), other.take_text().c_str());
}

TEST(RequestContent, a_share_moves_along_and_ends_with_its_holder) {
  {
    RequestContent last;
    {
      RequestContent first;
      CHECK_TRUE(append(first, "abc"));
      last = std::move(first);
    }
    LONGS_EQUAL(3, held);
    STRCMP_EQUAL("abc", last.take_text().c_str());
    // Whoever has the bytes now still holds them.
    LONGS_EQUAL(3, held);
    RequestContent another;
    CHECK_TRUE(append(another, "de"));
    last = std::move(another);
    LONGS_EQUAL(2, held);
  }
  LONGS_EQUAL(0, held);
}

TEST(RequestContent, what_is_cleared_keeps_no_memory) {
  held = 0;
  RequestContent content;
  const std::string large(1 << 20, 'x');
  CHECK_TRUE(content.append(std::as_bytes(std::span(large)), held, large.size()));
  content.clear();
  CHECK_TRUE(content.capacity_bytes() < 64);
  CHECK_TRUE(append(content, "again"));
  STRCMP_EQUAL("again", content.take_text().c_str());
}
