// Recycler: what was given back comes first, the last of it at once, and no more than so many stay.
#include "cache/base/recycler.h"

#include "CppUTest/TestHarness.h"

using nearfield::Recycler;

TEST_GROUP(Recycler) {
  struct Object {
    explicit Object(int& alive_count) : alive(alive_count) { ++alive; }
    ~Object() { --alive; }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    int& alive;
  };
  int alive = 0;
  Recycler<Object, 2> recycler;

  std::unique_ptr<Object> take() {
    return recycler.take([this] { return std::make_unique<Object>(alive); });
  }
};

TEST(Recycler, gives_the_one_given_back_last) {
  auto first = take();
  auto second = take();
  Object* const last = second.get();
  recycler.give(std::move(first));
  recycler.give(std::move(second));
  POINTERS_EQUAL(last, take().get());
  CHECK_EQUAL(1, alive);  // one was taken and dropped, one waits
}

TEST(Recycler, keeps_no_more_than_its_bound) {
  std::unique_ptr<Object> objects[] = {take(), take(), take()};
  for (auto& object : objects) recycler.give(std::move(object));
  CHECK_EQUAL(2, alive);
  recycler.clear();
  CHECK_EQUAL(0, alive);
  CHECK_TRUE(take() != nullptr);
}
