// EntryQueue: order, bytes and length through every operation.
#include "cache/policy/entry_queue.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::cache;

TEST_GROUP(EntryQueue) {
  EntryQueue queue;
  PolicyEntry a;
  PolicyEntry b;
  PolicyEntry c;
  void setup() override {
    a.size_bytes = 1;
    b.size_bytes = 10;
    c.size_bytes = 100;
    queue.push_newest(a);
    queue.push_newest(b);
    queue.push_newest(c);
  }
};

TEST(EntryQueue, knows_its_ends_its_bytes_and_its_length) {
  POINTERS_EQUAL(&c, queue.newest());
  POINTERS_EQUAL(&a, queue.oldest());
  UNSIGNED_LONGLONGS_EQUAL(111, queue.bytes());
  UNSIGNED_LONGLONGS_EQUAL(3, queue.size());
}

TEST(EntryQueue, unlinks_from_the_middle_and_from_the_ends) {
  queue.unlink(b);
  POINTERS_EQUAL(&a, c.older);
  POINTERS_EQUAL(&c, a.newer);
  queue.unlink(a);
  POINTERS_EQUAL(&c, queue.oldest());
  queue.unlink(c);
  CHECK_TRUE(queue.empty());
  UNSIGNED_LONGLONGS_EQUAL(0, queue.bytes());
}

TEST(EntryQueue, moves_to_newest) {
  queue.move_to_newest(a);
  POINTERS_EQUAL(&a, queue.newest());
  POINTERS_EQUAL(&b, queue.oldest());
  queue.move_to_newest(a);
  POINTERS_EQUAL(&a, queue.newest());
  UNSIGNED_LONGLONGS_EQUAL(3, queue.size());
}

TEST(EntryQueue, follows_a_change_of_size_both_ways) {
  queue.resize(b, 50);
  UNSIGNED_LONGLONGS_EQUAL(151, queue.bytes());
  queue.resize(b, 0);
  UNSIGNED_LONGLONGS_EQUAL(101, queue.bytes());
}
