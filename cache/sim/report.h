// What cachesim prints: a table for people, JSON for programs.
#pragma once

#include <string>

#include "cache/sim/simulation.h"

namespace nearfield::cache::sim {

// `trace_name` is a file or a description of what was generated.
std::string report_table(const std::string& trace_name, const SimulationResult& result);

// `command` is kept in it, so that the numbers can be made again.
std::string report_json(const std::string& trace_name, const std::string& command,
                        const SimulationResult& result);

}  // namespace nearfield::cache::sim
