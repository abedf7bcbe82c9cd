// Cubic, pacer, round trip and rate reduction together, in a closed loop over one simulated queue
// of a fixed rate: the link is used, its queue is not only ever full, and two flows share it.
//
// The model: every packet is acknowledged alone by its transmission's number, the path keeps the
// order, and three later ones tell of a loss. Data is endless, so a retransmission is one more
// transmission.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <queue>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/tcp/cubic.h"
#include "dataplane/net/tcp/pacer.h"
#include "dataplane/net/tcp/prr.h"
#include "dataplane/net/tcp/round_trip.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kSegment = 1448;
constexpr MonotonicTime kStart{1s};

struct Link {
  double bytes_per_second;
  Duration base_round_trip;
  double queue_bytes;
  MonotonicTime idle_at{};

  // When the acknowledgment comes back; nothing when the queue was full.
  bool carry(MonotonicTime now, MonotonicTime& acknowledged) {
    idle_at = std::max(idle_at, now);
    const double queued = std::chrono::duration<double>(idle_at - now).count() * bytes_per_second;
    if (queued + kSegment > queue_bytes) {
      return false;
    }
    idle_at += Duration{static_cast<std::int64_t>(kSegment / bytes_per_second * 1e9)};
    acknowledged = idle_at + base_round_trip;
    return true;
  }
};

struct Transmission {
  std::uint64_t number;
  MonotonicTime sent;
};

struct Flow {
  Cubic cubic{kSegment};
  RoundTrip path;
  Pacer pacer;
  ProportionalRateReduction prr;
  MonotonicTime begins = kStart;
  std::deque<Transmission> outstanding;
  std::uint64_t next = 0;
  std::uint64_t round_end = 0;
  std::uint64_t recovery_end = 0;
  MonotonicTime last_progress{};
  std::uint64_t delivered = 0;
  std::uint64_t delivered_at_mark = 0;
  std::uint64_t losses = 0;
  bool window_limited = false;
  int timeouts = 0;

  std::uint64_t in_flight() const { return outstanding.size() * std::uint64_t{kSegment}; }
  bool window_allows() const {
    return prr.active() ? prr.allowance() >= kSegment
                        : in_flight() + kSegment <= cubic.window_bytes();
  }

  void acknowledge(std::uint64_t number, MonotonicTime now) {
    const std::uint64_t before = in_flight();
    Duration sample{-1};
    bool lost = false;
    while (!outstanding.empty() && outstanding.front().number + 3 <= number) {
      lost = true;
      ++losses;
      outstanding.pop_front();
    }
    const auto found =
        std::find_if(outstanding.begin(), outstanding.end(),
                     [number](const Transmission& one) { return one.number >= number; });
    if (found != outstanding.end() && found->number == number) {
      sample = now - found->sent;
      outstanding.erase(found);
    }
    if (sample.count() < 0) {
      return;  // was given up by the timer
    }
    delivered += kSegment;
    last_progress = now;
    path.add_sample(sample, now, static_cast<std::uint32_t>(before / (2 * kSegment) + 1));
    const bool round_ended = number >= round_end;
    if (round_ended) {
      round_end = next;
    }
    if (prr.active() && number >= recovery_end) {
      prr.end();
      cubic.on_recovery_end(now);
    }
    if (lost && !prr.active() && number >= recovery_end) {
      cubic.on_congestion(CongestionSignal::loss, before, now);
      prr.begin(before, cubic.slow_start_threshold_bytes(), kSegment);
      recovery_end = next;
    }
    prr.on_acknowledgment(kSegment, in_flight(), !lost, lost);
    cubic.on_acknowledgment({.now = now,
                             .delivered_bytes = kSegment,
                             .in_flight_bytes = in_flight(),
                             .window_limited = window_limited,
                             .in_recovery = prr.active(),
                             .round_ended = round_ended,
                             .round_trip_time = sample,
                             .minimum_round_trip = path.minimum(),
                             .smoothed_round_trip = path.smoothed()});
    pacer.set_rate(pacing_rate(cubic, path));
  }

  void time_out(MonotonicTime now) {
    ++timeouts;
    cubic.on_congestion(CongestionSignal::timeout, in_flight(), now);
    prr.end();
    outstanding.clear();
    recovery_end = next;
    last_progress = now;
  }
};

struct Arrival {
  MonotonicTime when;
  std::size_t flow;
  std::uint64_t number;
  bool operator>(const Arrival& other) const { return when > other.when; }
};

