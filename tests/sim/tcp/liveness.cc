// How long a client may take; see scenario.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/sim/tcp/scenario.h"

namespace nearfield::sim::tcp {
namespace {

double seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }
Duration duration(double time) { return Duration(static_cast<std::int64_t>(time * 1e9)); }

double way(const LinkOptions& link) {
  const double packet =
      link.bits_per_second > 0 ? 12e3 / static_cast<double>(link.bits_per_second) : 0;
  return seconds(link.delay) + seconds(link.jitter) + seconds(link.aggregation) + packet;
}
double round_trip(const ClientPlan& plan) { return way(plan.to_server) + way(plan.to_client); }

std::size_t smallest_mtu(const LinkOptions& link) {
  std::size_t mtu = link.mtu;
  for (const auto& change : link.mtu_changes) mtu = std::min(mtu, change.mtu);
  return mtu;
}

double segment_bytes(const ClientPlan& plan) {
  const MiddleboxOptions& box = plan.to_server.middlebox;
  std::size_t told = plan.profile.maximum_segment_bytes.value_or(plan.is_v6 ? 1220 : 536);
  if (box.strips_segment_size) told = std::min<std::size_t>(told, plan.is_v6 ? 1220 : 536);
  told = std::min<std::size_t>(told, box.clamps_segment_size.value_or(UINT16_MAX));
  const std::size_t fits = smallest_mtu(plan.to_client) - (plan.is_v6 ? 60 : 40);
  const std::size_t options = plan.profile.timestamps ? 12 : 0;
  return static_cast<double>(std::max<std::size_t>(std::min(told, fits), options + 36) - options);
}

double window_bytes(const ClientPlan& plan) {
  const auto buffer = static_cast<double>(plan.profile.receive_buffer_bytes);
  if (!plan.profile.window_scale) return std::min(buffer, 65535.0);
  const bool scales = !plan.to_client.middlebox.strips_window_scale &&
                      !plan.to_server.middlebox.strips_window_scale;
  return scales ? buffer : std::min(buffer, 65535.0);
}

double loss_rate(const LinkOptions& link) {
  const double bad =
      link.burst_begins > 0
          ? link.burst_begins / (link.burst_begins + link.burst_ends) * link.burst_loss
          : 0;
  return std::min(0.9, link.loss + bad + link.corruption);
}

// When a window of so many bytes is acknowledged: late if it holds fewer segments than the client
// waits for.
double acknowledged_after(const ClientPlan& plan, double window) {
  const bool is_late = window < plan.profile.acknowledge_every * segment_bytes(plan);
  return round_trip(plan) + (is_late ? seconds(plan.profile.acknowledge_delay) : 0);
}

// What leaves at once beyond this is dropped or marked by the queue; a sender that does not pace
// itself swings between 0.7 of it and all of it, however fast the link is.
double burst_bytes(const ClientPlan& plan) {
  const LinkOptions& link = plan.to_client;
  if (link.bits_per_second == 0) return std::numeric_limits<double>::infinity();
  const bool marks = plan.profile.ecn && link.ecn_threshold_bytes;
  return static_cast<double>(marks ? *link.ecn_threshold_bytes : link.queue_bytes);
}

double transfer_time(const ClientPlan& plan, double bytes) {
  const double segment = segment_bytes(plan);
  const double trip = round_trip(plan);
  double time = trip * std::ceil(std::log2(1 + bytes / (10 * segment)));
  if (plan.to_client.bits_per_second > 0) {
    const double with_headers = bytes * (segment + 92) / segment;
    time += with_headers * 8 / static_cast<double>(plan.to_client.bits_per_second);
  }
  const double window = window_bytes(plan);
  time += bytes / window * trip;
  if (plan.profile.read_bytes_per_second > 0)
    time += bytes / static_cast<double>(plan.profile.read_bytes_per_second);
  return time;
}

double allowed_for_links(const ClientPlan& plan) {
  double time = 0;
  for (const LinkOptions* link : {&plan.to_server, &plan.to_client}) {
    for (const auto& blackout : link->blackouts)
      time += 3 * seconds(blackout.to - blackout.from) + 4;
    if (!link->mtu_changes.empty() || link->mtu < 1500)
      time += link->too_long == TooLong::dropped ? 90 : 10;
  }
  return time;
}

// The client's own sending is plain: NewReno without SACK, no probing of a lost tail.
double upload_time(const ClientPlan& plan) {
  const ClientProfile& profile = plan.profile;
  const auto bytes =
      static_cast<double>(profile.request_bytes() - profile.answer_bytes.size() * kRequestBytes);
  if (bytes == 0) return 0;
  const LinkOptions& link = plan.to_server;
  const double piece = static_cast<double>(profile.largest_body_piece_bytes) * 0.75;
  const double pieces = bytes / piece;
  const double swing = std::min(
      30'000.0, link.bits_per_second > 0 ? static_cast<double>(link.queue_bytes) : 30'000.0);
  double time = 2 * bytes / swing * round_trip(plan) + 10 * round_trip(plan);
  if (link.bits_per_second > 0)
    time += 3 * bytes * (piece + 80) / piece * 8 / static_cast<double>(link.bits_per_second);
  // Acknowledgments share the way of the answers, and wait in its queue.
  if (plan.to_client.bits_per_second > 0)
    time += bytes / swing * static_cast<double>(plan.to_client.queue_bytes) * 8 /
            static_cast<double>(plan.to_client.bits_per_second);
  const double disorder =
      std::max(link.reordering, link.duplication) + (link.jitter_reorders ? 0.1 : 0);
  const double lost = loss_rate(link) + loss_rate(plan.to_client) / 4 + disorder / 4;
  // Half of the losses wait for the timer, some twice; a queue that overflows costs the same.
  time += (pieces * lost + 4 + bytes / 100e3) * 2 *
          (2 * seconds(profile.retransmit_time) + round_trip(plan));
  return time;
}

}  // namespace

