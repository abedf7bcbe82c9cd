// The draws of a scenario, and how long each call may take.
#include "tests/sim/lwip/scenario.h"

#include <algorithm>
#include <cmath>
#include <format>

#include "tests/sim/sim_random.h"

namespace nearfield::sim::lwip {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The receive window and the send buffer of Debian's build, which scales windows by 1 bit and yet
// never offers more than this.
constexpr double kLwipWindow = 65535;

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::uint64_t between(std::uint64_t lowest, std::uint64_t highest) {
    return random_.between(lowest, highest);
  }
  bool one_in(std::uint64_t count) { return random_.between(1, count) == 1; }
  Duration time(Duration lowest, Duration highest) {
    return Duration(random_.between(static_cast<std::uint64_t>(lowest.count()),
                                    static_cast<std::uint64_t>(highest.count())));
  }
  // Up to `highest`, small ones more often.
  double rate(double highest) {
    const double share = static_cast<double>(random_.next() >> 11) * 0x1.0p-53;
    return highest * share * share;
  }

 private:
  Random random_;
};

tcp::LinkOptions draw_link(Draw& draw, bool is_clean) {
  constexpr std::uint64_t kRates[] = {0, 1'000'000, 5'000'000, 20'000'000, 100'000'000};
  constexpr std::uint64_t kDelays[] = {50, 1'000, 5'000, 20'000, 50'000, 100'000};
  tcp::LinkOptions link;
  link.bits_per_second = kRates[draw.between(0, std::size(kRates) - 1)];
  link.delay = microseconds(kDelays[draw.between(0, std::size(kDelays) - 1)]);
  link.queue_bytes = draw.between(15'000, 200'000);
  if (is_clean) return link;
  if (draw.one_in(2)) link.loss = draw.rate(0.05);
  if (draw.one_in(5)) {
    link.burst_begins = draw.rate(0.01);
    link.burst_ends = 1.0 / static_cast<double>(draw.between(2, 8));
  }
  if (draw.one_in(3)) link.duplication = draw.rate(0.1);
  if (draw.one_in(3)) link.corruption = draw.rate(0.03);
  if (draw.one_in(3)) {
    link.reordering = draw.rate(0.1);
    link.reordering_delay = draw.time(microseconds(100), milliseconds(30));
  }
  if (draw.one_in(3)) {
    link.jitter = draw.time(Duration{}, link.delay / 4 + microseconds(100));
    link.jitter_reorders = draw.one_in(3);
  }
  return link;
}

void draw_server(Draw& draw, std::uint64_t seed, tcp::StackServerOptions& server) {
  server.seed = seed;
  server.stack = tcp::small_stack(seed);
  server.stack.pacing = !draw.one_in(4);
  server.stack.always_cookies = draw.one_in(10);
  if (draw.one_in(10)) server.stack.shared_transmissions = draw.between(0, 64);
  if (draw.one_in(10)) server.stack.receive_chunks = draw.between(1, 8);
  if (draw.one_in(4)) server.refused_per_thousand = static_cast<unsigned>(draw.between(1, 100));
  if (draw.one_in(4)) server.reads_for = microseconds(draw.between(1, 5000));
}

void draw_exchange(Draw& draw, const Scenario& scenario, std::size_t calls, CallPlan& plan) {
  std::uint64_t most = (std::uint64_t{8} << 20) / calls;
  if (scenario.to_client.bits_per_second > 0)
    most = std::min(most, scenario.to_client.bits_per_second / 8 * 30 / calls);
  const std::uint64_t kind = draw.between(1, 10);
  if (kind == 1) {  // as much to us as from us: requests upon requests
    const std::uint64_t count = draw.between(500, 6000) / calls + 1;
    for (std::uint64_t index = 0; index < count; ++index)
      plan.answer_bytes.push_back(draw.between(0, std::min<std::uint64_t>(200, most / count)));
  } else if (kind == 2) {
    plan.answer_bytes.push_back(draw.between(0, 3));
  } else {
    const std::uint64_t count = draw.one_in(3) ? draw.between(2, 6) : 1;
    const std::uint64_t largest = kind == 3 ? 4 << 20 : kind <= 6 ? 1 << 20 : 256 << 10;
    for (std::uint64_t index = 0; index < count; ++index)
      plan.answer_bytes.push_back(std::min(draw.between(64 << 10, largest), most) / count);
  }
  plan.pipelined = plan.answer_bytes.size() > 20 || draw.one_in(2);
}

CallPlan draw_call(Draw& draw, const Scenario& scenario, std::size_t calls) {
  CallPlan plan;
  plan.is_v6 = draw.one_in(3);
  plan.starts_after = draw.time(Duration{}, milliseconds(500));
  draw_exchange(draw, scenario, calls, plan);
  plan.closing = static_cast<tcp::Closing>(draw.between(0, 3));
  plan.nagle = draw.one_in(2);
  plan.copies = draw.one_in(2);
  const std::uint64_t bytes = plan.expected_bytes();
  if (draw.one_in(8))
    plan.hold = CallPlan::Hold{draw.between(0, bytes), draw.time(milliseconds(50), seconds(8))};
  if (draw.one_in(10))
    plan.read_bytes_per_second = std::max<std::uint64_t>(bytes / draw.between(1, 20), 1000);
  plan.refuses =
      (plan.closing == tcp::Closing::after_answers || plan.closing == tcp::Closing::after_server) &&
      draw.one_in(4);
  if (draw.one_in(10)) plan.resets_after_bytes = draw.between(0, bytes);
  return plan;
}

double loss_rate(const tcp::LinkOptions& link) {
  const double bursts =
      link.burst_begins > 0 ? link.burst_begins / (link.burst_begins + link.burst_ends) : 0;
  return std::min(0.5, link.loss + link.corruption + bursts);
}

double in_seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }

