// Names and prefixes since a count, and forgetting on the safe side.
#include "cache/purge_log.h"

#include <format>

#include "CppUTest/TestHarness.h"

using nearfield::cache::PurgeLog;

TEST_GROUP(PurgeLog) { PurgeLog log; };

TEST(PurgeLog, KnowsWhatWasPurgedSinceAndNothingElse) {
  const auto before = log.count();
  CHECK_FALSE(log.purged_since(before, "http://a/x"));
  log.note_name("http://a/x");
  CHECK_TRUE(log.purged_since(before, "http://a/x"));
  CHECK_FALSE(log.purged_since(before, "http://a/x/y"));
  CHECK_FALSE(log.purged_since(before, "http://a/"));
  const auto after = log.count();
  CHECK_FALSE(log.purged_since(after, "http://a/x"));
  log.note_prefix("http://a/album/");
  CHECK_TRUE(log.purged_since(after, "http://a/album/1"));
  CHECK_FALSE(log.purged_since(after, "http://a/albums"));
}

TEST(PurgeLog, OfTooLongAgoItSaysThatItMayHaveBeenAnyName) {
  const auto before = log.count();
  log.note_name("http://a/first");
  for (std::size_t each = 1; each < PurgeLog::kRemembered; ++each)
    log.note_name(std::format("{}", each));
  CHECK_TRUE(log.purged_since(before, "http://a/first"));
  CHECK_FALSE(log.purged_since(before, "http://a/other"));
  log.note_name("one more");
  CHECK_TRUE(log.purged_since(before, "http://a/other"));
  CHECK_FALSE(log.purged_since(before + 1, "http://a/other"));
}