Duration allowed_for_strain(const Scenario& scenario, const ClientPlan& plan) {
  double time = 0;
  // Back-off doubles what the sleep took, on both sides.
  for (const Stall& stall : scenario.options.stalls) time += 4 * seconds(stall.length) + 20;
  if (scenario.strain.is_scarce) time += 100;
  const std::uint64_t bodies =
      plan.profile.request_bytes() - plan.profile.answer_bytes.size() * kRequestBytes;
  if (scenario.strain.body_bytes_at_once > 0 && bodies > 0) {
    const double pauses =
        static_cast<double>(bodies) /
        static_cast<double>(std::min<std::size_t>(scenario.strain.body_bytes_at_once, 30'000));
    // A window that opens is told once; when that is lost, the client's timer asks, up to 8 s late.
    time += pauses * 2 * seconds(scenario.strain.body_pause) + 20 +
            pauses * (loss_rate(plan.to_client) + loss_rate(plan.to_server)) * 8;
  }
  return duration(time);
}

Duration ideal_time(const ClientPlan& plan) {
  const ClientProfile& profile = plan.profile;
  const double trip = round_trip(plan);
  double time = 2 * trip;  // SYN, and the last FIN
  if (profile.pipelined) {
    time += trip + transfer_time(plan, static_cast<double>(profile.expected_bytes()));
  } else {
    for (const std::uint64_t bytes : profile.answer_bytes)
      time += trip + transfer_time(plan, static_cast<double>(bytes)) + seconds(profile.think);
  }
  const double pieces =
      static_cast<double>(profile.answer_bytes.size() * kRequestBytes) * 2 /
      static_cast<double>(profile.smallest_split_bytes + profile.largest_split_bytes);
  time += std::floor(pieces) * seconds(profile.split_pause);
  // A hold delays only what did not fit the window any more.
  if (profile.hold) {
    const auto left = static_cast<double>(profile.expected_bytes() - profile.hold->after_bytes);
    if (left > window_bytes(plan)) time += seconds(profile.hold->time);
  }
  return duration(time);
}

Duration time_limit(const ClientPlan& plan) {
  const ClientProfile& profile = plan.profile;
  const double segment = std::min(segment_bytes(plan), window_bytes(plan));
  const double bytes = static_cast<double>(profile.expected_bytes());
  const double loss = loss_rate(plan.to_client);
  const double loss_back = loss_rate(plan.to_server);
  double time = kLivenessFactor * seconds(ideal_time(plan)) + 5;
  // Reordering looks like loss to a sender until it has learned its extent.
  const double disorder = std::max(plan.to_client.reordering, plan.to_client.duplication) +
                          (plan.to_client.jitter_reorders ? 0.05 : 0);
  const double effective = loss + disorder / 4;
  if (effective > 0) {
    const double carried = segment * 1.22 / std::sqrt(effective);
    time += bytes / carried * std::max(acknowledged_after(plan, carried), 0.001);
  }
  const double swings_about = std::max(0.8 * burst_bytes(plan), segment);
  time += bytes / swings_about * acknowledged_after(plan, swings_about);
  if (loss > 0 || loss_back > 0) {
    const double segments =
        bytes / segment + 6 + 3 * static_cast<double>(profile.answer_bytes.size());
    // A loss with nothing behind it, or of a retransmission, waits for a time-out of up to a
    // second; with a window of few segments that is every loss, else perhaps one in ten.
    const bool is_narrow = window_bytes(plan) < 5 * segment_bytes(plan);
    time += segments * (loss + (is_narrow ? loss_back : 0)) * (is_narrow ? 2.0 : 0.3);
    // Handshake and farewell, both with doubling time-outs: 1 + 2 + 4 + 8.
    time += 30 + 100 * std::max(loss, loss_back);
    if (plan.to_client.burst_begins > 0 || plan.to_server.burst_begins > 0) time += 30;
  }
  // Below two segments every window is acknowledged by itself, perhaps late; and a sender may wait
  // for more window first (RFC 9293 3.8.6.2.1: 0.1 to 1 s).
  const double window = window_bytes(plan);
  const double late = seconds(profile.acknowledge_delay);
  time += bytes / window * (window < 2 * segment_bytes(plan) ? 1 + 4 * late : late);
  if (profile.acknowledge_every > 2)
    time += 4 * late * std::ceil(std::log2(2 + bytes / (10 * segment)));
  // The client's own simple timer, and pieces as small as they come.
  const auto pieces = static_cast<double>(profile.answer_bytes.size() * kRequestBytes /
                                          std::max<std::size_t>(1, profile.smallest_split_bytes));
  time += (4 + 3 * loss_back * pieces) * seconds(profile.retransmit_time);
  time += pieces * 2 * seconds(profile.split_pause);
  if (profile.hold) time += 7 * seconds(profile.hold->time) + 4;
  if (profile.reneges_after_bytes) time += 10;
  time += upload_time(plan);
  // Windows that the two ends read differently.
  if (plan.to_client.middlebox.strips_window_scale) time += 60 + 0.0003 * bytes;
  if (plan.to_client.bits_per_second > 0) {  // a full queue delays like a longer path
    time += 8 * static_cast<double>(plan.to_client.queue_bytes) * 8 /
            static_cast<double>(plan.to_client.bits_per_second);
  }
  return duration(time + allowed_for_links(plan));
}

}  // namespace nearfield::sim::tcp