// Generous: what a plain TCP without SACK may need, several times over. lwIP's timers count in
// half seconds, its first retransmission waits for three, and it hands on refused bytes four times
// a second.
Duration limit_of(const Scenario& scenario, const CallPlan& plan, double total_bytes,
                  std::size_t calls) {
  const double bytes = static_cast<double>(plan.expected_bytes());
  const double requests = static_cast<double>(plan.answer_bytes.size() * tcp::kRequestBytes);
  double trip = 0;
  for (const tcp::LinkOptions* link : {&scenario.to_server, &scenario.to_client}) {
    trip += in_seconds(link->delay + link->jitter);
    if (link->bits_per_second > 0)
      trip += 8 * (static_cast<double>(link->queue_bytes) + 1500) /
              static_cast<double>(link->bits_per_second);
  }
  const double turns = plan.pipelined ? 1 : static_cast<double>(plan.answer_bytes.size());
  double time = (8 + 14 * turns) * trip + (bytes + requests) / kLwipWindow * 2 * trip;
  if (scenario.to_client.bits_per_second > 0)
    time += 12 * total_bytes / static_cast<double>(scenario.to_client.bits_per_second);
  if (scenario.to_server.bits_per_second > 0)
    time += 12 * (total_bytes / 10 + requests * static_cast<double>(calls)) /
            static_cast<double>(scenario.to_server.bits_per_second);
  const double segment = static_cast<double>(std::min(scenario.host_mtu, scenario.to_client.mtu) -
                                             (plan.is_v6 ? 60 : 40));
  // Without SACK one hole is mended in a round trip, and a lost retransmission waits for a
  // time-out; a full queue and disorder cost as losses do.
  const double disorder = scenario.to_client.reordering + scenario.to_client.duplication +
                          (scenario.to_client.jitter_reorders ? 0.05 : 0) +
                          (scenario.to_client.bits_per_second > 0 ? 0.01 : 0);
  time += bytes / segment * (loss_rate(scenario.to_client) + disorder) * (trip + 0.3) * 2;
  time += requests / 500 *
          (loss_rate(scenario.to_server) + (scenario.to_server.bits_per_second > 0 ? 0.01 : 0)) * 6;
  if (plan.hold) time += 4 * in_seconds(plan.hold->time);
  if (plan.read_bytes_per_second > 0)
    time += 2 * bytes / static_cast<double>(plan.read_bytes_per_second);
  if (plan.refuses) time += 10;
  if (scenario.to_client.mtu < scenario.host_mtu) time += 10;
  return Duration(static_cast<std::int64_t>((60 + 4 * time) * 1e9));
}

