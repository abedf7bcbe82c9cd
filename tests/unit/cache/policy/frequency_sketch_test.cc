// FrequencySketch: counts well enough to compare, ages, and never counts too few within a sample.
#include "cache/policy/frequency_sketch.h"

#include "CppUTest/TestHarness.h"
#include "cache/sim/mix.h"

using namespace nearfield::cache;
using nearfield::cache::sim::mix64;

namespace {
constexpr std::uint64_t kNoAgeing = ~std::uint64_t{0};
}

TEST_GROUP(FrequencySketch){};

TEST(FrequencySketch, counts_up_to_fifteen) {
  FrequencySketch sketch(100);
  for (unsigned use = 1; use <= 20; ++use) {
    sketch.use(mix64(1), kNoAgeing);
    UNSIGNED_LONGS_EQUAL(use < 15 ? use : 15, sketch.count(mix64(1)));
  }
  UNSIGNED_LONGS_EQUAL(0, sketch.count(mix64(2)));
}

TEST(FrequencySketch, never_counts_too_few_and_seldom_too_many) {
  FrequencySketch sketch(1000);
  for (std::uint64_t name = 0; name < 1000; ++name) {
    for (std::uint64_t use = 0; use <= name % 4; ++use) sketch.use(mix64(name), kNoAgeing);
  }
  int too_many = 0;
  for (std::uint64_t name = 0; name < 1000; ++name) {
    CHECK_TRUE(sketch.count(mix64(name)) >= name % 4 + 1);
    too_many += sketch.count(mix64(name)) > name % 4 + 1;
  }
  CHECK_TRUE(too_many < 100);
}

TEST(FrequencySketch, halves_after_a_sample) {
  FrequencySketch sketch(1000);
  for (int use = 0; use < 8; ++use) sketch.use(mix64(1), kNoAgeing);
  // The next use completes a sample of nine; the halving goes on a slice per use.
  for (std::uint64_t name = 100; name < 200; ++name)
    sketch.use(mix64(name), name == 100 ? 9 : kNoAgeing);
  UNSIGNED_LONGS_EQUAL(4, sketch.count(mix64(1)));
}
