// The page map: runs of free pages inside blocks, against a plain array of flags.
#include "cache/page_map.h"

#include <vector>

#include "tests/unit/cache/cache_test_support.h"

using nearfield::cache::PageMap;
using nearfield::cache::test::Random;

TEST_GROUP(PageMap){};

TEST(PageMap, SmallRunsShareABlock) {
  PageMap map(2);
  const auto first = map.take(1);
  const auto second = map.take(3);
  CHECK_TRUE(first && second);
  UNSIGNED_LONGS_EQUAL(first->block, second->block);
  UNSIGNED_LONGS_EQUAL(4, map.used_pages());
}

TEST(PageMap, TakesTheTightestFit) {
  PageMap map(3);
  const auto nearly_all = map.take(14);  // leaves 2 in its block
  const auto half = map.take(8);         // leaves 8 in the next
  const auto two = map.take(2);
  CHECK_TRUE(nearly_all && half && two);
  UNSIGNED_LONGS_EQUAL(nearly_all->block, two->block);
  const auto eight = map.take(8);
  UNSIGNED_LONGS_EQUAL(half->block, eight->block);
}

TEST(PageMap, PartsOfARunCanBeGivenBack) {
  PageMap map(1);
  const auto whole = map.take(16);
  CHECK_TRUE(whole.has_value());
  CHECK_FALSE(map.take(1).has_value());
  map.give({whole->block, 1, 15});
  UNSIGNED_LONGS_EQUAL(1, map.used_pages());
  UNSIGNED_LONGS_EQUAL(15, map.take_up_to(16)->pages);
}

TEST(PageMap, FragmentsAreFoundWhenNoRunIsLongEnough) {
  PageMap map(1);
  map.take(16);
  for (std::uint32_t page = 0; page < 16; page += 2) map.give({0, page, 1});
  CHECK_FALSE(map.take(2).has_value());
  for (int i = 0; i < 8; ++i) UNSIGNED_LONGS_EQUAL(1, map.take_up_to(16)->pages);
  CHECK_FALSE(map.take_up_to(16).has_value());
}

TEST(PageMap, RandomUseMatchesAnArrayOfFlags) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Random random(seed);
    constexpr std::uint32_t kBlocks = 9;
    PageMap map(kBlocks);
    std::vector<char> used(kBlocks * 16, 0);
    std::vector<PageMap::Run> held;
    std::uint64_t pages_held = 0;
    const auto longest_free = [&] {
      std::uint32_t longest = 0;
      for (std::uint32_t block = 0; block < kBlocks; ++block) {
        std::uint32_t run = 0;
        for (std::uint32_t page = 0; page < 16; ++page) {
          run = used[block * 16 + page] ? 0 : run + 1;
          longest = std::max(longest, run);
        }
      }
      return longest;
    };
    for (int step = 0; step < 2000; ++step) {
      if (random.below(100) < 55) {
        const auto pages = static_cast<std::uint32_t>(1 + random.below(16));
        const std::uint32_t longest = longest_free();
        const bool up_to = random.one_in(4);
        const auto run = up_to ? map.take_up_to(pages) : map.take(pages);
        const std::uint32_t expected =
            up_to ? std::min(pages, longest) : (pages <= longest ? pages : 0);
        UNSIGNED_LONGS_EQUAL(expected, run ? run->pages : 0);
        if (!run) continue;
        for (std::uint32_t page = 0; page < run->pages; ++page) {
          char& flag = used[run->block * 16 + run->first_page + page];
          CHECK_FALSE(flag);
          flag = 1;
        }
        held.push_back(*run);
        pages_held += run->pages;
      } else if (!held.empty()) {
        const std::size_t at = random.below(held.size());
        PageMap::Run run = held[at];
        // Sometimes only the tail, as a completed blob does.
        if (run.pages > 1 && random.one_in(3)) {
          const auto keep = static_cast<std::uint32_t>(1 + random.below(run.pages - 1));
          held[at].pages = keep;
          run = {run.block, run.first_page + keep, run.pages - keep};
        } else {
          held[at] = held.back();
          held.pop_back();
        }
        map.give(run);
        pages_held -= run.pages;
        for (std::uint32_t page = 0; page < run.pages; ++page)
          used[run.block * 16 + run.first_page + page] = 0;
      }
      UNSIGNED_LONGS_EQUAL(pages_held, map.used_pages());
    }
    for (const PageMap::Run& run : held) map.give(run);
    for (std::uint32_t block = 0; block < kBlocks; ++block)
      UNSIGNED_LONGS_EQUAL(16, map.take(16)->pages);
  }
}
