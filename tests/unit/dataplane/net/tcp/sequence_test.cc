// Sequence numbers wrap, stream positions do not; the translation between them holds across the
// wrap.
#include "dataplane/net/tcp/sequence.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::net::tcp;

TEST_GROUP(Sequence){};

TEST(Sequence, DistanceIsSignedAndWraps) {
  LONGS_EQUAL(1, distance({0xffffffff}, {0}));
  LONGS_EQUAL(-1, distance({0}, {0xffffffff}));
  CHECK(before({0xfffffff0}, {5}));
  CHECK(!before({5}, {0xfffffff0}));
  CHECK(!before({5}, {5}));
}

TEST(Sequence, TheFirstByteFollowsTheSyn) {
  const SequenceSpace space({0xffffffff});
  UNSIGNED_LONGS_EQUAL(0xffffffff, space.number_of(kInitialPosition).value);
  UNSIGNED_LONGS_EQUAL(0, space.number_of(kFirstBytePosition).value);
}

TEST(Sequence, PositionsComeBackAcrossManyWraps) {
  const SequenceSpace space({0x80000001});
  for (StreamPosition position = kFirstBytePosition; position < kInitialPosition * 8;
       position += 0x0fedcba9) {
    CHECK(space.position_of(space.number_of(position), position) == position);
    CHECK(space.position_of(space.number_of(position), position + 0x3fffffff) == position);
    CHECK(space.position_of(space.number_of(position), position - 0x3fffffff) == position);
  }
}

TEST(Sequence, ANumberBeforeTheSynHasAPositionTooNotAWildOne) {
  const SequenceSpace space({1000});
  CHECK(space.position_of({999}, kFirstBytePosition) == kInitialPosition - 1);
}
