// Http2FramePool: slots apart from each other, used again, and empty after a rest.
#include "dataplane/proxy/http2_frame_pool.h"

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield::proxy;

TEST_GROUP(Http2FramePool) { Http2FramePool pool; };

TEST(Http2FramePool, slots_do_not_meet_and_are_used_again) {
  std::set<std::uint8_t*> taken;
  for (int number = 0; number < 200; ++number) {
    auto* slot = static_cast<std::uint8_t*>(pool.take());
    std::memset(slot, number, Http2FramePool::kSlotBytes);
    CHECK_TRUE(taken.insert(slot).second);
  }
  std::uint8_t* before = nullptr;
  for (std::uint8_t* slot : taken) {
    if (before != nullptr)
      CHECK_TRUE(slot - before >= static_cast<std::ptrdiff_t>(Http2FramePool::kSlotBytes));
    LONGS_EQUAL(slot[0], slot[Http2FramePool::kSlotBytes - 1]);
    before = slot;
  }
  for (std::uint8_t* slot : taken) pool.give_back(slot);
  auto* again = static_cast<std::uint8_t*>(pool.take());
  CHECK_TRUE(taken.contains(again));
  pool.give_back(again);
}

TEST(Http2FramePool, slots_not_in_use_have_no_memory_but_for_the_last) {
  constexpr std::size_t kSlots = Http2FramePool::kWarmSlots + 10;
  std::vector<std::uint8_t*> taken;
  while (taken.size() < kSlots) {
    taken.push_back(static_cast<std::uint8_t*>(pool.take()));
    std::memset(taken.back(), 0xff, Http2FramePool::kSlotBytes);
  }
  for (std::uint8_t* slot : taken) pool.give_back(slot);
  for (std::size_t number = 0; number < kSlots; ++number)
    for (std::size_t at = 0; at < Http2FramePool::kSlotBytes; at += 512)
      LONGS_EQUAL(number < 10 ? 0 : 0xff, taken[number][at]);
  // The last one is the first again, one after the other, and none of them is forgotten.
  for (int number = 0; number < 1000; ++number) {
    auto* again = static_cast<std::uint8_t*>(pool.take());
    POINTERS_EQUAL(taken.back(), again);
    LONGS_EQUAL(0xff, again[0]);
    pool.give_back(again);
  }
}

TEST(Http2FramePool, forgets_one_slot_and_no_other) {
  auto* first = static_cast<std::uint8_t*>(pool.take());
  auto* second = static_cast<std::uint8_t*>(pool.take());
  std::memset(first, 1, Http2FramePool::kSlotBytes);
  std::memset(second, 2, Http2FramePool::kSlotBytes);
  CHECK_TRUE(Http2FramePool::forget(first));
  LONGS_EQUAL(0, first[0]);
  LONGS_EQUAL(0, first[Http2FramePool::kSlotBytes - 1]);
  LONGS_EQUAL(2, second[0]);
  LONGS_EQUAL(2, second[Http2FramePool::kSlotBytes - 1]);
  pool.give_back(first);
  pool.give_back(second);
}
