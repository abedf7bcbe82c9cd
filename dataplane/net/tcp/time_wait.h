// TimeWaitTable: connections that this side closed first and whose peer may not know it yet
// (TIME-WAIT, RFC 9293 3.3.2 and 3.6.1), each in a small record instead of a whole connection.
//
// Invariant: a flow is there at most once; entries leave in the order of their last insert() or
// restart(), after `duration`. When the table is full the oldest leaves early, counted: then an old
// duplicate of that flow meets no record, which a node of many short connections prefers to
// refusing new ones. What the owner must not do: a reset does not end TIME-WAIT (RFC 1337 section
// 3, the fix of all three hazards); an acknowledgment out of the window is answered, the peer's FIN
// again restarts the wait (RFC 9293 3.10.7.4). Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/tcp/keyed_slots.h"
#include "dataplane/net/tcp/output.h"
#include "dataplane/net/tcp/segment.h"

namespace nearfield::net::tcp {

class TimeWaitTable {
 public:
  struct Entry {
    Flow flow;
    SequenceNumber send_next;            // behind our FIN
    SequenceNumber receive_next;         // behind the peer's FIN
    std::uint32_t recent_timestamp = 0;  // TS.Recent (RFC 7323 4.3), to echo and for PAWS
    std::uint32_t timestamp_offset = 0;
    std::uint16_t window = 0;  // what we last offered, as on the wire
    std::uint8_t window_shift = 0;
    bool timestamps = false;
  };

  // 1 to 2^30 entries. `duration`: twice the maximum segment lifetime (RFC 9293 3.4.2 has four
  // minutes; 60 seconds is what the systems of today use).
  TimeWaitTable(std::size_t capacity, const SipHashKey& secret, Duration duration);

  // Replaces an entry of the same flow. Pointers to the entry that leaves for it are dead.
  void insert(const Entry& entry, MonotonicTime now);
  Entry* find(const Flow& flow);
  // The wait begins again.
  void restart(Entry& entry, MonotonicTime now);
  void erase(Entry& entry);

  // Removes what has waited long enough, at most `budget` entries; returns how many.
  std::size_t advance(MonotonicTime now, std::size_t budget);
  std::optional<MonotonicTime> next_deadline() const;

  std::size_t size() const { return slots_.size(); }
  std::size_t capacity() const { return slots_.capacity(); }
  // Entries that left early because the table was full.
  std::uint64_t evictions() const { return evictions_; }

 private:
  struct Slot : Entry, SlotLinks {
    MonotonicTime deadline{};
  };

  SipHashKey key_;
  Duration duration_;
  KeyedSlots<Slot> slots_;
  SlotQueue queue_;
  std::uint64_t evictions_ = 0;
};

// Whether `syn` may begin a new connection on the flow (RFC 6191 section 2): when it cannot be an
// old duplicate, as its timestamp is newer than the last one seen, or, where timestamps do not
// tell, its sequence number is beyond all that was received. What may not is an ordinary segment
// out of the window: acknowledge it. False for anything but a bare SYN.
bool may_reuse(const TimeWaitTable::Entry& entry, const Header& syn);

// Our initial sequence number for that new connection: `usual` (of InitialSequence) unless it is
// not well beyond all that the last connection sent (RFC 1122 4.2.2.13): at 250 kB/s the clock is
// slower than most connections.
SequenceNumber initial_for_reuse(const TimeWaitTable::Entry& entry, SequenceNumber usual);

}  // namespace nearfield::net::tcp
