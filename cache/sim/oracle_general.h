// libCacheSim's binary trace format; trace_file.h describes it and chooses between formats.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "cache/sim/file.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

Result<std::unique_ptr<TraceSource>> open_oracle_general(const std::string& path);

// Writes what is left of `source` to `file`, which must be open for reading and writing and empty;
// `path` is for messages.
Result<std::uint64_t> write_oracle_general(TraceSource& source, std::FILE* file,
                                           const std::string& path);

}  // namespace nearfield::cache::sim
