// What is received out of order comes out in order and as first received, within bounded memory,
// and the SACK blocks tell of it as RFC 2018 and RFC 2883 ask.
#include "dataplane/net/tcp/reassembly.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield::net::tcp;

namespace {

constexpr StreamPosition kStart = kFirstBytePosition;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

struct Receiver {
  explicit Receiver(std::size_t chunks) : pool(chunks) {}

  bool store(std::uint64_t offset, std::string_view text) {
    return reassembly.store(pool, kStart + offset, bytes_of(text), consumed, &next);
  }
  std::string take(std::size_t at_most = SIZE_MAX) {
    std::string taken;
    while (at_most > 0) {
      const auto bytes = reassembly.readable(consumed);
      if (bytes.empty()) break;
      const std::size_t piece = std::min(bytes.size(), at_most);
      taken.append(reinterpret_cast<const char*>(bytes.data()), piece);
      consumed += piece;
      at_most -= piece;
      reassembly.consume(pool, consumed);
    }
    return taken;
  }
  // "10-20 30-40": the blocks as offsets into the stream.
  std::string blocks() {
    std::string text;
    for (const SackBlock& block : reassembly.sack_blocks(space, next).span()) {
      if (!text.empty()) text += ' ';
      text += std::to_string(space.position_of(block.begin, next) - kStart) + '-' +
              std::to_string(space.position_of(block.end, next) - kStart);
    }
    reassembly.on_duplicate_reported();
    return text;
  }

  ReceivePool pool;
  SequenceSpace space{SequenceNumber{0xfffffff0}};  // wraps soon
  StreamPosition consumed = kStart;
  StreamPosition next = kStart;
  Reassembly reassembly;
};

void check_text(const std::string& expected, const std::string& actual) {
  STRCMP_EQUAL(expected.c_str(), actual.c_str());
}

}  // namespace

TEST_GROUP(Reassembly){};

TEST(Reassembly, FillsAGapAndDeliversInOrder) {
  Receiver receiver(4);
  CHECK(receiver.store(3, "def"));
  CHECK(receiver.next == kStart);
  CHECK(receiver.reassembly.has_gap(receiver.next));
  check_text("", receiver.take());
  CHECK(receiver.store(0, "abc"));
  CHECK(receiver.next == kStart + 6);
  CHECK(!receiver.reassembly.has_gap(receiver.next));
  check_text("abcdef", receiver.take());
}

TEST(Reassembly, HoldsNoMemoryWhenEmpty) {
  Receiver receiver(4);
  CHECK(receiver.store(0, "abc"));
  LONGS_EQUAL(3, receiver.pool.free_chunks());
  LONGS_EQUAL(3, receiver.pool.free_states());
  check_text("abc", receiver.take());
  CHECK(receiver.reassembly.empty());
  LONGS_EQUAL(4, receiver.pool.free_chunks());
  LONGS_EQUAL(4, receiver.pool.free_states());
}

TEST(Reassembly, GivesEverythingBackWhenItEnds) {
  ReceivePool pool(4);
  {
    Reassembly ends;
    StreamPosition next = kStart;
    CHECK(ends.store(pool, kStart + 10, bytes_of("x"), kStart, &next));
    ends.clear(pool);
    LONGS_EQUAL(4, pool.free_chunks());
    CHECK(ends.store(pool, kStart + 10, bytes_of("x"), kStart, &next));
  }
  LONGS_EQUAL(4, pool.free_chunks());
  LONGS_EQUAL(4, pool.free_states());
}

TEST(Reassembly, KeepsWhatCameFirst) {
  Receiver receiver(4);
  CHECK(receiver.store(2, "CD"));
  CHECK(receiver.store(6, "GH"));
  CHECK(receiver.store(0, "abcdefghij"));
  check_text("abCDefGHij", receiver.take());
}

// Some connections that hold all they may leave something to others, and keep what they have.
TEST(Reassembly, SharesThePool) {
  constexpr std::size_t kChunks = 1024;
  ReceivePool pool(kChunks);
  std::array<Reassembly, 24> greedy;
  StreamPosition next = kStart;
  const std::string window(Reassembly::kWindowBytes - 1, 'x');
  const std::string piece(100, 'y');
  for (std::size_t i = 0; i < greedy.size(); ++i) {
    const std::size_t free_before = pool.free_chunks();
    const std::size_t most = pool.most_for_one();
    greedy[i].store(pool, kStart + 1, bytes_of(window), kStart, &next);  // as much as it gets
    CHECK(free_before - pool.free_chunks() >= ReceivePool::kShareAlways);
    CHECK(free_before - pool.free_chunks() <= most);
  }
  CHECK(pool.free_chunks() > kChunks / 8);
  Reassembly modest;
  CHECK(modest.store(pool, kStart + 1, bytes_of(piece), kStart, &next));
}

