// TransmissionLog: what a connection has sent and its peer has not acknowledged, as ranges of the
// stream, each with the moment it was last sent and what is known of its fate. It is the scoreboard
// of RFC 6675, the per-segment data of RACK (RFC 8985 5.2) and the pipe count in one.
//
// Invariant: the ranges cover [first unacknowledged, next to send) without gap or overlap, in
// order; each is in exactly one state; and the three sums (in flight, lost, sacked) are those of
// the ranges. Ranges in flight are chained a second time in the order in which they were sent.
//
// The awkward part is memory. A burst sent at one moment is one range, however many segments it
// becomes; acknowledgments cut ranges, sacked neighbours join again. Ranges come from a pool that
// all connections of a worker share, of which every connection may always have its first
// kGuaranteed; beyond these a pool that ran dry makes append() refuse (send later) and a cut
// impossible, in which case a partial SACK is forgotten (it is advisory, RFC 2018 8) and a lost
// range is sent again whole. A peer that sacks every other byte finds a limit of its own
// (`most_ranges`).
//
// One thread. Time is a parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/net/tcp/sequence.h"

namespace nearfield::net::tcp {

struct Transmission {
  enum class State : std::uint8_t {
    in_flight,
    lost,   // to be sent again
    sacked  // the peer holds it, but may still forget it
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;

  StreamPosition begin = 0;
  StreamPosition end = 0;
  MonotonicTime sent_at{};     // for the last time
  std::uint32_t next = kNone;  // by position; also chains the pool's free ones
  std::uint32_t previous = kNone;
  std::uint32_t newer = kNone;  // by time, in flight only
  std::uint32_t older = kNone;
  State state = State::in_flight;
  bool retransmitted = false;  // at least once: its acknowledgment times nothing (Karn)

  std::uint64_t bytes() const { return end - begin; }
};

// Of one worker.
class TransmissionPool {
 public:
  static constexpr std::size_t kGuaranteed = 2;

  // `shared`: ranges beyond those that each of `connections` is guaranteed.
  TransmissionPool(std::size_t connections, std::size_t shared);

  std::size_t free_count() const { return free_count_; }
  // Better one large range than several small ones, whatever the pace: few are left.
  bool is_scarce() const { return free_count_ - promised_ <= all_.size() / 16; }
  std::uint64_t refusals() const { return refusals_; }

 private:
  friend class TransmissionLog;
  // `held`: what the asking log has.
  bool may_take(std::size_t held) const { return held < kGuaranteed || free_count_ > promised_; }
  std::uint32_t take(std::size_t held);
  void give(std::uint32_t index, std::size_t held_after);

  std::vector<Transmission> all_;
  std::uint32_t first_free_;
  std::size_t free_count_;
  std::size_t promised_;  // of the free ones, guaranteed to logs that do not have them yet
  std::uint64_t refusals_ = 0;
};

class TransmissionLog {
 public:
  static constexpr std::uint64_t kMaximumRangeBytes = 64 * 1024;
  static constexpr std::size_t kMaximumRanges = 2048;

  TransmissionLog() = default;
  TransmissionLog(const TransmissionLog&) = delete;
  TransmissionLog& operator=(const TransmissionLog&) = delete;

  // What one acknowledgment or SACK block newly told.
  struct Delivery {
    std::uint64_t bytes = 0;                // newly delivered
    std::uint64_t retransmitted_bytes = 0;  // of these, sent more than once
    // The one sent last among them (RFC 8985 6.2 step 2).
    bool any = false;
    MonotonicTime sent_at{};
    StreamPosition end = 0;
    bool retransmitted = false;
    // The one sent last among those sent once: a sample of the round trip.
    bool timed = false;
    MonotonicTime timed_sent_at{};
    StreamPosition timed_end = 0;
    // Some of it was not retransmitted and lies below what was known to be delivered before: the
    // path reorders (RFC 8985 6.2 step 3).
    bool reordered = false;
    StreamPosition highest_before = 0;
  };
  // For what one acknowledgment tells, its SACK blocks included.
  Delivery begin_delivery() const { return {.highest_before = highest_sacked_}; }

