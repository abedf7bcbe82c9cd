// The draws of a scenario; see scenario.h. What limits a run's length is drawn before what it
// limits.
#include "tests/sim/tcp/scenario.h"

#include <algorithm>
#include <cstdio>

#include "tests/sim/sim_random.h"

namespace nearfield::sim::tcp {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::uint64_t between(std::uint64_t lowest, std::uint64_t highest) {
    return random_.between(lowest, highest);
  }
  bool one_in(std::uint64_t count) { return random_.between(1, count) == 1; }
  bool most_of(std::uint64_t count) { return !one_in(count); }
  Duration time(Duration lowest, Duration highest) {
    return Duration(random_.between(static_cast<std::uint64_t>(lowest.count()),
                                    static_cast<std::uint64_t>(highest.count())));
  }
  // Up to `highest`, small ones more often.
  double rate(double highest) {
    const double share = static_cast<double>(random_.next() >> 11) * 0x1.0p-53;
    return highest * share * share;
  }
  template <typename Value, std::size_t count>
  Value one_of(const Value (&values)[count]) {
    return values[random_.between(0, count - 1)];
  }

 private:
  Random random_;
};

void draw_damage(Draw& draw, LinkOptions& link) {
  if (draw.one_in(2)) link.loss = draw.rate(0.05);
  if (draw.one_in(5)) {  // bursts of 2 to 8 packets
    link.burst_begins = draw.rate(0.01);
    link.burst_ends = 1.0 / static_cast<double>(draw.between(2, 8));
    link.burst_loss = draw.one_in(2) ? 1.0 : 0.5;
  }
  if (draw.one_in(3)) link.duplication = draw.rate(0.05);
  if (draw.one_in(3)) link.corruption = draw.rate(0.02);
  if (draw.one_in(3)) {
    link.reordering = draw.rate(0.05);
    link.reordering_delay = draw.time(microseconds(100), milliseconds(20));
  }
  if (draw.one_in(3)) {
    link.jitter = draw.time(Duration{}, link.delay / 4 + microseconds(100));
    link.jitter_reorders = draw.one_in(3);
  }
}