TEST(Reassembly, TakesOnlyWhatLiesInTheWindow) {
  Receiver receiver(640);
  const std::string large(Reassembly::kWindowBytes + 100, 'x');
  CHECK(receiver.store(0, large));
  CHECK(receiver.next == kStart + Reassembly::kWindowBytes);
  CHECK(receiver.store(Reassembly::kWindowBytes, "beyond"));
  CHECK(receiver.next == kStart + Reassembly::kWindowBytes);
  LONGS_EQUAL(Reassembly::kWindowBytes, receiver.take().size());
  CHECK(receiver.store(0, "old news"));  // all of it before `consumed`
  CHECK(receiver.reassembly.empty());
}

TEST(Reassembly, ForgetsWhatTheApplicationTookWithoutIt) {
  Receiver receiver(4);
  CHECK(receiver.store(10, "0123456789"));
  // A segment [0, 15) went straight to the application.
  receiver.consumed = kStart + 15;
  receiver.next = receiver.reassembly.contiguous_end(receiver.consumed);
  CHECK(receiver.next == kStart + 20);
  receiver.reassembly.consume(receiver.pool, receiver.consumed);
  check_text("56789", receiver.take());
  CHECK(receiver.reassembly.empty());
}

TEST(Reassembly, AFullPoolKeepsAFrontPartAndSaysSo) {
  Receiver receiver(2);
  const std::string long_text(5000, 'y');
  CHECK(!receiver.store(0, long_text));
  LONGS_EQUAL(0, receiver.pool.free_chunks());
  const std::size_t kept = receiver.next - kStart;
  CHECK(kept > 2048 && kept <= 4096);
  Receiver other(1);  // another pool: nothing is shared but by the pool
  CHECK(other.store(0, "z"));
  Reassembly starved;
  StreamPosition next = kStart;
  CHECK(!starved.store(receiver.pool, kStart, bytes_of("q"), kStart, &next));
  CHECK(next == kStart);
  CHECK(starved.empty());
  LONGS_EQUAL(kept, receiver.take().size());
  LONGS_EQUAL(2, receiver.pool.free_chunks());
  CHECK(starved.store(receiver.pool, kStart, bytes_of("q"), kStart, &next));
}

TEST(Reassembly, BoundsItsIntervalsAndStillTakesWhatIsInOrder) {
  Receiver receiver(8);
  for (std::uint64_t i = 0; i < Reassembly::kMaximumIntervals; ++i) {
    CHECK(receiver.store(10 + 10 * i, "abc"));
  }
  CHECK(!receiver.store(500, "one more"));
  CHECK(receiver.store(13, "d"));  // touches one that is there
  CHECK(receiver.store(0, "in"));
  CHECK(receiver.store(2, " order.."));
  CHECK(receiver.next == kStart + 14);
  check_text("in order..abcd", receiver.take());
  CHECK(receiver.store(500, "one more"));
}

TEST(Reassembly, ReportsTheMostRecentlyChangedBlockFirst) {
  Receiver receiver(8);
  CHECK(receiver.store(10, "0123456789"));
  check_text("10-20", receiver.blocks());
  CHECK(receiver.store(30, "0123456789"));
  check_text("30-40 10-20", receiver.blocks());
  CHECK(receiver.store(50, "0123456789"));
  CHECK(receiver.store(70, "0123456789"));
  CHECK(receiver.store(90, "0123456789"));
  check_text("90-100 70-80 50-60 30-40", receiver.blocks());
  CHECK(receiver.store(20, "01234"));
  check_text("10-25 90-100 70-80 50-60", receiver.blocks());
  CHECK(receiver.store(0, "0123456789"));  // cumulative now, no block
  check_text("90-100 70-80 50-60 30-40", receiver.blocks());
}

TEST(Reassembly, WhatIsInOrderButNotTakenIsNoBlock) {
  Receiver receiver(8);
  CHECK(receiver.store(0, "abc"));
  CHECK(receiver.store(5, "f"));
  check_text("5-6", receiver.blocks());
}

TEST(Reassembly, ReportsADuplicateOnceAndTheBlockAroundItNext) {
  Receiver receiver(8);
  CHECK(receiver.store(10, "0123456789"));
  CHECK(receiver.store(30, "0123456789"));
  CHECK(receiver.store(12, "xyz"));
  check_text("12-15 10-20 30-40", receiver.blocks());
  check_text("10-20 30-40", receiver.blocks());
}

TEST(Reassembly, ReportsADuplicateBelowEverythingAlsoWhileNothingIsHeld) {
  Receiver receiver(8);
  receiver.consumed = receiver.next = kStart + 100;
  receiver.reassembly.note_duplicate(kStart + 50, kStart + 60);
  CHECK(receiver.reassembly.has_duplicate());
  check_text("50-60", receiver.blocks());
  CHECK(!receiver.reassembly.has_duplicate());
  check_text("", receiver.blocks());
  CHECK(receiver.reassembly.empty());
}

TEST(Reassembly, ADuplicateOfWhatIsInOrderAndNotTakenIsReportedToo) {
  Receiver receiver(8);
  CHECK(receiver.store(0, "0123456789"));
  CHECK(receiver.store(20, "0123456789"));
  CHECK(receiver.store(4, "xyz"));
  check_text("4-7 20-30", receiver.blocks());
  check_text("0123456789", receiver.take());
}