struct Simulation {
  Link link;
  std::vector<Flow> flows;
  MonotonicTime now = kStart;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals{};

  void transmit(Flow& flow, std::size_t index) {
    while (flow.window_allows() && flow.pacer.allowance(now) >= kSegment) {
      flow.outstanding.push_back({flow.next, now});
      flow.pacer.on_sent(kSegment, now);
      flow.prr.on_sent(kSegment);
      MonotonicTime acknowledged;
      if (link.carry(now, acknowledged)) {
        arrivals.push({acknowledged, index, flow.next});
      }
      ++flow.next;
    }
  }

  void run(Duration span) {
    const MonotonicTime end = now + span;
    while (now < end) {
      MonotonicTime next = end;
      for (std::size_t i = 0; i < flows.size(); ++i) {
        Flow& flow = flows[i];
        if (now < flow.begins) {
          next = std::min(next, flow.begins);
          continue;
        }
        flow.last_progress = std::max(flow.last_progress, flow.begins);
        if (now >= flow.last_progress + flow.path.timeout()) {
          flow.time_out(now);
        }
        transmit(flow, i);
        flow.window_limited = !flow.window_allows() || flow.prr.active();
        if (flow.window_allows()) {
          next = std::min(next, std::max(flow.pacer.next_opportunity(kSegment), now + 1ns));
          flow.window_limited = true;  // the pacer spreads a window that there is data for
        }
        next = std::min(next, flow.last_progress + flow.path.timeout());
      }
      if (!arrivals.empty() && arrivals.top().when <= next) {
        const Arrival arrival = arrivals.top();
        arrivals.pop();
        now = std::max(now, arrival.when);
        flows[arrival.flow].acknowledge(arrival.number, now);
      } else {
        now = std::max(next, now);
      }
    }
  }

  // The share of the link's rate that was delivered during `span`.
  double utilisation(Duration span) {
    std::uint64_t before = 0;
    for (Flow& flow : flows) {
      flow.delivered_at_mark = flow.delivered;
      before += flow.delivered;
    }
    run(span);
    std::uint64_t after = 0;
    for (const Flow& flow : flows) {
      after += flow.delivered;
    }
    return static_cast<double>(after - before) /
           (link.bytes_per_second * std::chrono::duration<double>(span).count());
  }
};

}  // namespace

TEST_GROUP(CongestionSimulation){};

TEST(CongestionSimulation, OneFlowFillsTheLink) {
  const struct {
    double bytes_per_second;
    Duration round_trip;
    double queue_round_trips;
  } rows[] = {{2.5e6, 20ms, 1.0}, {6.25e6, 40ms, 0.5}, {12.5e6, 80ms, 0.5}, {1.25e6, 100ms, 0.5}};
  for (const auto& row : rows) {
    const double product =
        row.bytes_per_second * std::chrono::duration<double>(row.round_trip).count();
    Simulation simulation{
        .link = {row.bytes_per_second, row.round_trip, product * row.queue_round_trips},
        .flows = std::vector<Flow>(1)};
    simulation.run(2s);
    const double used = simulation.utilisation(12s);
    CHECK(used > 0.9);
    CHECK(used <= 1.001);
    const Flow& flow = simulation.flows[0];
    CHECK_EQUAL(0, flow.timeouts);
    // What is lost is what the first overshoot and probing cost (conservative slow start may still
    // triple the window in its five rounds), not a queue overrun again and again.
    CHECK(static_cast<double>(flow.losses) < 0.02 * static_cast<double>(flow.next));
  }
}

TEST(CongestionSimulation, SlowStartGetsThereWithinTwentyRoundTrips) {
  Simulation simulation{.link = {12.5e6, 40ms, 12.5e6 * 0.04}, .flows = std::vector<Flow>(1)};
  simulation.run(800ms);
  CHECK(simulation.utilisation(400ms) > 0.9);
}

TEST(CongestionSimulation, TwoFlowsShare) {
  Simulation simulation{.link = {5e6, 40ms, 5e6 * 0.04}, .flows = std::vector<Flow>(2)};
  simulation.flows[1].begins = kStart + 5s;
  simulation.run(30s);
  CHECK(simulation.utilisation(40s) > 0.9);
  const auto carried = [](const Flow& flow) {
    return static_cast<double>(flow.delivered - flow.delivered_at_mark);
  };
  const double first = carried(simulation.flows[0]);
  const double second = carried(simulation.flows[1]);
  CHECK(std::min(first, second) / std::max(first, second) > 0.6);
}
