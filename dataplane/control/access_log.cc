// The thread sleeps on an eventfd that a ring half full, a reopen and the end write to; otherwise
// it looks every kFlushInterval. What is not a regular file (a pipe to a log shipper, a terminal)
// is written in pieces of PIPE_BUF after poll() said there is room, because a blocking write to a
// stuck reader could not be given up.
#include "dataplane/control/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <format>
#include <utility>

#include "dataplane/control/access_line.h"

namespace nearfield::control {
namespace {

constexpr std::size_t kBatchBytes = 64 * 1024;

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// -1 for "" (no log).
Result<int> open_log(const std::string& path) {
  if (path.empty()) return -1;
  const int descriptor =
      path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                  : ::open(path.c_str(),
                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
  if (descriptor < 0) {
    if (errno == ENXIO) {
      return failure(std::format(
          "the access log {} is a pipe that nobody reads: start its reader first", path));
    }
    return failure(
        std::format("the access log {} cannot be opened: {}; make its folder, or choose another "
                    "access_log.path",
                    path, std::strerror(errno)));
  }
  return descriptor;
}

bool is_regular_file(int descriptor) {
  struct stat status{};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<AccessLog>> AccessLog::create(const std::string& path, std::size_t workers,
                                                     std::size_t ring_bytes) {
  const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    return failure(std::format("the access log cannot start: {}; raise LimitNOFILE (ulimit -n)",
                               std::strerror(errno)));
  }
  std::unique_ptr<AccessLog> log(new AccessLog(workers, ring_bytes, wake));
  if (auto opened = log->reopen(path); !opened) return std::unexpected(opened.error());
  log->thread_ = std::thread([raw = log.get()] { raw->run(); });
  return log;
}

AccessLog::AccessLog(std::size_t workers, std::size_t ring_bytes, int wake_descriptor)
    : wake_descriptor_(wake_descriptor) {
  for (std::size_t i = 0; i < workers; ++i) {
    rings_.push_back(std::make_unique<AccessRing>(ring_bytes, wake_descriptor));
  }
}

AccessLog::~AccessLog() {
  stop_deadline_ns_.store(now_ns() + std::chrono::nanoseconds(kStopPatience).count());
  stopping_.store(true);
  wake();
  if (thread_.joinable()) thread_.join();
  if (next_waits_ && next_descriptor_ >= 0) ::close(next_descriptor_);
  if (descriptor_ >= 0) ::close(descriptor_);
  ::close(wake_descriptor_);
}

void AccessLog::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_descriptor_, &one, sizeof(one));
}

Result<void> AccessLog::reopen(const std::string& path) {
  const auto opened = open_log(path);
  if (!opened) return std::unexpected(opened.error());
  {
    const std::scoped_lock lock(mutex_);
    if (next_waits_ && next_descriptor_ >= 0) ::close(next_descriptor_);
    next_descriptor_ = *opened;
    next_waits_ = true;
    path_ = path;
  }
  for (const auto& ring : rings_) ring->set_enabled(*opened >= 0);
  wake();
  return {};
}

AccessLogStatistics AccessLog::statistics() const {
  AccessLogStatistics result;
  result.written = written_.load(std::memory_order_relaxed);
  result.written_bytes = written_bytes_.load(std::memory_order_relaxed);
  result.failed = failed_.load(std::memory_order_relaxed);
  for (const auto& ring : rings_) result.dropped += ring->dropped();
  return result;
}

void AccessLog::run() {
  ::pthread_setname_np(::pthread_self(), "nf-access-log");
  for (;;) {
    // Read before the rings: what was recorded before the end is written.
    const bool stopping = stopping_.load();
    {
      const std::scoped_lock lock(mutex_);
      if (next_waits_) {
        // Lines of the old file are in it: drain_rings() leaves nothing in the batch.
        if (descriptor_ >= 0) ::close(descriptor_);
        descriptor_ = std::exchange(next_descriptor_, -1);
        next_waits_ = false;
        is_regular_ = is_regular_file(descriptor_);
        within_line_ = false;
      }
    }
    const bool had_records = drain_rings();
    if (next_waits_.load()) continue;
    if (stopping && (!had_records || now_ns() > stop_deadline_ns_.load())) return;
    if (had_records) continue;
    pollfd wake{.fd = wake_descriptor_, .events = POLLIN, .revents = 0};
    if (::poll(&wake, 1, static_cast<int>(kFlushInterval.count())) > 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_descriptor_, &count, sizeof(count));
    }
  }
}

bool AccessLog::drain_rings() {
  proxy::AccessRecord record;
  std::string storage;
  bool any = false;
  for (const auto& ring : rings_) {
    // A bound for each ring in turn, so that one busy worker does not fill the others'. What is
    // left goes to a file that waits.
    for (int i = 0; i < 1024 && !next_waits_.load() && ring->take(record, storage); ++i) {
      any = true;
      append_access_line(batch_, record);
      ++batch_lines_;
      if (batch_.size() >= kBatchBytes) write_out();
    }
  }
  write_out();
  return any;
}

void AccessLog::write_out() {
  if (batch_lines_ == 0) return;
  const std::uint64_t lines = std::exchange(batch_lines_, 0);
  if (descriptor_ >= 0) {
    std::uint64_t whole = 0;
    if (!within_line_ || write_all(descriptor_, "\n") == 1) {
      const std::size_t written = write_all(descriptor_, batch_);
      whole = static_cast<std::uint64_t>(
          std::ranges::count(std::string_view(batch_).substr(0, written), '\n'));
    }
    add(written_, whole);
    add(failed_, lines - whole);
  }
  batch_.clear();
}

std::size_t AccessLog::write_all(int descriptor, std::string_view bytes) {
  std::size_t done = 0;
  while (!bytes.empty()) {
    std::size_t piece = bytes.size();
    if (!is_regular_) {
      if (!wait_writable(descriptor)) break;
      piece = std::min<std::size_t>(piece, PIPE_BUF);
    }
    const ssize_t written = ::write(descriptor, bytes.data(), piece);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) {
      report_failure(errno);
      break;
    }
    within_line_ = bytes[static_cast<std::size_t>(written) - 1] != '\n';
    add(written_bytes_, static_cast<std::uint64_t>(written));
    bytes.remove_prefix(static_cast<std::size_t>(written));
    done += static_cast<std::size_t>(written);
  }
  return done;
}

bool AccessLog::wait_writable(int descriptor) {
  for (;;) {
    pollfd wait{.fd = descriptor, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(kFlushInterval.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // let write() say what is wrong
    if (stopping_.load() && now_ns() > stop_deadline_ns_.load()) return false;
    // A reopen gets us away from a reader that hangs for good.
    if (next_waits_.load()) return false;
  }
}

void AccessLog::report_failure(int error) {
  const auto permit = throttle_.ask(MonotonicTime(Duration(now_ns())));
  if (!permit.allowed) return;
  std::string path;
  {
    const std::scoped_lock lock(mutex_);
    path = path_;
  }
  log(LogLevel::warn,
      "the access log {} cannot be written: {}; its lines are lost until that is mended ({} so "
      "far), "
      "serving goes on",
      path, std::strerror(error), failed_.load(std::memory_order_relaxed) + 1);
}

}  // namespace nearfield::control
