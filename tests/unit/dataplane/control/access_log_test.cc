// The writer: lines reach the file, rotation loses none, a full disk and a hanging reader stop
// nobody.
#include "dataplane/control/access_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>

#include "CppUTest/TestHarness.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::control;

namespace {

proxy::AccessRecord record_of(std::string_view path) {
  proxy::AccessRecord record;
  record.method = "GET";
  record.authority = "x";
  record.path = path;
  record.status = 200;
  record.client_prefix = *net::Address::parse("192.0.2.0");
  return record;
}

long lines_of(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

}  // namespace

TEST_GROUP(AccessLog) {
  TemporaryFolder folder;
  std::unique_ptr<AccessLog> log;
  void setup() override { set_log_level(LogLevel::off); }
  void teardown() override {
    log.reset();
    set_log_level(LogLevel::info);
  }
};

TEST(AccessLog, WritesWhatAllWorkersRecorded) {
  log = *AccessLog::create(folder.file("a"), 2, 64 * 1024);
  log->ring(0).record(record_of("/one"));
  log->ring(1).record(record_of("/two"));
  log.reset();  // the end writes the rest
  const std::string text = folder.read("a");
  LONGS_EQUAL(2, lines_of(text));
  STRCMP_CONTAINS("\"path\":\"/one\"", text.c_str());
  STRCMP_CONTAINS("\"path\":\"/two\"", text.c_str());
  struct stat status{};
  LONGS_EQUAL(0, ::stat(folder.file("a").c_str(), &status));
  LONGS_EQUAL(0, status.st_mode & 0007);  // not for everybody
}

TEST(AccessLog, RotationMovesOnWithoutALoss) {
  log = *AccessLog::create(folder.file("a"), 1, 64 * 1024);
  log->ring(0).record(record_of("/one"));
  std::filesystem::rename(folder.file("a"), folder.file("a.1"));
  CHECK(log->reopen(folder.file("a")).has_value());
  log->ring(0).record(record_of("/two"));
  log.reset();
  const std::string both = folder.read("a.1") + folder.read("a");
  LONGS_EQUAL(2, lines_of(both));
  STRCMP_CONTAINS("/two", folder.read("a").c_str());
}

TEST(AccessLog, KeepsTheOldFileWhenTheNewOneCannotBeOpened) {
  log = *AccessLog::create(folder.file("a"), 1, 64 * 1024);
  const auto reopened = log->reopen(folder.file("missing/b"));
  CHECK_FALSE(reopened.has_value());
  STRCMP_CONTAINS("make its folder", reopened.error().message.c_str());
  log->ring(0).record(record_of("/one"));
  log.reset();
  LONGS_EQUAL(1, lines_of(folder.read("a")));
}

TEST(AccessLog, CanBeOff) {
  log = *AccessLog::create("", 1, 64 * 1024);
  for (int i = 0; i < 10'000; ++i) log->ring(0).record(record_of("/one"));
  UNSIGNED_LONGS_EQUAL(0, log->statistics().dropped);
  CHECK(log->reopen(folder.file("a")).has_value());
  log->ring(0).record(record_of("/two"));
  log.reset();
  LONGS_EQUAL(1, lines_of(folder.read("a")));
}

TEST(AccessLog, CountsWhatAFullDiskSwallows) {
  log = *AccessLog::create("/dev/full", 1, 64 * 1024);
  for (int i = 0; i < 50; ++i) log->ring(0).record(record_of("/one"));
  AccessLogStatistics statistics;
  do {
    statistics = log->statistics();
    std::this_thread::yield();
  } while (statistics.failed + statistics.written < 50);
  UNSIGNED_LONGS_EQUAL(50, statistics.failed);
  UNSIGNED_LONGS_EQUAL(0, statistics.written);
}

TEST(AccessLog, AHangingReaderCostsRecordsNotTime) {
  const std::string pipe = folder.file("pipe");
  LONGS_EQUAL(0, ::mkfifo(pipe.c_str(), 0600));
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  log = *AccessLog::create(pipe, 1, 64 * 1024);
  // Nobody reads: the pipe fills up and the writer hangs, then the ring, then records are dropped.
  const auto pipe_bytes = static_cast<std::uint64_t>(::fcntl(reader, F_GETPIPE_SZ));
  while (log->statistics().written_bytes + PIPE_BUF < pipe_bytes)
    log->ring(0).record(record_of("/one"));
  const std::uint64_t before = log->statistics().dropped;
  while (log->statistics().dropped == before) log->ring(0).record(record_of("/one"));
  // A new path gets the writer away from there.
  CHECK(log->reopen(folder.file("a")).has_value());
  log.reset();
  CHECK(lines_of(folder.read("a")) > 0);
  ::close(reader);
}
