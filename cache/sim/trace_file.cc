// See trace_file.h.
#include "cache/sim/trace_file.h"

#include "cache/sim/csv_trace.h"
#include "cache/sim/oracle_general.h"

namespace nearfield::cache::sim {

TraceFormat trace_format_of(std::string_view path) {
  return path.ends_with(".csv") ? TraceFormat::csv : TraceFormat::oracle_general;
}

Result<std::unique_ptr<TraceSource>> open_trace(const std::string& path, TraceFormat format) {
  return format == TraceFormat::csv ? open_csv_trace(path) : open_oracle_general(path);
}

Result<std::uint64_t> write_trace(TraceSource& source, const std::string& path,
                                  TraceFormat format) {
  const std::string partial = path + ".partial";
  File file(std::fopen(partial.c_str(), "w+b"));
  if (!file) return file_failure(partial, "cannot be created");
  auto written = format == TraceFormat::csv ? write_csv_trace(source, file.get(), partial)
                                            : write_oracle_general(source, file.get(), partial);
  if (std::fclose(file.release()) != 0 && written)
    written = file_failure(partial, "cannot be written");
  if (written && std::rename(partial.c_str(), path.c_str()) != 0) {
    written = file_failure(path, "cannot be put in place");
  }
  if (!written) std::remove(partial.c_str());
  return written;
}

}  // namespace nearfield::cache::sim