// Any stream of overlapping segments against a map of positions. The model knows nothing of chunks
// and intervals: whatever was accepted must be exactly what first came, whatever was refused must
// not be vouched for.
TEST(Reassembly, AgreesWithAMapOfBytesForAnySegments) {
  for (unsigned seed = 1; seed <= 15; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&random](std::uint64_t bound) { return random() % bound; };
    Receiver receiver(seed % 3 == 0 ? 6 : 600);
    std::map<StreamPosition, std::byte> model;
    const std::uint64_t longest = seed % 2 == 0 ? 9000 : 300;
    const std::uint64_t spread = seed % 5 == 0 ? 2 * Reassembly::kWindowBytes : 4 * longest;
    std::uint64_t refused = 0;
    const int steps = longest > 300 ? 120 : 600;
    for (int step = 0; step < steps; ++step) {
      if (below(4) != 0) {
        const StreamPosition begin =
            receiver.consumed - std::min<std::uint64_t>(below(longest), 100) + below(spread);
        std::vector<std::byte> bytes(below(longest) + 1);
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        const StreamPosition next_before = receiver.next;
        const bool whole = receiver.reassembly.store(receiver.pool, begin, bytes, receiver.consumed,
                                                     &receiver.next);
        CHECK(receiver.next >= next_before);
        if (!whole) ++refused;
        bool front_only = true;
        bool kept = true;  // up to the first byte that is not held
        for (std::size_t i = 0; i < bytes.size(); ++i) {
          const StreamPosition position = begin + i;
          if (position < receiver.consumed ||
              position >= receiver.consumed + Reassembly::kWindowBytes) {
            continue;
          }
          if (!whole && !model.contains(position)) {
            // Held or not, as the reassembly says, but a front part only.
            const bool held = receiver.reassembly.contiguous_end(position) > position;
            front_only = front_only && (kept || !held);
            kept = held;
            if (!held) continue;
          }
          model.try_emplace(position, bytes[i]);
        }
        CHECK(front_only);
      } else {
        std::size_t at_most = below(2 * longest);
        while (at_most > 0) {
          const auto bytes = receiver.reassembly.readable(receiver.consumed);
          const std::size_t piece = std::min(bytes.size(), at_most);
          if (piece == 0) break;
          bool same = true;
          for (std::size_t i = 0; i < piece; ++i) {
            const auto found = model.find(receiver.consumed + i);
            same = same && found != model.end() && found->second == bytes[i];
          }
          CHECK(same);
          receiver.consumed += piece;
          at_most -= piece;
          receiver.reassembly.consume(receiver.pool, receiver.consumed);
        }
        model.erase(model.begin(), model.lower_bound(receiver.consumed));
      }
      // Held is exactly what the model has, in the same runs; the blocks are those beyond a gap.
      std::vector<std::pair<StreamPosition, StreamPosition>> runs;
      for (auto it = model.begin(); it != model.end();) {
        const StreamPosition run = it->first;
        StreamPosition end = run;
        while (it != model.end() && it->first == end) ++it, ++end;
        runs.emplace_back(run, end);
        CHECK(receiver.reassembly.contiguous_end(run) == end);
      }
      const bool in_order = !runs.empty() && runs[0].first == receiver.consumed;
      CHECK(receiver.next == (in_order ? runs[0].second : receiver.consumed));
      CHECK(receiver.reassembly.empty() == runs.empty());
      CHECK(runs.size() <= Reassembly::kMaximumIntervals + 1);
      const bool duplicate = receiver.reassembly.has_duplicate();
      const SackBlocks blocks = receiver.reassembly.sack_blocks(receiver.space, receiver.next);
      receiver.reassembly.on_duplicate_reported();
      LONGS_EQUAL(std::min<std::size_t>(SackBlocks::kMaximum,
                                        runs.size() - (in_order ? 1 : 0) + (duplicate ? 1 : 0)),
                  blocks.count);
      for (std::size_t i = duplicate ? 1 : 0; i < blocks.count; ++i) {
        const std::pair block{receiver.space.position_of(blocks.blocks[i].begin, receiver.next),
                              receiver.space.position_of(blocks.blocks[i].end, receiver.next)};
        CHECK(std::ranges::find(runs, block) != runs.end());
      }
      std::size_t chunks = 0;
      StreamPosition last_chunk = 0;
      for (const auto& [begin, end] : runs) {
        for (StreamPosition chunk = begin / 2048; chunk <= (end - 1) / 2048; ++chunk) {
          if (chunk != last_chunk) ++chunks;
          last_chunk = chunk;
        }
      }
      const std::size_t used = receiver.pool.chunk_count() - receiver.pool.free_chunks();
      CHECK(used >= chunks);
      CHECK(used <= chunks + (runs.empty() ? 0 : Reassembly::kWindowBytes / 2048 + 1));
      if (runs.empty()) LONGS_EQUAL(0, used);
    }
    if (seed % 3 == 0 && longest > 6 * 2048 / 2) CHECK(refused > 0);  // the small pool was used up
  }
}
