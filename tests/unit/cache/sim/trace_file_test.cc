// Traces in files: both formats come back as they were written, and what is no trace is refused
// with the place and the mend.
#include "cache/sim/trace_file.h"

#include <cstring>

#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield;
using namespace nearfield::cache::sim;

namespace {

std::vector<Request> sample() {
  return {{7, 100, 0}, {8, 200, 1}, {7, 100, 1}, {0xffffffffffff, 4'000'000'000, 4'000'000'000}};
}

void check_same(const std::vector<Request>& expected, TraceSource& source) {
  const auto got = read_all(source);
  CHECK_TRUE(got.has_value());
  UNSIGNED_LONGLONGS_EQUAL(expected.size(), got->size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    UNSIGNED_LONGLONGS_EQUAL(expected[i].id, (*got)[i].id);
    UNSIGNED_LONGS_EQUAL(expected[i].size_bytes, (*got)[i].size_bytes);
    UNSIGNED_LONGS_EQUAL(expected[i].time_seconds, (*got)[i].time_seconds);
  }
}

std::string error_of(const std::string& path, TraceFormat format) {
  auto source = open_trace(path, format);
  if (!source) return source.error().message;
  auto got = read_all(**source);
  return got ? "" : got.error().message;
}

std::int64_t next_field(const std::string& path, long record) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  std::fseek(file, record * 24 + 16, SEEK_SET);
  std::int64_t next = 0;
  LONGS_EQUAL(8, std::fread(&next, 1, 8, file));
  std::fclose(file);
  return next;
}

}  // namespace

TEST_GROUP(TraceFile) { TemporaryFolder folder; };

TEST(TraceFile, reads_back_what_was_written_in_both_formats_and_again_after_rewind) {
  for (TraceFormat format : {TraceFormat::oracle_general, TraceFormat::csv}) {
    MemoryTrace memory(sample());
    const std::string path = folder.file("trace");
    UNSIGNED_LONGLONGS_EQUAL(4, write_trace(memory, path, format).value());
    auto source = open_trace(path, format);
    CHECK_TRUE(source.has_value());
    check_same(sample(), **source);
    CHECK_TRUE((*source)->rewind().has_value());
    check_same(sample(), **source);
  }
}

TEST(TraceFile, writes_the_next_request_of_each_object) {
  MemoryTrace memory(sample());
  const std::string path = folder.file("trace.bin");
  CHECK_TRUE(write_trace(memory, path, TraceFormat::oracle_general).has_value());
  LONGLONGS_EQUAL(3, next_field(path, 0));
  LONGLONGS_EQUAL(-1, next_field(path, 1));
  LONGLONGS_EQUAL(-1, next_field(path, 2));
}

TEST(TraceFile, writes_long_traces_in_several_pieces) {
  std::vector<Request> requests;
  for (std::uint32_t i = 0; i < 40'000; ++i) requests.push_back({i % 20'000, 1 + i % 7, i});
  MemoryTrace memory(requests);
  const std::string path = folder.file("trace.bin");
  CHECK_TRUE(write_trace(memory, path, TraceFormat::oracle_general).has_value());
  LONGLONGS_EQUAL(20'001, next_field(path, 0));
  LONGLONGS_EQUAL(-1, next_field(path, 20'000));
  auto source = open_trace(path, TraceFormat::oracle_general);
  UNSIGNED_LONGLONGS_EQUAL(40'000, (*source)->total_requests().value());
  check_same(requests, **source);
}

TEST(TraceFile, tells_the_format_by_the_name) {
  CHECK_TRUE(trace_format_of("a/b.csv") == TraceFormat::csv);
  CHECK_TRUE(trace_format_of("a/b.oracleGeneral.bin") == TraceFormat::oracle_general);
}

TEST(TraceFile, refuses_a_missing_file) {
  STRCMP_CONTAINS("cannot be opened",
                  error_of("/nowhere/trace", TraceFormat::oracle_general).c_str());
  STRCMP_CONTAINS("cannot be opened", error_of("/nowhere/trace.csv", TraceFormat::csv).c_str());
}

TEST(TraceFile, refuses_a_folder) {
  CHECK_FALSE(error_of("/tmp", TraceFormat::oracle_general).empty());
  CHECK_FALSE(error_of("/tmp", TraceFormat::csv).empty());
}

TEST(TraceFile, refuses_a_binary_trace_that_is_cut_short) {
  const std::string path = folder.file("cut", std::string(24 * 3 - 5, '\1'));
  STRCMP_CONTAINS("cut short by 5 bytes", error_of(path, TraceFormat::oracle_general).c_str());
}

TEST(TraceFile, refuses_an_empty_file) {
  std::fclose(std::fopen(folder.file("empty").c_str(), "wb"));
  const std::string path = folder.file("empty");
  STRCMP_CONTAINS("is empty", error_of(path, TraceFormat::oracle_general).c_str());
  STRCMP_CONTAINS("has no request", error_of(path, TraceFormat::csv).c_str());
}

TEST(TraceFile, refuses_text_as_a_binary_trace) {
  const std::string path =
      folder.file("text", std::string("time_seconds,id,size_bytes\n0,1,100\n1,2,1000\n00"));
  STRCMP_CONTAINS("--format csv", error_of(path, TraceFormat::oracle_general).c_str());
  const std::string whole = folder.file("whole", std::string(24 * 2, '1'));
  STRCMP_CONTAINS("is not oracleGeneral", error_of(whole, TraceFormat::oracle_general).c_str());
}

TEST(TraceFile, refuses_a_csv_without_its_header) {
  const std::string path = folder.file("a.csv", "0,1,100\n");
  STRCMP_CONTAINS("line 1 must be the header", error_of(path, TraceFormat::csv).c_str());
}

TEST(TraceFile, names_the_wrong_line_of_a_csv) {
  const std::string header = "time_seconds,id,size_bytes\r\n0,1,100\r\n\r\n";
  const auto check = [&](const char* line, const char* message) {
    STRCMP_CONTAINS(message,
                    error_of(folder.file("a.csv", header + line), TraceFormat::csv).c_str());
  };
  check("1,2", "line 4 is not three decimal numbers");
  check("1,2,3,4\n", "line 4 is not three decimal numbers");
  check("1,-2,3\n", "line 4 is not three decimal numbers");
  check("1,2,4294967296\n", "line 4 is not three decimal numbers");
  check("2,2,3\n1,2,3\n", "line 5 goes back in time");
  check(std::string(300, '1').c_str(), "line 4 is too long");
  STRCMP_EQUAL("", error_of(folder.file("a.csv", header + "1,2,3"), TraceFormat::csv).c_str());
}

TEST(TraceFile, leaves_nothing_behind_where_it_cannot_write) {
  MemoryTrace memory(sample());
  const auto written = write_trace(memory, "/nowhere/trace", TraceFormat::csv);
  CHECK_FALSE(written.has_value());
  STRCMP_CONTAINS("cannot be created", written.error().message.c_str());
}
