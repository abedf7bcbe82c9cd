// InitialSequence: where our half of a connection begins to count (RFC 6528), and by how much its
// timestamps are off the clock (RFC 7323 5.4).
//
// Invariant: for one flow the numbers grow with the clock, one in 4 microseconds, so that a flow
// soon used again begins beyond where it was (unless it sent faster than 250 kB/s, which
// time_wait.h mends); between flows they are unrelated to whoever lacks the key, so that a
// stranger's own connections tell nothing about another's. Values, no state; any thread.
#pragma once

#include <cstdint>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/tcp/output.h"
#include "dataplane/net/tcp/sequence.h"

namespace nearfield::net::tcp {

class InitialSequence {
 public:
  explicit InitialSequence(const SipHashKey& secret);

  SequenceNumber make(const Flow& flow, MonotonicTime now) const;
  // What is added to timestamp_now() in each TSval of the flow, the same for each use of the flow:
  // a reader of timestamps learns neither how long this node has been up nor which connections are
  // of one node, and TIME-WAIT reuse (RFC 6191) still sees them grow.
  std::uint32_t timestamp_offset(const Flow& flow) const;

 private:
  SipHashKey key_;
};

// The timestamp clock: 1 ms, the fastest RFC 7323 5.4 allows, so that a round trip inside a city
// still counts. Wraps in 49.7 days.
std::uint32_t timestamp_now(MonotonicTime now);

}  // namespace nearfield::net::tcp
