// The CSV half of trace_file.h. A line is at most kLongestLine bytes, so that a binary file is
// recognised and not read into memory.
#include "cache/sim/csv_trace.h"

#include <array>
#include <charconv>
#include <cinttypes>
#include <string_view>

namespace nearfield::cache::sim {

namespace {

constexpr std::string_view kHeader = "time_seconds,id,size_bytes";
constexpr std::size_t kLongestLine = 128;

// Parses one decimal field and the separator after it (none after the last).
template <typename Number>
bool take_field(std::string_view& line, bool last, Number& value) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc() || end == line.data()) return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  if (last) return line.empty();
  if (line.empty() || line.front() != ',') return false;
  line.remove_prefix(1);
  return true;
}

class CsvTrace final : public TraceSource {
 public:
  CsvTrace(File file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  Result<std::size_t> read(std::span<Request> into) override {
    std::size_t count = 0;
    while (count < into.size()) {
      auto line = next_line();
      if (!line) return std::unexpected(line.error());
      if (!line->has_value()) break;
      std::string_view text = **line;
      if (line_number_ == 1) {
        if (text != kHeader) return wrong("must be the header '" + std::string(kHeader) + "'");
        continue;
      }
      if (text.empty()) continue;
      Request request;
      if (!take_field(text, false, request.time_seconds) || !take_field(text, false, request.id) ||
          !take_field(text, true, request.size_bytes)) {
        return wrong("is not three decimal numbers 'time_seconds,id,size_bytes'");
      }
      if (request.time_seconds < last_time_) return wrong("goes back in time");
      last_time_ = request.time_seconds;
      into[count++] = request;
    }
    if (count == 0 && !any_) {
      return failure(path_ + ": has no request; expected lines of " + std::string(kHeader));
    }
    any_ = true;
    return count;
  }

  Result<void> rewind() override {
    if (std::fseek(file_.get(), 0, SEEK_SET) != 0)
      return file_failure(path_, "cannot be read again");
    line_number_ = 0;
    last_time_ = 0;
    any_ = false;
    return {};
  }

 private:
  // The next line without its end; nothing at the end of the file.
  Result<std::optional<std::string_view>> next_line() {
    if (std::fgets(line_.data(), static_cast<int>(line_.size()), file_.get()) == nullptr) {
      if (std::ferror(file_.get()) != 0) return file_failure(path_, "cannot be read");
      return std::nullopt;
    }
    ++line_number_;
    std::string_view text(line_.data());
    if (!text.ends_with('\n') && text.size() + 1 >= line_.size()) {
      return wrong("is too long for a CSV trace; a binary one needs --format oracle");
    }
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    return text;
  }

  std::unexpected<Error> wrong(const std::string& what) const {
    return failure(path_ + ": line " + std::to_string(line_number_) + " " + what);
  }

  File file_;
  std::string path_;
  std::array<char, kLongestLine> line_{};
  std::uint64_t line_number_ = 0;
  std::uint32_t last_time_ = 0;
  bool any_ = false;
};

}  // namespace

Result<std::unique_ptr<TraceSource>> open_csv_trace(const std::string& path) {
  File file(std::fopen(path.c_str(), "rb"));
  if (!file) return file_failure(path, "cannot be opened");
  return std::make_unique<CsvTrace>(std::move(file), path);
}

Result<std::uint64_t> write_csv_trace(TraceSource& source, std::FILE* file,
                                      const std::string& path) {
  std::vector<Request> requests(16384);
  std::uint64_t lines = 0;
  if (std::fprintf(file, "%.*s\n", static_cast<int>(kHeader.size()), kHeader.data()) < 0)
    return file_failure(path, "cannot be written");
  for (;;) {
    const auto got = source.read(requests);
    if (!got) return std::unexpected(got.error());
    if (*got == 0) return lines;
    for (std::size_t i = 0; i < *got; ++i) {
      const Request& request = requests[i];
      if (std::fprintf(file, "%" PRIu32 ",%" PRIu64 ",%" PRIu32 "\n", request.time_seconds,
                       request.id, request.size_bytes) < 0) {
        return file_failure(path, "cannot be written");
      }
    }
    lines += *got;
  }
}

}  // namespace nearfield::cache::sim
