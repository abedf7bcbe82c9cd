// tcp_soak: runs scenarios against our TCP, seed after seed, and says which one failed and how to
// see it again. `./dev soak tcp` runs it for hours, the tests for a few thousand seeds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <format>
#include <string>

#include "tests/sim/tcp/scenario.h"
#include "tests/sim/tcp/stack_server.h"

namespace {

using namespace nearfield;
using namespace nearfield::sim::tcp;

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t count = 1000;
  double seconds = 0;  // 0: by count
  bool verbose = false;
};

int usage(const char* wrong) {
  std::fprintf(stderr,
               "tcp_soak: %s\n"
               "usage: tcp_soak [--seed N] [--count N | --seconds S] [--verbose]\n"
               "  --seed N      the first seed (default 1); alone: that one, told in detail\n"
               "  --count N     how many seeds (default 1000)\n"
               "  --seconds S   as many as fit into this time\n",
               wrong);
  return 2;
}

// The server varies with the seed as its clients do.
StackServerOptions server_of(std::uint64_t seed) {
  sim::Random random(seed ^ 0x5851f42d4c957f2d);
  StackServerOptions options;
  options.seed = seed;
  options.stack = small_stack(seed);
  options.stack.pacing = random.between(0, 3) != 0;
  options.stack.always_cookies = random.between(0, 9) == 0;
  if (random.between(0, 9) == 0) options.stack.shared_transmissions = random.between(0, 64);
  if (random.between(0, 9) == 0) options.stack.receive_chunks = random.between(1, 8);
  if (random.between(0, 3) == 0)
    options.stack.burst_bytes = 1500 * static_cast<std::uint32_t>(random.between(1, 8));
  if (random.between(0, 3) == 0) {
    options.refused_per_thousand = static_cast<unsigned>(random.between(1, 100));
  }
  if (random.between(0, 3) == 0) {
    options.reads_for = std::chrono::microseconds(random.between(1, 5000));
  }
  return options;
}

void strain(const ServerStrain& strain, StackServerOptions& options) {
  if (strain.is_scarce) {
    options.stack.maximum_connections = 8;
    options.stack.maximum_half_open = 4;
    options.stack.maximum_time_wait = 8;
    options.stack.shared_transmissions = 16;
    options.stack.receive_chunks = 4;
    // Within the run's last quiet stretch everyone who vanished is to be given up.
    options.stack.keep_alive = std::chrono::seconds(10);
    options.stack.give_up_after = std::chrono::seconds(100);
    if (options.seed % 4 == 0) options.maximum_sessions = 4;
  }
  if (strain.body_bytes_at_once > 0) {
    options.body_bytes_at_once = strain.body_bytes_at_once;
    options.body_pause = strain.body_pause;
  }
}

std::string left_behind(const StackServer& server) {
  const net::tcp::Stack& stack = server.stack();
  const std::size_t all = stack.connections() + stack.slots_in_use() + stack.half_open() +
                          stack.time_wait() + server.sessions();
  if (all == 0) return {};
  return std::format(
      "left behind: {} connections, {} slots, {} half open, {} in TIME-WAIT, {} sessions",
      stack.connections(), stack.slots_in_use(), stack.half_open(), stack.time_wait(),
      server.sessions());
}

std::string describe(const net::tcp::ConnectionView& view) {
  return std::format(
      "  {} {}: window {} threshold {} pace {}/s, in flight {} lost {} sacked {} unsent {}, peer's "
      "window {}, "
      "held {}, rtt {} min {} rto {}, segment {}, timeouts {}, recovery {}\n",
      view.flow.peer.text(), name_of(view.state), view.congestion_window_bytes,
      view.slow_start_threshold_bytes, view.pacing_bytes_per_second, view.in_flight_bytes,
      view.lost_bytes, view.sacked_bytes, view.unsent_bytes, view.peer_window_bytes,
      view.receive_held_bytes, view.smoothed_round_trip, view.minimum_round_trip,
      view.retransmission_timeout, view.segment_bytes, view.consecutive_timeouts, view.recovery);
}

