// Members are always there and always in one order, so that simple tools can read them; only
// `tls`, `range` and `broken` come and go.
#include "dataplane/control/access_line.h"

#include <chrono>
#include <format>
#include <iterator>

#include "dataplane/control/json_text.h"

namespace nearfield::control {

void append_access_line(std::string& out, const proxy::AccessRecord& record) {
  const auto end = std::back_inserter(out);
  const std::chrono::sys_time<std::chrono::milliseconds> time(record.time);
  std::format_to(end, "{{\"time\":\"{:%FT%T}Z\",\"client\":", time);
  append_json_string(out, record.client_prefix.text());
  out += ",\"protocol\":";
  append_json_string(out, record.protocol);
  if (!record.tls.empty()) {
    out += ",\"tls\":";
    append_json_string(out, record.tls);
  }
  out += ",\"method\":";
  append_json_string(out, record.method);
  out += ",\"host\":";
  append_json_string(out, record.authority);
  out += ",\"path\":";
  append_json_string(out, record.path);
  if (!record.range.empty()) {
    out += ",\"range\":";
    append_json_string(out, record.range);
  }
  std::format_to(end, ",\"status\":{},\"body_bytes\":{},\"first_byte_us\":{},\"duration_us\":{}",
                 record.status, record.body_bytes, record.first_byte.count(),
                 record.duration.count());
  out += ",\"cache\":";
  append_json_string(out, record.cache);
  if (record.broken) out += ",\"broken\":true";
  out += "}\n";
}

}  // namespace nearfield::control
