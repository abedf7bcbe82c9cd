// cachesim: replays traces through the eviction policies the node runs and prints what they miss.
// Exit status: 0 done, 1 the trace could not be read or written, 2 the command line is wrong.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <format>
#include <optional>

#include "cache/sim/listening_week.h"
#include "cache/sim/report.h"
#include "cache/sim/simulation.h"
#include "cache/sim/trace_file.h"

namespace {

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::sim;

struct Options {
  std::string trace_path;
  std::string format;
  std::string generate;
  ListeningOptions listening;
  std::string write_path;
  std::vector<std::string> policies;
  std::vector<std::string> sizes;
  bool belady = false;
  std::string output = "table";
  std::optional<double> largest_entry_share;
};

constexpr const char* kFooter = R"(Examples:
  cachesim trace.oracleGeneral.bin --size 1%,10%
  cachesim --generate week --policy all --size 1%,3%,10%,30% --belady
  cachesim --generate week --listeners 500 --days 2 --write small.csv)";

void declare(CLI::App& app, Options& options) {
  app.footer(kFooter);
  app.set_version_flag("--version", "cachesim " NEARFIELD_VERSION);
  auto* trace =
      app.add_option("trace", options.trace_path, "Trace to replay: oracleGeneral binary or CSV");
  app.add_option("--format", options.format,
                 "Format of the trace; by default .csv is CSV, all else binary")
      ->check(CLI::IsMember({"oracle", "csv"}));
  app.add_option("--generate", options.generate,
                 "Replay a generated trace: a week of music listening")
      ->check(CLI::IsMember({"week"}))
      ->excludes(trace);
  app.add_option("--seed", options.listening.seed, "Seed of the generated trace")
      ->capture_default_str();
  app.add_option("--listeners", options.listening.listeners, "Listeners of the generated trace")
      ->capture_default_str();
  app.add_option("--days", options.listening.days, "Days of the generated trace")
      ->capture_default_str();
  app.add_option(
      "--write", options.write_path,
      "Store the trace in this file (.csv: CSV, else oracleGeneral) instead of replaying it");
  app.add_option("--policy", options.policies, "Policies, separated by commas, or all")
      ->delimiter(',')
      ->default_val(std::vector<std::string>{"all"});
  app.add_option("--size", options.sizes,
                 "Cache sizes, separated by commas: bytes with K, M, G or T, or % of the footprint")
      ->delimiter(',')
      ->default_val(std::vector<std::string>{"1%", "3%", "10%", "30%"});
  app.add_flag("--belady", options.belady, "Add what a cache that knows the future would miss");
  app.add_option(
      "--largest", options.largest_entry_share,
      "Objects above this share of the cache (0 to 1) stream through; by default as the node does");
  app.add_option("-o,--output", options.output, "Form of the result")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json"}));
}

int complain(int status, const std::string& message) {
  std::fprintf(stderr, "cachesim: %s\n", message.c_str());
  return status;
}

// One line on stderr, rewritten on a terminal, now and then a new one elsewhere; nothing for what
// is done quickly.
class ProgressLine {
 public:
  void show(const char* what, std::uint64_t done, std::uint64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_at_ < (terminal_ ? std::chrono::milliseconds(500) : std::chrono::seconds(10)))
      return;
    shown_at_ = now;
    shown_ = true;
    std::string line =
        std::format("cachesim: {}, {:.1f} million requests", what, static_cast<double>(done) / 1e6);
    if (total > 0) line += std::format(" of {:.1f}", static_cast<double>(total) / 1e6);
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
  }
  void clear() const {
    if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool shown_ = false;
  std::chrono::steady_clock::time_point shown_at_ = std::chrono::steady_clock::now();
};

Result<std::unique_ptr<TraceSource>> open_source(const Options& options) {
  if (!options.generate.empty()) {
    return ListeningWeek::create(options.listening).transform([](auto week) {
      return std::unique_ptr<TraceSource>(std::move(week));
    });
  }
  const TraceFormat format = options.format.empty()    ? trace_format_of(options.trace_path)
                             : options.format == "csv" ? TraceFormat::csv
                                                       : TraceFormat::oracle_general;
  return open_trace(options.trace_path, format);
}

std::string trace_name(const Options& options) {
  if (options.generate.empty()) return options.trace_path;
  return std::format("week of listening (seed {}, {} listeners, {} days)", options.listening.seed,
                     options.listening.listeners, options.listening.days);
}

Result<SimulationOptions> simulation_options(const Options& options) {
  SimulationOptions simulation{.policies = options.policies,
                               .belady = options.belady,
                               .largest_entry_share = options.largest_entry_share};
  if (simulation.policies == std::vector<std::string>{"all"}) {
    simulation.policies.assign(policy_names().begin(), policy_names().end());
  }
  for (const std::string& name : simulation.policies) {
    if (auto policy = make_policy(name, {.capacity_bytes = 1,
                                         .max_entries = 1,
                                         .largest_entry_share = options.largest_entry_share});
        !policy) {
      return std::unexpected(policy.error());
    }
  }
  for (const std::string& text : options.sizes) {
    auto size = parse_size(text);
    if (!size) return std::unexpected(size.error());
    simulation.sizes.push_back(std::move(*size));
  }
  return simulation;
}

int run(const Options& options, const std::string& command) {
  const auto simulation = simulation_options(options);
  if (!simulation) return complain(2, simulation.error().message);
  auto source = open_source(options);
  if (!source) return complain(options.generate.empty() ? 1 : 2, source.error().message);
  if (!options.write_path.empty()) {
    const auto written =
        write_trace(**source, options.write_path, trace_format_of(options.write_path));
    if (!written) return complain(1, written.error().message);
    std::fprintf(stderr, "cachesim: wrote %llu requests to %s\n",
                 static_cast<unsigned long long>(*written), options.write_path.c_str());
    return 0;
  }
  ProgressLine progress;
  const auto result = simulate(**source, *simulation, [&](const char* what, auto done, auto total) {
    progress.show(what, done, total);
  });
  progress.clear();
  if (!result) return complain(1, result.error().message);
  const std::string text = options.output == "json"
                               ? report_json(trace_name(options), command, *result)
                               : report_table(trace_name(options), *result);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return complain(1, "the result could not be written to standard output");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Replays cache traces through the eviction policies of a Nearfield node.",
               "cachesim");
  Options options;
  declare(app, options);
  try {
    app.parse(argc, argv);
    if (options.trace_path.empty() && options.generate.empty()) {
      throw CLI::RequiredError("a trace file or --generate week");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::string command = "cachesim";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  return run(options, command);
}
