// AccessLog: the writer of the access log: one thread that takes records out of every worker's ring
// and writes JSON lines to a file.
//
// Invariant: whatever the disk does, no worker waits: a full disk, a dead mount or a reader that
// hangs costs lines, which are counted. The awkward part is a partial write (a disk that fills
// within a line): the next line that can be written starts on a new line, so that one line is lost
// and not two.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/control/access_ring.h"
#include "dataplane/control/log.h"

namespace nearfield::control {

struct AccessLogStatistics {
  std::uint64_t written = 0;  // lines
  std::uint64_t written_bytes = 0;
  std::uint64_t dropped = 0;  // records that found their ring full
  std::uint64_t failed = 0;   // lines that could not be written
};

class AccessLog {
 public:
  // How long a record stays in a ring that does not fill.
  static constexpr std::chrono::milliseconds kFlushInterval{100};

  // Makes `workers` rings of `ring_bytes` (a power of two, at least 64 KiB) and starts the thread.
  // `path`: a file, "-" for stdout, "" for none.
  static Result<std::unique_ptr<AccessLog>> create(const std::string& path, std::size_t workers,
                                                   std::size_t ring_bytes);
  // Writes what is in the rings (for at most kStopPatience when the reader hangs) and ends the
  // thread. Workers are gone by then.
  ~AccessLog();

  AccessRing& ring(std::size_t worker) { return *rings_[worker]; }

  // Writes to `path` from now on (opened anew, for rotation). On failure the old file stays. Not
  // from several threads at once.
  Result<void> reopen(const std::string& path);

  AccessLogStatistics statistics() const;

 private:
  static constexpr std::chrono::seconds kStopPatience{2};

  AccessLog(std::size_t workers, std::size_t ring_bytes, int wake_descriptor);
  void run();
  bool drain_rings();  // false when they were empty
  void write_out();
  std::size_t write_all(int descriptor, std::string_view bytes);  // how many went
  bool wait_writable(int descriptor);
  void report_failure(int error);
  void wake() const;

  const int wake_descriptor_;
  std::vector<std::unique_ptr<AccessRing>> rings_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> stop_deadline_ns_{0};

  mutable std::mutex mutex_;  // guards next_descriptor_ and path_
  int next_descriptor_ = -1;
  std::atomic<bool> next_waits_{false};  // there is another file to go on with
  std::string path_;

  // The thread's own.
  int descriptor_ = -1;
  bool is_regular_ = false;
  bool within_line_ = false;
  std::string batch_;
  std::uint64_t batch_lines_ = 0;
  LogThrottle throttle_{std::chrono::minutes(1)};

  std::atomic<std::uint64_t> written_{0};
  std::atomic<std::uint64_t> written_bytes_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::thread thread_;
};

}  // namespace nearfield::control
