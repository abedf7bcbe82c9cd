// Link: one direction of a path between a client and the server, replayed from a seed. A packet
// offered to it is lost, or waits in the queue of a bottleneck, takes its time and arrives: whole,
// twice, damaged or after its successors. Deliveries are events in the world's queue; a link knows
// no clock.
//
// Damage is always such as the checksums must find: one 16-bit word changed (not to the other zero
// of ones' complement arithmetic), or the packet cut short. The parts of an IPv6 header that no
// checksum covers are left alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "cache/base/clock.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/tcp/event_queue.h"
#include "tests/sim/tcp/middlebox.h"
#include "tests/sim/tcp/packet.h"

namespace nearfield::sim::tcp {

enum class TooLong { answered, dropped };  // ICMP packet-too-big, or silence: a black hole

// Probabilities are 0 to 1, for each packet. Times of changes count from the link's start.
struct LinkOptions {
  std::uint64_t bits_per_second = 0;  // 0: unlimited; there is no queue then
  std::size_t queue_bytes = 256 * 1024;
  std::optional<std::size_t> ecn_threshold_bytes;  // ECN-capable packets are marked above
  Duration delay = std::chrono::milliseconds(10);
  Duration jitter{};             // uniformly 0 to this, added
  bool jitter_reorders = false;  // else a packet never overtakes
  double loss = 0;
  // Gilbert-Elliott: bursts of loss. A packet enters or leaves the bad state first, then is lost
  // there with `burst_loss`.
  double burst_begins = 0;
  double burst_ends = 1;
  double burst_loss = 1;
  // A burst is over after this, however few packets came: or else it would outlast any number of
  // retransmissions with doubling time-outs.
  Duration burst_longest = std::chrono::milliseconds(300);
  double duplication = 0;
  double corruption = 0;
  double reordering = 0;  // such packets take reordering_delay longer and may be overtaken
  Duration reordering_delay = std::chrono::milliseconds(5);
  // Packets arrive together at multiples of this, as a radio that waits for its turn sends them; 0:
  // each by itself.
  Duration aggregation{};
  bool bleaches_ecn = false;  // what left ECN-capable arrives as not capable
  MiddleboxOptions middlebox;
  std::size_t mtu = 1500;
  TooLong too_long = TooLong::answered;
  struct MtuChange {
    Duration at;
    std::size_t mtu;
  };
  std::vector<MtuChange> mtu_changes;  // in order of time
  struct Blackout {
    Duration from;
    Duration to;
  };
  std::vector<Blackout> blackouts;
};

struct LinkCounters {
  std::uint64_t offered = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;  // at random, in bursts
  std::uint64_t blacked_out = 0;
  std::uint64_t overflowed = 0;  // the queue was full
  std::uint64_t too_long = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t held_back = 0;  // reordered on purpose
  std::uint64_t marked = 0;     // ECN
  std::size_t longest_queue_bytes = 0;
};

class Link {
 public:
  enum class Drop { loss, blackout, overflow, too_long };
  struct Ends {
    std::function<void(Bytes packet, MonotonicTime now)> deliver;
    // May be empty.
    std::function<void(std::span<const std::byte> packet, std::size_t mtu, MonotonicTime now)>
        answer_too_big;
    std::function<void(std::span<const std::byte> packet, Drop why, MonotonicTime now)> dropped;
  };

  // `events` outlives the link; the link outlives its events.
  Link(const LinkOptions& options, std::uint64_t seed, MonotonicTime start, EventQueue& events,
       Ends ends);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void offer(Bytes packet, MonotonicTime now);
  std::size_t mtu_at(MonotonicTime now) const;
  const LinkCounters& counters() const { return counters_; }

 private:
  bool chance(double probability);
  void drop(std::span<const std::byte> packet, Drop why, std::uint64_t& counter, MonotonicTime now);
  void damage(Bytes& packet);
  void deliver_at(MonotonicTime at, Bytes packet);

  const LinkOptions options_;
  Random random_;
  const MonotonicTime start_;
  EventQueue& events_;
  Ends ends_;
  LinkCounters counters_;
  bool in_burst_ = false;
  MonotonicTime burst_began_at_;
  MonotonicTime wire_free_at_;
  MonotonicTime last_arrival_;
};

}  // namespace nearfield::sim::tcp
