// What happens to a packet on the way; see link.h.
#include "tests/sim/tcp/link.h"

#include <algorithm>
#include <utility>

namespace nearfield::sim::tcp {

Link::Link(const LinkOptions& options, std::uint64_t seed, MonotonicTime start, EventQueue& events,
           Ends ends)
    : options_(options),
      random_(seed),
      start_(start),
      events_(events),
      ends_(std::move(ends)),
      wire_free_at_(start),
      last_arrival_(start) {}

bool Link::chance(double probability) {
  // No draw for what is switched off: switching one thing on leaves the others' luck alone.
  if (probability <= 0) return false;
  return static_cast<double>(random_.next() >> 11) * 0x1.0p-53 < probability;
}

std::size_t Link::mtu_at(MonotonicTime now) const {
  std::size_t mtu = options_.mtu;
  for (const auto& change : options_.mtu_changes)
    if (now - start_ >= change.at) mtu = change.mtu;
  return mtu;
}

void Link::drop(std::span<const std::byte> packet, Drop why, std::uint64_t& counter,
                MonotonicTime now) {
  ++counter;
  if (ends_.dropped) ends_.dropped(packet, why, now);
}

void Link::damage(Bytes& packet) {
  ++counters_.corrupted;
  if (random_.between(0, 7) == 0) {
    packet.resize(random_.between(1, packet.size() - 1));
    return;
  }
  const bool is_v6 = std::to_integer<int>(packet[0]) >> 4 == 6;
  const std::size_t first_word = is_v6 ? 4 : 0;
  const std::size_t words = packet.size() / 2;
  const std::size_t at = 2 * random_.between(first_word, words - 1);
  const std::uint64_t flips = random_.between(0, 1) == 0
                                  ? std::uint64_t{1} << random_.between(0, 15)
                                  : random_.between(1, 0xfffe);
  packet[at] ^= static_cast<std::byte>(flips >> 8);
  packet[at + 1] ^= static_cast<std::byte>(flips & 0xff);
}

void Link::deliver_at(MonotonicTime at, Bytes packet) {
  events_.schedule(at, [this, packet = std::move(packet)](MonotonicTime now) mutable {
    ++counters_.delivered;
    ends_.deliver(std::move(packet), now);
  });
}

void Link::offer(Bytes packet, MonotonicTime now) {
  ++counters_.offered;
  for (const auto& blackout : options_.blackouts)
    if (now - start_ >= blackout.from && now - start_ < blackout.to)
      return drop(packet, Drop::blackout, counters_.blacked_out, now);

  pass_middlebox(options_.middlebox, now - start_, packet);
  const std::size_t mtu = mtu_at(now);
  // What may be fragmented is, and is put together again at the other end: it arrives whole.
  if (packet.size() > mtu && forbids_fragments(packet)) {
    drop(packet, Drop::too_long, counters_.too_long, now);
    if (options_.too_long == TooLong::answered && ends_.answer_too_big)
      ends_.answer_too_big(packet, mtu, now);
    return;
  }

  if (in_burst_)
    in_burst_ = !chance(options_.burst_ends) && now - burst_began_at_ < options_.burst_longest;
  else if ((in_burst_ = chance(options_.burst_begins)))
    burst_began_at_ = now;
  const bool lost_in_burst = in_burst_ && chance(options_.burst_loss);
  if (chance(options_.loss) || lost_in_burst) return drop(packet, Drop::loss, counters_.lost, now);

  MonotonicTime leaves = now;
  if (options_.bits_per_second > 0) {
    const auto per_second = options_.bits_per_second;
    const Duration waiting = std::max(Duration{}, wire_free_at_ - now);
    const auto queued = static_cast<std::size_t>(static_cast<double>(waiting.count()) *
                                                 static_cast<double>(per_second) / 8e9);
    if (queued + packet.size() > options_.queue_bytes && queued > 0)
      return drop(packet, Drop::overflow, counters_.overflowed, now);
    counters_.longest_queue_bytes = std::max(counters_.longest_queue_bytes, queued + packet.size());
    if (options_.ecn_threshold_bytes && queued > *options_.ecn_threshold_bytes &&
        mark_congestion(packet))
      ++counters_.marked;
    wire_free_at_ =
        std::max(now, wire_free_at_) + Duration(packet.size() * 8 * 1'000'000'000 / per_second);
    leaves = wire_free_at_;
  }

  const bool twice = chance(options_.duplication);
  if (twice) {
    ++counters_.duplicated;
    deliver_at(leaves + options_.delay + Duration(random_.between(0, 20'000'000)), packet);
  }
  if (options_.bleaches_ecn) bleach_congestion(packet);
  if (chance(options_.corruption)) damage(packet);
  Duration way = options_.delay;
  if (options_.jitter.count() > 0)
    way += Duration(random_.between(0, static_cast<std::uint64_t>(options_.jitter.count())));
  MonotonicTime arrives = leaves + way;
  if (chance(options_.reordering)) {
    ++counters_.held_back;
    arrives += options_.reordering_delay;
  } else if (!options_.jitter_reorders) {
    arrives = std::max(arrives, last_arrival_);
    last_arrival_ = arrives;
  }
  if (options_.aggregation.count() > 0) {
    const Duration past = (arrives - start_) % options_.aggregation;
    if (past.count() > 0) arrives += options_.aggregation - past;
  }
  deliver_at(arrives, std::move(packet));
}

}  // namespace nearfield::sim::tcp
