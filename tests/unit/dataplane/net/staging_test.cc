// Staging: what was made stays until its last use is over, and comes back in order.
#include "dataplane/net/staging.h"

#include <cstring>
#include <deque>
#include <vector>

#include "CppUTest/TestHarness.h"

using nearfield::net::Staging;

TEST_GROUP(Staging) {
  std::vector<std::byte> memory = std::vector<std::byte>(1024);
  Staging staging{memory};
};

TEST(Staging, is_full_until_the_use_of_the_oldest_is_over) {
  const Staging::Piece first = staging.take(512);
  const Staging::Piece second = staging.take(512);
  CHECK_EQUAL(512, first.bytes.size());
  CHECK_EQUAL(512, second.bytes.size());
  CHECK_TRUE(staging.take(1).bytes.empty());
  staging.settle(1);
  staging.retire(0);
  CHECK_TRUE(staging.take(1).bytes.empty());
  staging.retire(1);
  CHECK_EQUAL(512, staging.take(512).bytes.size());
}

TEST(Staging, what_is_not_settled_is_never_retired) {
  staging.take(512);
  staging.retire(1'000);
  staging.take(512);
  CHECK_TRUE(staging.take(1).bytes.empty());
}

TEST(Staging, a_renewed_piece_lives_for_its_new_use) {
  const Staging::Piece piece = staging.take(400);
  staging.settle(1);
  CHECK_TRUE(staging.renew(piece.number));
  staging.settle(2);
  staging.retire(1);
  CHECK_TRUE(staging.renew(piece.number));
  staging.settle(3);
  staging.retire(3);
  CHECK_FALSE(staging.renew(piece.number));
  // All of it is free.
  CHECK_EQUAL(512, staging.take(512).bytes.size());
  CHECK_EQUAL(512, staging.take(512).bytes.size());
}

TEST(Staging, a_piece_is_never_cut_by_the_end_of_the_memory) {
  staging.take(500);
  staging.settle(1);
  const Staging::Piece second = staging.take(500);
  staging.settle(2);
  staging.retire(1);
  // 24 bytes are left behind the second; the next begins at the front.
  const Staging::Piece third = staging.take(100);
  CHECK_EQUAL(100, third.bytes.size());
  POINTERS_EQUAL(memory.data(), third.bytes.data());
  CHECK_TRUE(second.bytes.data() > third.bytes.data());
}

TEST(Staging, pieces_in_use_never_overlap) {
  // A seeded walk: pieces are filled with their number, and read again before they are retired.
  std::uint64_t state = 1;
  const auto random = [&state](std::uint64_t below) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
  };
  struct Held {
    Staging::Piece piece;
    std::byte mark;
    std::uint64_t use;
  };
  std::deque<Held> held;
  std::uint64_t use = 0;
  for (int step = 0; step < 20'000; ++step) {
    ++use;
    for (std::uint64_t pieces = random(4); pieces > 0; --pieces) {
      const Staging::Piece piece = staging.take(1 + random(300));
      if (piece.bytes.empty()) continue;
      const auto mark = static_cast<std::byte>(piece.number);
      std::memset(piece.bytes.data(), static_cast<int>(mark), piece.bytes.size());
      held.push_back({piece, mark, use});
    }
    if (!held.empty() && random(4) == 0) {
      Held& again = held[random(held.size())];
      CHECK_TRUE(staging.renew(again.piece.number));
      again.use = use;
    }
    staging.settle(use);
    for (const Held& one : held) {
      for (const std::byte byte : one.piece.bytes) CHECK_TRUE(byte == one.mark);
    }
    const std::uint64_t over = use - random(5) * (use > 5 ? 1 : 0);
    staging.retire(over);
    while (!held.empty() && held.front().use <= over) held.pop_front();
  }
}