LinkOptions draw_link(Draw& draw, bool is_clean) {
  LinkOptions link;
  link.bits_per_second = draw.one_of<std::uint64_t>(
      {0, 256'000, 1'000'000, 5'000'000, 20'000'000, 100'000'000, 1'000'000'000});
  link.delay = microseconds(
      draw.one_of<std::uint64_t>({0, 50, 1'000, 5'000, 10'000, 25'000, 50'000, 100'000, 150'000}));
  const double product = static_cast<double>(link.bits_per_second) / 8 *
                         static_cast<double>(2 * link.delay.count()) / 1e9;
  link.queue_bytes = static_cast<std::size_t>(
      draw.between(6'000, 6'000 + 4 * static_cast<std::uint64_t>(std::max(product, 15'000.0))));
  if (draw.one_in(3)) link.ecn_threshold_bytes = link.queue_bytes / 3;
  if (!is_clean) draw_damage(draw, link);
  return link;
}

void draw_trouble(Draw& draw, ClientPlan& plan) {
  if (draw.one_in(10)) {
    const std::size_t mtu = plan.is_v6 ? draw.between(1280, 1480) : draw.between(576, 1480);
    if (draw.one_in(2))
      plan.to_client.mtu = mtu;
    else
      plan.to_client.mtu_changes.push_back({draw.time(Duration{}, milliseconds(1000)), mtu});
    plan.to_client.too_long = draw.one_in(3) ? TooLong::dropped : TooLong::answered;
  }
  if (draw.one_in(12)) {
    const Duration from = draw.time(Duration{}, milliseconds(1500));
    const LinkOptions::Blackout blackout{from,
                                         from + draw.time(milliseconds(50), milliseconds(3000))};
    const std::uint64_t which = draw.between(1, 3);
    if (which & 1) plan.to_client.blackouts.push_back(blackout);
    if (which & 2) plan.to_server.blackouts.push_back(blackout);
  }
}

void draw_receiving(Draw& draw, ClientProfile& profile) {
  profile.acknowledge_every = draw.one_of<unsigned>({1, 2, 2, 2, 4, 16});
  profile.acknowledge_delay = draw.time(milliseconds(1), milliseconds(200));
  profile.receive_buffer_bytes = std::size_t{4096} << draw.between(0, 8);
  const std::uint64_t kind = draw.between(1, 14);
  if (kind == 1) {  // tiny
    profile.receive_buffer_bytes = draw.between(1, 100);
    profile.window_scale = draw.one_in(2) ? std::nullopt : std::optional<std::uint8_t>(0);
  } else {
    std::uint8_t scale = 0;
    while (scale < 14 && (std::size_t{65535} << scale) < profile.receive_buffer_bytes) ++scale;
    scale = static_cast<std::uint8_t>(scale + draw.between(0, 4));
    profile.window_scale = draw.one_in(8) ? std::nullopt : std::optional(scale);
  }
  if (kind == 2) profile.read_bytes_per_second = draw.between(1'000, 1'000'000);
}

void draw_offer(Draw& draw, ClientProfile& profile) {
  profile.maximum_segment_bytes = draw.one_of<std::uint16_t>({1460, 1460, 1400, 1440, 1220, 536});
  if (draw.one_in(20)) profile.maximum_segment_bytes = draw.between(88, 600);
  if (draw.one_in(20)) profile.maximum_segment_bytes.reset();
  profile.sack = draw.most_of(5);
  profile.duplicate_sack = draw.most_of(4);
  profile.timestamps = draw.most_of(4);
  profile.ecn = draw.one_in(3);
}

void draw_exchange(Draw& draw, ClientPlan& plan) {
  ClientProfile& profile = plan.profile;
  std::uint64_t most = 4 << 20;
  if (plan.to_client.bits_per_second > 0)
    most = std::min(most, plan.to_client.bits_per_second / 8 * 30);
  if (profile.receive_buffer_bytes <= 100)
    most = std::min<std::uint64_t>(most, 60 * profile.receive_buffer_bytes);
  if (profile.read_bytes_per_second > 0) most = std::min(most, profile.read_bytes_per_second * 20);
  const std::uint64_t count = draw.one_in(3) ? draw.between(2, 6) : 1;
  for (std::uint64_t index = 0; index < count; ++index) {
    const std::uint64_t kind = draw.between(1, 40);
    const std::uint64_t bytes = kind == 1    ? draw.between(1 << 20, 4 << 20)
                                : kind <= 8  ? draw.between(64 << 10, 512 << 10)
                                : kind <= 10 ? draw.between(0, 2)
                                             : draw.between(0, 64 << 10);
    profile.answer_bytes.push_back(std::min(bytes, most / count));
  }
  profile.pipelined = draw.one_in(2);
  if (draw.one_in(4)) profile.think = draw.time(milliseconds(1), milliseconds(3000));
  profile.closing = draw.one_of(
      {Closing::after_requests, Closing::after_answers, Closing::after_server, Closing::crossing});
}

void draw_sending(Draw& draw, ClientPlan& plan) {
  ClientProfile& profile = plan.profile;
  if (draw.one_in(3)) {
    profile.smallest_split_bytes = draw.between(1, 20);
    profile.largest_split_bytes = profile.smallest_split_bytes + draw.between(0, 30);
    if (draw.one_in(2)) profile.split_pause = draw.time(Duration{}, milliseconds(50));
  }
  profile.overlaps = draw.one_in(6);
  profile.urgent = draw.one_in(15);
  profile.retransmit_time = 2 * (plan.to_client.delay + plan.to_server.delay) +
                            draw.time(milliseconds(200), milliseconds(1000));
  if (draw.one_in(8)) profile.keep_alive = draw.time(milliseconds(100), milliseconds(1500));
  if (draw.one_in(5)) {
    profile.junk_segments = static_cast<unsigned>(draw.between(1, 12));
    profile.junk_pause = draw.time(microseconds(500), milliseconds(50));
  }
}

void draw_misbehaviour(Draw& draw, ClientProfile& profile) {
  const std::uint64_t bytes = profile.expected_bytes();
  if (draw.one_in(10))
    profile.hold = ClientProfile::Hold{
        draw.between(0, bytes), draw.time(milliseconds(100), milliseconds(5000)), draw.one_in(3)};
  if (draw.one_in(15)) profile.reneges_after_bytes = draw.between(0, bytes);
  if (draw.one_in(14))
    profile.reset_after_bytes = draw.between(0, bytes);
  else if (draw.one_in(20))
    profile.vanish_after_bytes = draw.between(0, bytes);
}

// From draws of its own, so that what a seed drew before is what it draws still.
void draw_more(Draw& draw, ClientPlan& plan) {
  if (draw.one_in(12)) plan.to_server.loss += draw.rate(0.1);  // acknowledgments above all
  if (draw.one_in(10)) {
    const Duration every = draw.time(milliseconds(1), milliseconds(60));
    const std::uint64_t which = draw.between(1, 3);
    if (which & 1) plan.to_server.aggregation = every;
    if (which & 2) plan.to_client.aggregation = every;
  }
  plan.to_client.bleaches_ecn = draw.one_in(15);
  plan.to_server.bleaches_ecn = draw.one_in(15);
  ClientProfile& profile = plan.profile;
  if (profile.answer_bytes.size() > 1 && draw.one_in(6)) {  // windows of long ago
    profile.pipelined = false;
    profile.think = draw.time(milliseconds(3000), milliseconds(60'000));
  }
}

// Uploads: from a third sequence of draws.
void draw_bodies(Draw& draw, ClientPlan& plan) {
  ClientProfile& profile = plan.profile;
  std::uint64_t most = 1 << 20;
  for (const LinkOptions* link : {&plan.to_server, &plan.to_client})
    if (link->bits_per_second > 0) most = std::min(most, link->bits_per_second / 8 * 20);
  // The client's recovery is NewReno's: slow where much is lost.
  const double lost = plan.to_server.loss + plan.to_server.corruption + plan.to_server.burst_begins;
  if (lost > 0.005) most = std::min<std::uint64_t>(most, 128 << 10);
  for (std::size_t index = 0; index < profile.answer_bytes.size(); ++index) {
    const std::uint64_t bytes =
        draw.one_in(4) ? draw.between(0, 4000) : draw.between(64 << 10, 1 << 20);
    profile.body_bytes.push_back(
        static_cast<std::uint32_t>(std::min(bytes, most / profile.answer_bytes.size())));
  }
  profile.largest_body_piece_bytes = draw.one_of<std::size_t>({1448, 1448, 1000, 536});
}

void draw_middlebox(Draw& draw, ClientPlan& plan) {
  MiddleboxOptions box;
  switch (draw.between(1, 6)) {
    case 1:
      box.strips_sack = true;
      break;
    case 2:
      box.strips_timestamps = true;
      break;
    case 3:
      box.strips_window_scale = true;
      break;
    case 4:
      box.strips_all_timestamps_after = draw.time(Duration{}, milliseconds(2000));
      break;
    case 5:
      box.clamps_segment_size = static_cast<std::uint16_t>(draw.between(300, 1440));
      box.strips_segment_size = draw.one_in(4);
      break;
    default:
      box.strips_sack = box.strips_timestamps = box.strips_window_scale = true;
      break;
  }
  const std::uint64_t which = draw.between(1, 3);
  if (which & 1) plan.to_server.middlebox = box;
  if (which & 2) plan.to_client.middlebox = box;
  // The two ends read the client's windows differently then: it becomes a slow affair.
  if (plan.to_client.middlebox.strips_window_scale)
    for (std::uint64_t& bytes : plan.profile.answer_bytes)
      bytes = std::min<std::uint64_t>(bytes, 20'000);
}

// Few places, many who want one; all want little.
void draw_crowd(Draw& draw, Scenario& scenario) {
  scenario.strain.is_scarce = true;
  auto& clients = scenario.options.clients;
  scenario.options.drain = std::chrono::seconds(300);
  const std::size_t drawn = clients.size();
  const std::size_t count = draw.between(16, 40);
  while (clients.size() < count) clients.push_back(clients[clients.size() % drawn]);
  const Duration within = milliseconds(draw.one_of<std::uint64_t>({0, 100, 3000}));
  for (ClientPlan& plan : clients) {
    plan.successor_of.reset();
    plan.starts_after = draw.time(Duration{}, within);
    plan.profile.may_be_refused = true;
    plan.profile.body_bytes.clear();
    // A stray SYN may get the place that its sender waits for.
    plan.profile.junk_segments = 0;
    for (std::uint64_t& bytes : plan.profile.answer_bytes)
      bytes = std::min<std::uint64_t>(bytes, draw.between(1, 40'000));
    plan.profile.think = std::min<Duration>(plan.profile.think, milliseconds(500));
    // Positions that may lie behind the end now.
    const std::uint64_t bytes = plan.profile.expected_bytes();
    if (plan.profile.hold)
      plan.profile.hold->after_bytes = std::min(plan.profile.hold->after_bytes, bytes);
    for (auto* after : {&plan.profile.reneges_after_bytes, &plan.profile.reset_after_bytes,
                        &plan.profile.vanish_after_bytes})
      if (*after) *after = std::min(**after, bytes);
  }
}

void draw_strain(Draw& draw, Scenario& scenario) {
  if (draw.one_in(80)) draw_crowd(draw, scenario);
  if (draw.one_in(40)) {
    Duration from{};
    for (std::uint64_t left = draw.between(1, 2); left > 0; --left) {
      from += draw.time(Duration{}, milliseconds(3000));
      const Duration length = draw.time(milliseconds(1000), milliseconds(20'000));
      scenario.options.stalls.push_back(
          {from, length, draw.one_in(2), draw.one_of<std::size_t>({0, 10, 256})});
      from += length;
    }
  }
  ServerStrain& strain = scenario.strain;
  if (draw.one_in(2)) {
    strain.body_bytes_at_once = draw.one_of<std::size_t>({500, 4000, 30'000, 100'000});
    // 1 MiB takes at most some 20 s.
    strain.body_pause = draw.time(microseconds(100), microseconds(20 * strain.body_bytes_at_once));
  }
}

std::string summary_of(std::size_t index, const ClientPlan& plan) {
  const ClientProfile& profile = plan.profile;
  char line[500];
  std::snprintf(
      line, sizeof line,
      "client %zu: v%d %llu bytes in %zu, %.0f kbit/s, %.1f+%.1f ms, loss %.3f/%.3f burst %.4f, "
      "mss %d wscale %d%s%s%s, window %zu%s%s%s%s%s%s%s%s%s%s%s%s\n",
      index, plan.is_v6 ? 6 : 4, static_cast<unsigned long long>(profile.expected_bytes()),
      profile.answer_bytes.size(), static_cast<double>(plan.to_client.bits_per_second) / 1e3,
      static_cast<double>(plan.to_server.delay.count()) / 1e6,
      static_cast<double>(plan.to_client.delay.count()) / 1e6, plan.to_server.loss,
      plan.to_client.loss, plan.to_client.burst_begins,
      profile.maximum_segment_bytes ? *profile.maximum_segment_bytes : -1,
      profile.window_scale ? *profile.window_scale : -1, profile.sack ? " sack" : "",
      profile.timestamps ? " timestamps" : "", profile.ecn ? " ecn" : "",
      profile.receive_buffer_bytes,
      profile.hold ? profile.hold->shrinks ? " shrinks" : " holds" : "",
      profile.reneges_after_bytes ? " reneges" : "", profile.junk_segments > 0 ? " junk" : "",
      profile.reset_after_bytes    ? " resets"
      : profile.vanish_after_bytes ? " vanishes"
                                   : "",
      plan.to_client.mtu < 1500 || !plan.to_client.mtu_changes.empty()
          ? plan.to_client.too_long == TooLong::dropped ? " black-hole" : " small-mtu"
          : "",
      plan.to_client.blackouts.empty() && plan.to_server.blackouts.empty() ? "" : " blackout",
      plan.successor_of ? " successor" : "",
      plan.to_client.aggregation.count() + plan.to_server.aggregation.count() > 0 ? " aggregates"
                                                                                  : "",
      plan.to_client.bleaches_ecn || plan.to_server.bleaches_ecn ? " bleaches" : "",
      !profile.pipelined && profile.think > std::chrono::seconds(3) ? " idles" : "",
      profile.body_bytes.empty() ? "" : " uploads",
      plan.to_server.middlebox.does_anything() || plan.to_client.middlebox.does_anything()
          ? " middlebox"
          : "");
  return line;
}

}  // namespace

Scenario make_scenario(std::uint64_t seed, double patience, bool with_strain) {
  Draw draw(seed);
  Draw more(seed ^ 0xa0761d6478bd642f);
  Draw late(seed ^ 0xe7037ed1a0b428db);
  Scenario scenario;
  WorldOptions& options = scenario.options;
  options.seed = draw.between(0, UINT64_MAX - 1);
  options.server_turn =
      draw.one_of<Duration>({microseconds(1), microseconds(50), microseconds(500)});
  options.drain = std::chrono::seconds(3);
  const std::uint64_t count = draw.one_in(2) ? draw.between(1, 3) : draw.between(1, 12);
  for (std::uint64_t index = 0; index < count; ++index) {
    ClientPlan plan;
    plan.is_v6 = draw.one_in(3);
    plan.starts_after = draw.time(Duration{}, milliseconds(200));
    const bool is_clean = draw.one_in(2);
    plan.to_client = draw_link(draw, is_clean);
    plan.to_server = draw_link(draw, is_clean);
    // The way there carries little; a slow one would only throttle acknowledgments.
    if (draw.most_of(4)) plan.to_server.bits_per_second = 0;
    draw_offer(draw, plan.profile);
    draw_receiving(draw, plan.profile);
    draw_exchange(draw, plan);
    draw_sending(draw, plan);
    draw_misbehaviour(draw, plan.profile);
    draw_trouble(draw, plan);
    draw_more(more, plan);
    if (late.one_in(25)) draw_middlebox(late, plan);
    if (late.one_in(30)) draw_bodies(late, plan);
    options.clients.push_back(std::move(plan));
  }
  if (count > 1 && draw.one_in(8)) {
    ClientPlan& last = options.clients.back();
    const ClientPlan& before = options.clients[count - 2];
    last.successor_of = count - 2;
    last.starts_after = draw.time(Duration{}, milliseconds(3000));
    last.is_v6 = before.is_v6;
    last.to_client = before.to_client;
    last.to_server = before.to_server;
    // A host does not change its mind about options from one connection to the next; RFC 6191
    // counts on its timestamps.
    last.profile.timestamps = before.profile.timestamps;
  }
  if (with_strain) draw_strain(late, scenario);
  Duration longest{};
  Duration before{};
  for (std::size_t index = 0; index < options.clients.size(); ++index) {
    ClientPlan& plan = options.clients[index];
    plan.ideal = ideal_time(plan);
    plan.limit = Duration(
        static_cast<std::int64_t>(patience * static_cast<double>(time_limit(plan).count())));
    plan.limit += allowed_for_strain(scenario, plan);
    // An earlier connection in the way is cleared by a challenge and a SYN sent again.
    if (plan.successor_of) plan.limit += std::chrono::seconds(10);
    const Duration end = plan.starts_after + plan.limit * (plan.profile.may_be_refused ? 2 : 1);
    longest = std::max(longest, plan.successor_of ? before + end : end);
    before = end;
    scenario.summary += summary_of(index, plan);
  }
  for (const Stall& stall : options.stalls) {
    char line[160];
    std::snprintf(line, sizeof line, "the server sleeps from %.3f s on for %.3f s, its clock %s\n",
                  static_cast<double>(stall.from.count()) / 1e9,
                  static_cast<double>(stall.length.count()) / 1e9,
                  stall.clock_stops ? "too" : "not");
    scenario.summary += line;
  }
  if (scenario.strain.is_scarce) scenario.summary += "the server has few places\n";
  options.time_limit = longest + options.drain + std::chrono::seconds(1);
  return scenario;
}

}  // namespace nearfield::sim::tcp
