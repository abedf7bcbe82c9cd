// take_out(): the list stays without gaps, and every element knows its place.
#include "cache/base/take_out.h"

#include "CppUTest/TestHarness.h"

using nearfield::take_out;

TEST_GROUP(TakeOut) {
  struct Element {
    int name = 0;
    std::size_t index = 0;
  };
  std::vector<std::unique_ptr<Element>> list;

  void setup() override {
    for (int name = 0; name < 4; ++name)
      list.push_back(std::make_unique<Element>(Element{name, list.size()}));
  }
  int take(std::size_t index) {
    const auto taken =
        take_out(list, index, [](Element& moved, std::size_t place) { moved.index = place; });
    for (std::size_t place = 0; place < list.size(); ++place)
      CHECK_EQUAL(place, list[place]->index);
    return taken->name;
  }
};

TEST(TakeOut, the_last_takes_the_place_of_the_one_taken) {
  CHECK_EQUAL(1, take(1));
  CHECK_EQUAL(3, list.size());
  CHECK_EQUAL(3, list[1]->name);
}

TEST(TakeOut, the_last_itself_and_the_only_one_move_nobody) {
  CHECK_EQUAL(3, take(3));
  CHECK_EQUAL(0, take(0));
  CHECK_EQUAL(2, take(0));
  CHECK_EQUAL(1, take(0));
  CHECK_TRUE(list.empty());
}
