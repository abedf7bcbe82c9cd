// See report.h.
#include "cache/sim/report.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <format>

namespace nearfield::cache::sim {

namespace {

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return std::format("{:.{}f} {}", value, unit == 0 ? 0 : 2, kUnits[unit]);
}

// Missed bytes of the best online policy of the same size: what the others are compared with.
std::uint64_t least_miss_bytes(const SimulationResult& result, const SizeOption& size) {
  std::uint64_t least = ~std::uint64_t{0};
  for (const SimulationRow& row : result.rows) {
    if (row.size.text == size.text && row.policy != "belady")
      least = std::min(least, row.counts.miss_bytes);
  }
  return least;
}

double over_best(const SimulationResult& result, const SimulationRow& row) {
  const std::uint64_t least = least_miss_bytes(result, row.size);
  return least == 0 ? 0
                    : static_cast<double>(row.counts.miss_bytes) / static_cast<double>(least) - 1;
}

boost::json::object row_json(const SimulationResult& result, const SimulationRow& row) {
  boost::json::object json;
  json["policy"] = row.policy;
  json["size"] = row.size.text;
  json["capacity_bytes"] = row.capacity_bytes;
  json["request_miss_ratio"] = row.request_miss_ratio();
  json["byte_miss_ratio"] = row.byte_miss_ratio();
  if (least_miss_bytes(result, row.size) != ~std::uint64_t{0}) {
    json["miss_bytes_over_best_policy"] = over_best(result, row);
  }
  json["misses"] = row.counts.misses;
  json["miss_bytes"] = row.counts.miss_bytes;
  json["misses_too_large_to_keep"] = row.counts.too_large;
  json["evictions"] = row.counts.evictions;
  json["most_entries"] = row.counts.most_entries;
  json["million_requests_per_second"] = row.requests_per_second() / 1e6;
  if (row.policy != "belady") json["metadata_bytes_per_entry"] = row.metadata_bytes_per_entry;
  return json;
}

}  // namespace

std::string report_table(const std::string& trace_name, const SimulationResult& result) {
  const TraceFacts& trace = result.trace;
  std::string text = std::format("{}: {} requests, {}; {} objects, footprint {}; {:.1f} days\n",
                                 trace_name, trace.requests, bytes_text(trace.request_bytes),
                                 trace.objects, bytes_text(trace.footprint_bytes),
                                 (trace.last_second - trace.first_second) / 86400.0);
  text += std::format("{:<8} {:>12} {:<10} {:>9} {:>9} {:>8} {:>8} {:>11} {:>10} {:>8}\n", "size",
                      "bytes", "policy", "req miss", "byte miss", "vs best", "Mreq/s", "evictions",
                      "too large", "B/entry");
  std::string last_size;
  for (const SimulationRow& row : result.rows) {
    if (!last_size.empty() && last_size != row.size.text) text += '\n';
    last_size = row.size.text;
    text += std::format(
        "{:<8} {:>12} {:<10} {:>9.4f} {:>9.4f} {:>+7.2f}% {:>8.2f} {:>11} {:>10} {:>8}\n",
        row.size.text, bytes_text(row.capacity_bytes), row.policy, row.request_miss_ratio(),
        row.byte_miss_ratio(), 100 * over_best(result, row), row.requests_per_second() / 1e6,
        row.counts.evictions, row.counts.too_large,
        row.policy == "belady" ? std::string("-")
                               : std::format("{:.1f}", row.metadata_bytes_per_entry));
  }
  return text;
}

std::string report_json(const std::string& trace_name, const std::string& command,
                        const SimulationResult& result) {
  const TraceFacts& trace = result.trace;
  boost::json::object json;
  json["command"] = command;
  json["trace"] = {{"name", trace_name},
                   {"requests", trace.requests},
                   {"request_bytes", trace.request_bytes},
                   {"objects", trace.objects},
                   {"footprint_bytes", trace.footprint_bytes},
                   {"seconds", trace.last_second - trace.first_second}};
  boost::json::array rows;
  for (const SimulationRow& row : result.rows) rows.push_back(row_json(result, row));
  json["rows"] = std::move(rows);
  return boost::json::serialize(json) + "\n";
}

}  // namespace nearfield::cache::sim