// A cookie's options are in the timestamp of the SYN-ACK and under its hash: when only that way
// takes timestamps away, or begins to in mid-handshake, no acknowledgment proves the cookie.
void spare_cookies(Scenario& scenario) {
  for (ClientPlan& plan : scenario.options.clients) {
    plan.to_server.middlebox.strips_all_timestamps_after.reset();
    plan.to_client.middlebox.strips_all_timestamps_after.reset();
    if (!plan.to_server.middlebox.strips_timestamps)
      plan.to_client.middlebox.strips_timestamps = false;
  }
}

bool run_seed(std::uint64_t seed, bool verbose) {
  StackServerOptions server = server_of(seed);
  // A cookie remembers one of eight segment sizes, which may be far below what was offered.
  Scenario scenario = make_scenario(seed, server.stack.always_cookies ? 4 : 1);
  if (scenario.strain.is_scarce) scenario = make_scenario(seed, 4);
  // What comes while the application does not read is sent again, but for the few chunks.
  const bool uploads = std::ranges::any_of(scenario.options.clients, [](const ClientPlan& plan) {
    return !plan.profile.body_bytes.empty();
  });
  if (uploads && server.stack.receive_chunks <= 8) scenario = make_scenario(seed, 10);
  scenario.options.cookies = server.stack.always_cookies || scenario.strain.is_scarce;
  if (scenario.options.cookies) spare_cookies(scenario);
  strain(scenario.strain, server);
  if (verbose) scenario.options.trace_lines = 20'000;  // all of it
  std::string complaint;
  std::string left;
  const WorldResult result = run_world(
      scenario.options,
      [&](SendPacket send) { return std::make_unique<StackServer>(server, std::move(send)); },
      [&](ServerUnderTest& server) {
        complaint = static_cast<StackServer&>(server).complaint();
        if (complaint.empty() && scenario.strain.is_scarce)
          complaint = left_behind(static_cast<StackServer&>(server));
        static_cast<StackServer&>(server).stack().for_each(
            [&](const net::tcp::ConnectionView& view) { left += describe(view); });
      });
  const bool good = result.good() && complaint.empty();
  if (!good || verbose) {
    std::printf("seed %llu: %s\n%s%s%s\n", static_cast<unsigned long long>(seed),
                good ? "good" : "FAILED", scenario.summary.c_str(), result.describe().c_str(),
                complaint.empty() ? "" : ("\nserver: " + complaint).c_str());
    if (!left.empty()) std::printf("connections left:\n%s", left.c_str());
    std::fflush(stdout);
  }
  return good;
}

}  // namespace

int main(int count, char** values) {
  Arguments arguments;
  bool one = false;
  bool several = false;
  for (int index = 1; index < count; ++index) {
    const std::string name = values[index];
    if (name == "--verbose") {
      arguments.verbose = true;
      continue;
    }
    if (index + 1 >= count) return usage(("what about " + name + "?").c_str());
    char* end = nullptr;
    const char* text = values[++index];
    if (name == "--seed") {
      arguments.first = std::strtoull(text, &end, 10);
      one = true;
    } else if (name == "--count") {
      arguments.count = std::strtoull(text, &end, 10);
      several = true;
    } else if (name == "--seconds") {
      arguments.seconds = std::strtod(text, &end);
      several = true;
    } else {
      return usage(("unknown " + name).c_str());
    }
    if (*text == '\0' || *end != '\0') return usage((name + " wants a number").c_str());
  }
  if (one && !several) {
    arguments.count = 1;
    arguments.verbose = true;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  double told_at = 0;
  for (std::uint64_t seed = arguments.first;
       arguments.seconds > 0 ? elapsed() < arguments.seconds : done < arguments.count; ++seed) {
    ++done;
    if (!run_seed(seed, arguments.verbose)) {
      ++failed;
      std::printf("see it again: ./dev exec tcp_soak --seed %llu\n",
                  static_cast<unsigned long long>(seed));
      if (failed >= 10) break;
    }
    if (elapsed() - told_at > 10) {
      told_at = elapsed();
      std::printf("%llu seeds, %llu failed, %.0f s\n", static_cast<unsigned long long>(done),
                  static_cast<unsigned long long>(failed), told_at);
      std::fflush(stdout);
    }
  }
  std::printf("%llu seeds, %llu failed, %.1f s\n", static_cast<unsigned long long>(done),
              static_cast<unsigned long long>(failed), elapsed());
  return failed == 0 ? 0 : 1;
}