  // [begin, end), which follows what was sent before, goes out now; at most kMaximumRangeBytes.
  // False: no memory for it now, and nothing changed.
  bool append(TransmissionPool& pool, StreamPosition begin, StreamPosition end, MonotonicTime now);
  // Whether append() has the memory.
  bool may_append(const TransmissionPool& pool) const {
    return count_ < kMaximumRanges && pool.may_take(count_);
  }
  // Everything before `position` has arrived.
  void acknowledge(TransmissionPool& pool, StreamPosition position, Delivery* delivery);
  // [begin, end) has arrived out of order. With `most_ranges` there already, ranges are not cut for
  // it any more, so that only whole ones count.
  void sack(TransmissionPool& pool, StreamPosition begin, StreamPosition end, Delivery* delivery,
            std::size_t most_ranges = kMaximumRanges);
  // The peer may have forgotten what it held: after a time-out its SACKs are not to be relied on
  // (RFC 2018 5). Sacked ranges become lost.
  void forget_sacks();

  struct Range {
    StreamPosition begin = 0;
    StreamPosition end = 0;
    std::uint64_t bytes() const { return end - begin; }
  };
  // The first lost range, cut to `at_most` bytes where there is memory for that, else whole.
  std::optional<Range> next_lost(TransmissionPool& pool, std::uint64_t at_most);
  // The range that next_lost() gave went out.
  void on_lost_resent(MonotonicTime now);
  // The last `at_most` bytes of the last range that the peer is not known to hold, for a loss probe
  // (RFC 8985 7.3).
  std::optional<Range> last_unsacked(std::uint64_t at_most) const;
  // [begin, end) within one range that is not sacked went out again, as a probe.
  void on_probed(TransmissionPool& pool, Range range, MonotonicTime now);

  // --- loss ---
  // What of [begin, end) is in flight.
  void mark_lost(TransmissionPool& pool, StreamPosition begin, StreamPosition end);
  void mark_all_lost();  // whatever is in flight
  void unmark_lost();    // a false alarm: lost becomes in flight again, as if never marked
  // Visits ranges in flight, the one sent longest ago first; `judge(transmission)` says what to do.
  enum class Verdict { keep, lose, stop };
  template <typename Judge>
  void judge_oldest_first(Judge&& judge) {
    for (std::uint32_t index = oldest_; index != Transmission::kNone;) {
      const std::uint32_t newer = at(index).newer;
      const Verdict verdict = judge(static_cast<const Transmission&>(at(index)));
      if (verdict == Verdict::stop) return;
      if (verdict == Verdict::lose) set_state(index, Transmission::State::lost);
      index = newer;
    }
  }

  // --- sums ---
  bool empty() const { return first_ == Transmission::kNone; }
  std::size_t count() const { return count_; }
  std::uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  std::uint64_t lost_bytes() const { return lost_bytes_; }
  std::uint64_t sacked_bytes() const { return sacked_bytes_; }
  StreamPosition highest_sacked() const { return highest_sacked_; }  // one behind; 0: none
  std::optional<MonotonicTime> oldest_sent_at() const;               // of what is in flight
  const Transmission* front() const { return empty() ? nullptr : &at(first_); }

  void clear(TransmissionPool& pool);
  // Aborts when an invariant does not hold; for tests.
  void check() const;

 private:
  Transmission& at(std::uint32_t index) { return (*all_)[index]; }
  const Transmission& at(std::uint32_t index) const { return (*all_)[index]; }
  std::uint64_t& sum_of(Transmission::State state);
  // `near`: where in the chain by time to look first; none: at its end.
  void set_state(std::uint32_t index, Transmission::State state,
                 std::uint32_t near = Transmission::kNone);
  void chain_time(std::uint32_t index, std::uint32_t near);
  void unchain_time(std::uint32_t index);
  bool cut(TransmissionPool& pool, std::uint32_t index, StreamPosition position,
           std::size_t most_ranges = kMaximumRanges);
  void remove(TransmissionPool& pool, std::uint32_t index);
  void join_sacked(TransmissionPool& pool, std::uint32_t index);
  void deliver(const Transmission& range, StreamPosition end, Delivery* delivery) const;
  void resend(std::uint32_t index, MonotonicTime now);
  std::uint32_t first_lost();

  std::vector<Transmission>* all_ = nullptr;  // the pool's; set by the first append()
  std::uint32_t first_ = Transmission::kNone;
  std::uint32_t last_ = Transmission::kNone;
  std::uint32_t oldest_ = Transmission::kNone;
  std::uint32_t newest_ = Transmission::kNone;
  std::uint32_t count_ = 0;
  // No range before this one is lost; none: start at the first.
  std::uint32_t lost_hint_ = Transmission::kNone;
  std::uint64_t in_flight_bytes_ = 0;
  std::uint64_t lost_bytes_ = 0;
  std::uint64_t sacked_bytes_ = 0;
  StreamPosition highest_sacked_ = 0;
};

}  // namespace nearfield::net::tcp
