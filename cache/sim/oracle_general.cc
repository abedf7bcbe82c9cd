// The oracleGeneral half of trace_file.h.
// The awkward part is writing: a record names its object's next request, which is known only later.
// The file is first written without, then filled in from its end towards its beginning, so that
// memory grows with the objects and not with the requests.
#include "cache/sim/oracle_general.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <unordered_map>

namespace nearfield::cache::sim {

namespace {

constexpr std::size_t kRecordBytes = 24;
constexpr std::size_t kBatch = 16384;

static_assert(std::endian::native ==
              std::endian::little);  // x86-64 and arm64, all that a node runs on

struct Record {
  std::uint32_t time_seconds;
  std::uint64_t id;
  std::uint32_t size_bytes;
  std::int64_t next;
};

Record decode(const char* bytes) {
  Record record;
  std::memcpy(&record.time_seconds, bytes, 4);
  std::memcpy(&record.id, bytes + 4, 8);
  std::memcpy(&record.size_bytes, bytes + 12, 4);
  std::memcpy(&record.next, bytes + 16, 8);
  return record;
}

void encode(const Record& record, char* bytes) {
  std::memcpy(bytes, &record.time_seconds, 4);
  std::memcpy(bytes + 4, &record.id, 8);
  std::memcpy(bytes + 12, &record.size_bytes, 4);
  std::memcpy(bytes + 16, &record.next, 8);
}

// What tells another format from this one: an object's next request comes later, and no trace is a
// million times a million long. (It may lie beyond the end: people cut long traces.)
bool plausible_next(std::int64_t next, std::uint64_t number) {
  constexpr std::int64_t kLongestTrace = 1'000'000'000'000;
  if (next == -1 || next == std::numeric_limits<std::int64_t>::max()) return true;
  return next > static_cast<std::int64_t>(number) && next < kLongestTrace;
}

class OracleGeneralTrace final : public TraceSource {
 public:
  OracleGeneralTrace(File file, std::string path, std::uint64_t records)
      : file_(std::move(file)),
        path_(std::move(path)),
        records_(records),
        bytes_(kBatch * kRecordBytes) {}

  Result<std::size_t> read(std::span<Request> into) override {
    const std::size_t wanted = std::min<std::uint64_t>({into.size(), kBatch, records_ - next_});
    if (wanted == 0) return 0;
    if (std::fread(bytes_.data(), kRecordBytes, wanted, file_.get()) != wanted) {
      return failure(path_ + ": ends at record " + std::to_string(next_) + " of " +
                     std::to_string(records_) + "; it was shortened while it was read");
    }
    for (std::size_t i = 0; i < wanted; ++i) {
      const Record record = decode(bytes_.data() + i * kRecordBytes);
      const std::uint64_t number = next_ + i + 1;
      if (record.time_seconds < last_time_ || !plausible_next(record.next, number)) {
        return failure(
            path_ + ": record " + std::to_string(number) +
            " is not oracleGeneral (its time or its next request cannot be); if it is text, "
            "name it .csv or use --format csv");
      }
      last_time_ = record.time_seconds;
      into[i] = {record.id, record.size_bytes, record.time_seconds};
    }
    next_ += wanted;
    return wanted;
  }

  Result<void> rewind() override {
    if (std::fseek(file_.get(), 0, SEEK_SET) != 0)
      return file_failure(path_, "cannot be read again");
    next_ = 0;
    last_time_ = 0;
    return {};
  }

  std::optional<std::uint64_t> total_requests() const override { return records_; }

 private:
  File file_;
  std::string path_;
  std::uint64_t records_;
  std::vector<char> bytes_;
  std::uint64_t next_ = 0;
  std::uint32_t last_time_ = 0;
};

Result<void> fill_in_next(std::FILE* file, const std::string& path, std::uint64_t records) {
  std::unordered_map<std::uint64_t, std::int64_t> next_of;
  std::vector<char> bytes(kBatch * kRecordBytes);
  for (std::uint64_t end = records; end > 0;) {
    const std::uint64_t begin = end > kBatch ? end - kBatch : 0;
    const std::size_t count = end - begin;
    const auto offset = static_cast<off_t>(begin * kRecordBytes);
    if (fseeko(file, offset, SEEK_SET) != 0 ||
        std::fread(bytes.data(), kRecordBytes, count, file) != count) {
      return file_failure(path, "cannot be read back");
    }
    for (std::size_t i = count; i-- > 0;) {
      Record record = decode(bytes.data() + i * kRecordBytes);
      auto [found, first] = next_of.try_emplace(record.id, -1);
      record.next = found->second;
      found->second = static_cast<std::int64_t>(begin + i + 1);
      encode(record, bytes.data() + i * kRecordBytes);
    }
    if (fseeko(file, offset, SEEK_SET) != 0 ||
        std::fwrite(bytes.data(), kRecordBytes, count, file) != count) {
      return file_failure(path, "cannot be written");
    }
    end = begin;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TraceSource>> open_oracle_general(const std::string& path) {
  File file(std::fopen(path.c_str(), "rb"));
  if (!file) return file_failure(path, "cannot be opened");
  if (fseeko(file.get(), 0, SEEK_END) != 0) return file_failure(path, "cannot be measured");
  const auto size = static_cast<std::uint64_t>(ftello(file.get()));
  if (std::fseek(file.get(), 0, SEEK_SET) != 0) return file_failure(path, "cannot be read");
  if (size == 0) return failure(path + ": is empty; a trace has at least one record of 24 bytes");
  if (size % kRecordBytes != 0) {
    return failure(path + ": " + std::to_string(size) + " bytes is not a whole number of 24-byte " +
                   "oracleGeneral records; it is cut short by " +
                   std::to_string(kRecordBytes - size % kRecordBytes) +
                   " bytes or is another format (text: name it .csv or use --format csv)");
  }
  return std::make_unique<OracleGeneralTrace>(std::move(file), path, size / kRecordBytes);
}

Result<std::uint64_t> write_oracle_general(TraceSource& source, std::FILE* file,
                                           const std::string& path) {
  std::vector<Request> requests(kBatch);
  std::vector<char> bytes(kBatch * kRecordBytes);
  std::uint64_t records = 0;
  for (;;) {
    const auto got = source.read(requests);
    if (!got) return std::unexpected(got.error());
    if (*got == 0) break;
    for (std::size_t i = 0; i < *got; ++i) {
      encode({requests[i].time_seconds, requests[i].id, requests[i].size_bytes, -1},
             bytes.data() + i * kRecordBytes);
    }
    if (std::fwrite(bytes.data(), kRecordBytes, *got, file) != *got) {
      return file_failure(path, "cannot be written");
    }
    records += *got;
  }
  if (auto filled = fill_in_next(file, path, records); !filled) {
    return std::unexpected(filled.error());
  }
  return records;
}

}  // namespace nearfield::cache::sim