std::string summary_of(const Scenario& scenario) {
  const auto line = [](const char* name, const tcp::LinkOptions& link) {
    return std::format(
        "{}: {} kbit/s, {} us, jitter {} us, loss {:.4f}, bursts {:.4f}, twice {:.4f}, damaged "
        "{:.4f}, overtaken {:.4f}, mtu {}\n",
        name, link.bits_per_second / 1000, link.delay / microseconds(1),
        link.jitter / microseconds(1), link.loss, link.burst_begins, link.duplication,
        link.corruption, link.reordering, link.mtu);
  };
  std::string text =
      line("to the server", scenario.to_server) + line("to the client", scenario.to_client);
  text += std::format("lwIP's mtu {}{}\n", scenario.host_mtu,
                      scenario.server.stack.always_cookies ? ", SYN cookies" : "");
  constexpr const char* kClosings[] = {"lwIP closes after its requests",
                                       "lwIP closes after the answers", "the server closes first",
                                       "both close"};
  for (std::size_t index = 0; index < scenario.calls.size(); ++index) {
    const CallPlan& plan = scenario.calls[index];
    text += std::format(
        "call {}: v{}, {} bytes in {} answers, {}{}{}{}{}{}\n", index, plan.is_v6 ? 6 : 4,
        plan.expected_bytes(), plan.answer_bytes.size(),
        kClosings[static_cast<std::size_t>(plan.closing)], plan.hold ? ", holds" : "",
        plan.read_bytes_per_second > 0 ? ", reads slowly" : "", plan.refuses ? ", refuses" : "",
        plan.resets_after_bytes ? ", resets" : "", plan.successor_of ? ", successor" : "");
  }
  return text;
}

}  // namespace

Scenario make_scenario(std::uint64_t seed) {
  Draw draw(seed);
  Scenario scenario;
  scenario.seed = draw.between(0, UINT64_MAX - 1);
  constexpr Duration kTurns[] = {microseconds(1), microseconds(50), microseconds(500)};
  scenario.server_turn = kTurns[draw.between(0, std::size(kTurns) - 1)];
  if (draw.one_in(4)) scenario.host_mtu = draw.between(1280, 1500);
  const bool is_clean = draw.one_in(5);
  scenario.to_server = draw_link(draw, is_clean);
  scenario.to_client = draw_link(draw, is_clean);
  if (draw.one_in(10)) scenario.to_client.mtu = draw.between(1280, 1480);
  draw_server(draw, seed, scenario.server);
  const std::size_t calls = draw.one_in(2) ? 1 : draw.between(2, 12);
  for (std::size_t index = 0; index < calls; ++index)
    scenario.calls.push_back(draw_call(draw, scenario, calls));
  if (calls > 1 && draw.one_in(3)) {
    CallPlan& last = scenario.calls.back();
    last.successor_of = calls - 2;
    last.starts_after = draw.time(Duration{}, seconds(3));
    last.is_v6 = scenario.calls[calls - 2].is_v6;
  }
  double total_bytes = 0;
  for (const CallPlan& plan : scenario.calls)
    total_bytes += static_cast<double>(plan.expected_bytes());
  for (CallPlan& plan : scenario.calls) plan.limit = limit_of(scenario, plan, total_bytes, calls);
  scenario.summary = summary_of(scenario);
  return scenario;
}

}  // namespace nearfield::sim::lwip
