// Which piece of memory a blob asks for next: small beginnings, tails, and room between neighbours.
#include "cache/extent_list.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::cache;

namespace {

void check_cell(const ExtentList& list, std::uint64_t offset, std::optional<std::uint64_t> total,
                std::uint64_t begin_kib, std::uint64_t end_kib) {
  const auto cell = list.next_cell(offset, total);
  UNSIGNED_LONGS_EQUAL(begin_kib * 1024, cell.begin);
  UNSIGNED_LONGS_EQUAL(end_kib * 1024, cell.end);
}

}  // namespace

TEST_GROUP(ExtentList) { ExtentList list; };

TEST(ExtentList, ABodyOfUnknownLengthBeginsWithPagesAndDoubles) {
  check_cell(list, 0, {}, 0, 4);
  check_cell(list, 4096, {}, 4, 8);
  check_cell(list, 9000, {}, 8, 16);
  check_cell(list, 20000, {}, 16, 32);
  check_cell(list, 65535, {}, 32, 64);
  check_cell(list, 65536, {}, 64, 128);
}

TEST(ExtentList, ATailIsAsLongAsWhatIsLeft) {
  check_cell(list, 0, 1000, 0, 4);
  check_cell(list, 0, 70000, 0, 64);
  check_cell(list, 65536, 70000, 64, 72);
}

TEST(ExtentList, ANewPieceFitsBetweenItsNeighbours) {
  std::byte memory[1];
  list.add(8 * 1024, {memory, 4096});
  list.add(40 * 1024, {memory, 4096});
  check_cell(list, 0, 1 << 20, 0, 8);
  check_cell(list, 20 * 1024, 1 << 20, 12, 40);
  check_cell(list, 60 * 1024, 1 << 20, 44, 64);
  CHECK_TRUE(list.find(8 * 1024 + 4095) == 0u);
  CHECK_FALSE(list.find(12 * 1024).has_value());
}
