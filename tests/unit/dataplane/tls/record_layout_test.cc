// RecordLayout: where each record begins and ends, whatever was appended and released.
#include "dataplane/tls/record_layout.h"

#include <deque>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

namespace nearfield::tls {
namespace {

constexpr std::uint32_t kOverhead = 22;

struct Expected {
  std::uint64_t sequence;
  ContentType type;
  std::uint32_t bytes;
};

}  // namespace

TEST_GROUP(RecordLayout) {
  void setup() override { layout.begin(kOverhead); }
  RecordLayout layout;
};

TEST(RecordLayout, cuts_into_records_with_a_shorter_last_one) {
  CHECK_EQUAL(10'000 + 3 * kOverhead, layout.append(0, 7, 10'000, 4096));
  const RecordLayout::Record last = layout.find(2 * (4096 + kOverhead));
  CHECK_EQUAL(9, last.sequence);
  CHECK_EQUAL(8192, last.plain_offset);
  CHECK_EQUAL(1808, last.plain_bytes);
  CHECK_EQUAL(2 * (4096 + kOverhead), last.sealed_offset);
}

TEST(RecordLayout, messages_take_no_place_in_the_clear_text) {
  const std::array message{std::byte{1}, std::byte{0}};
  layout.append(0, 0, 100, 16384);
  CHECK_EQUAL(2 + kOverhead, layout.append_message(ContentType::alert, 0, 1, message));
  layout.append(0, 2, 50, 16384);
  const RecordLayout::Record alert = layout.find(100 + kOverhead);
  CHECK(alert.type == ContentType::alert);
  CHECK_EQUAL(2, alert.message.size());
  CHECK_EQUAL(100, layout.find(102 + 2 * kOverhead).plain_offset);
  CHECK_EQUAL(100, layout.release(100 + kOverhead));
  CHECK_EQUAL(0, layout.release(2 + kOverhead));
  CHECK_EQUAL(0, layout.find(0).plain_offset);
  CHECK_EQUAL(50, layout.release(50 + kOverhead));
  CHECK(layout.is_empty());
}

TEST(RecordLayout, a_record_counts_as_released_only_when_all_of_it_is) {
  layout.append(0, 0, 1000, 500);
  CHECK_EQUAL(0, layout.release(521));
  CHECK_EQUAL(521, layout.released_of_first());
  CHECK_EQUAL(0, layout.oldest_sequence());
  CHECK_EQUAL(500, layout.release(1));
  CHECK_EQUAL(1, layout.oldest_sequence());
}

TEST(RecordLayout, keeps_places_for_messages_when_it_is_full_of_data) {
  std::uint64_t sequence = 0;
  while (layout.has_room()) layout.append(0, sequence++, 10, 16384);
  const std::array message{std::byte{1}, std::byte{0}};
  for (std::size_t i = 0; i < RecordLayout::kMessagesAtOnce; ++i)
    layout.append_message(ContentType::alert, 0, sequence++, message);
}

// Against a list of every record, over a seeded walk.
TEST(RecordLayout, agrees_with_a_list_of_all_records) {
  test::Random random(1);
  std::deque<Expected> records;
  std::uint64_t sequence = 0;
  std::uint64_t released_of_first = 0;
  const std::array message{std::byte{1}, std::byte{2}, std::byte{3}};
  for (int step = 0; step < 5'000; ++step) {
    const std::size_t choice = random.below(4);
    if (choice == 0 && layout.has_room()) {
      const auto record_bytes = static_cast<std::uint32_t>(1 + random.below(kMaximumPlaintext));
      const std::uint64_t bytes = 1 + random.below(200'000);
      layout.append(0, sequence, bytes, record_bytes);
      for (std::uint64_t left = bytes; left > 0;) {
        const auto now = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, record_bytes));
        records.push_back({sequence++, ContentType::application_data, now});
        left -= now;
      }
    } else if (choice == 1 && layout.has_room()) {
      layout.append_message(ContentType::handshake, 0, sequence, message);
      records.push_back({sequence++, ContentType::handshake, 3});
    } else if (choice == 2 && !records.empty()) {
      std::uint64_t total = 0;
      for (const Expected& one : records) total += one.bytes + kOverhead;
      total -= released_of_first;
      const std::uint64_t bytes = random.below(std::min<std::uint64_t>(total, 60'000)) + 1;
      released_of_first += bytes;
      std::uint64_t plain = 0;
      while (!records.empty() && released_of_first >= records.front().bytes + kOverhead) {
        released_of_first -= records.front().bytes + kOverhead;
        if (records.front().type == ContentType::application_data) plain += records.front().bytes;
        records.pop_front();
      }
      CHECK_EQUAL(plain, layout.release(bytes));
      CHECK_EQUAL(released_of_first, layout.released_of_first());
    }
    CHECK_EQUAL(records.empty(), layout.is_empty());
    std::uint64_t sealed = 0;
    std::uint64_t plain = 0;
    const std::size_t looked_at = records.empty() ? 0 : random.below(records.size());
    for (std::size_t index = 0; index < looked_at; ++index) {
      sealed += records[index].bytes + kOverhead;
      if (records[index].type == ContentType::application_data) plain += records[index].bytes;
    }
    if (records.empty()) continue;
    const Expected& expected = records[looked_at];
    const std::uint64_t within = random.below(expected.bytes + kOverhead);
    if (sealed + within < released_of_first) continue;
    const RecordLayout::Record found = layout.find(sealed + within - released_of_first);
    CHECK_EQUAL(expected.sequence, found.sequence);
    CHECK(expected.type == found.type);
    CHECK_EQUAL(expected.bytes, found.plain_bytes);
    CHECK_EQUAL(sealed, found.sealed_offset);
    if (expected.type == ContentType::application_data) CHECK_EQUAL(plain, found.plain_offset);
  }
}

}  // namespace nearfield::tls
