// A trusted clock that runs backwards.
#include "dataplane/access/time_floor.h"

#include <CppUTest/TestHarness.h>

using namespace nearfield;
using namespace nearfield::access;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_GROUP(TimeFloor) {
  TimeFloor floor;
  static WallTime wall(int second) { return WallTime(seconds(1'800'000'000 + second)); }
  static MonotonicTime at(milliseconds since) { return MonotonicTime(hours(5) + since); }
};

TEST(TimeFloor, KnowsNothingBeforeAClockIsTrusted) {
  CHECK(floor.at(at(seconds(7))) == WallTime());
  CHECK(floor.heed(wall(0), at(seconds(7))) == wall(0));
}

TEST(TimeFloor, RisesWithTheClockAndBetweenItsReadings) {
  floor.heed(wall(0), at(seconds(0)));
  CHECK(floor.at(at(milliseconds(1999))) == wall(1));
  // A step forward is followed.
  CHECK(floor.heed(wall(500), at(seconds(2))) == wall(500));
  CHECK(floor.at(at(seconds(3))) == wall(501));
}

TEST(TimeFloor, AClockSetBackIsNotFollowedForAnHour) {
  floor.heed(wall(1000), at(seconds(0)));
  CHECK(floor.heed(wall(0), at(seconds(0))) == wall(1000));
  CHECK(floor.heed(wall(60), at(seconds(60))) == wall(1060));
  CHECK(floor.heed(wall(3599), at(seconds(3599))) == wall(4599));
  CHECK(floor.heed(wall(3600), at(seconds(3600))) == wall(3600));
  CHECK(floor.at(at(seconds(3601))) == wall(3601));
}

TEST(TimeFloor, TheHourBeginsAgainWhenTheClockWasNotTrustedOrCaughtUp) {
  floor.heed(wall(1000), at(seconds(0)));
  floor.heed(wall(0), at(seconds(0)));
  floor.distrust();
  CHECK(floor.heed(wall(3600), at(seconds(3600))) == wall(4600));
  CHECK(floor.heed(wall(4700), at(seconds(3700))) == wall(4700));
  CHECK(floor.heed(wall(3800), at(seconds(3800))) == wall(4800));
  CHECK(floor.heed(wall(7300), at(seconds(7300))) == wall(8300));
}

// A small step back, soon believed, must not let a large one pass.
TEST(TimeFloor, TheHourBeginsAgainWhenTheClockIsSetBackFurther) {
  floor.heed(wall(1000), at(seconds(0)));
  CHECK(floor.heed(wall(997), at(seconds(0))) == wall(1000));
  CHECK(floor.look(wall(-96'400), at(seconds(3600))) == wall(4600));
  CHECK(floor.heed(wall(-96'400), at(seconds(3600))) == wall(4600));
  // Nor one to where nobody had been, once the hour of another is over.
  CHECK(floor.look(wall(-200'000), at(seconds(7200))) == wall(8200));
  // Less far back than it was is no news.
  CHECK(floor.heed(wall(5000), at(seconds(7199))) == wall(8199));
  CHECK(floor.heed(wall(5001), at(seconds(7200))) == wall(5001));
}

// Seconds are whole ones: another reading of the same clock may be a second off.
TEST(TimeFloor, AClockThatIsSlewedIsFollowed) {
  floor.heed(wall(100), at(milliseconds(0)));
  CHECK(floor.heed(wall(100), at(milliseconds(999))) == wall(100));
  CHECK(floor.heed(wall(160), at(milliseconds(61'500))) == wall(160));
  CHECK(floor.heed(wall(220), at(milliseconds(122'000))) == wall(220));
  CHECK(floor.look(wall(220), at(milliseconds(122'000))) == wall(220));
}

TEST(TimeFloor, LookingChangesNothing) {
  CHECK(floor.look(wall(1000), at(seconds(0))) == wall(1000));
  CHECK(floor.at(at(seconds(0))) == WallTime());
  floor.heed(wall(1000), at(seconds(0)));
  CHECK(floor.look(wall(0), at(seconds(0))) == wall(1000));
  // The hour has not begun by that.
  CHECK(floor.heed(wall(3600), at(seconds(3600))) == wall(4600));
  CHECK(floor.look(wall(7200), at(seconds(7200))) == wall(7200));
  CHECK(floor.heed(wall(7200), at(seconds(7200))) == wall(7200));
}
