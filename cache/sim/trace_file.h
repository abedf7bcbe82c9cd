// Traces in files.
//
// oracleGeneral (libCacheSim's binary format): records of 24 bytes, little-endian, packed: u32 time
// in seconds, u64 object, u32 size in bytes, i64 the position of the object's next request, counted
// from 1, -1 if there is none. Reading ignores the last field.
//
// CSV: a first line `time_seconds,id,size_bytes`, then one request a line, three decimal numbers:
// u32, u64, u32. LF or CRLF; empty lines are skipped.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cache/base/error.h"
#include "cache/sim/trace.h"

namespace nearfield::cache::sim {

enum class TraceFormat { oracle_general, csv };

// By the name: what ends in .csv is CSV, all else oracleGeneral.
TraceFormat trace_format_of(std::string_view path);

// Opens a trace for reading. Fails when the file cannot be read, is empty, or (oracleGeneral) is
// not a whole number of records.
Result<std::unique_ptr<TraceSource>> open_trace(const std::string& path, TraceFormat format);

// Writes what is left of `source` to `path`, replacing it, and returns the number of requests. The
// file appears under its name only when it is complete.
Result<std::uint64_t> write_trace(TraceSource& source, const std::string& path, TraceFormat format);

}  // namespace nearfield::cache::sim
