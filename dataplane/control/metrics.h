// The node for Prometheus: names in base units, HELP and TYPE for every family, nothing about a
// listener.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/control/snapshot.h"

namespace nearfield::control {

// About this process, from /proc; zeros where that cannot be read.
struct ProcessInfo {
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double virtual_bytes = 0;
  double threads = 0;
  double open_descriptors = 0;
  double maximum_descriptors = 0;
};
ProcessInfo read_process_info();

// Text exposition format 0.0.4.
std::string metrics_text(const NodeSnapshot& snapshot, const ProcessInfo& process);

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace nearfield::control
