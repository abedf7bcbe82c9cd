// Output: what a TCP stack needs below it: somebody who makes packets of segments.
//
// A segment names its payload, it does not carry it: a range of a send plan, which the one below
// peeks, chains or copies as its device can. A segment may be longer than the path takes; whoever
// makes packets cuts it into pieces of `piece_bytes` (TSO, or in software), counting the sequence
// number on, with PSH and FIN on the last piece and CWR on the first only (RFC 3168 6.1.2).
//
// Invariant: plan bytes named by an accepted segment stay as they are and where they are until its
// ticket is completed, even when they are acknowledged before: a device may still be reading them.
// Bytes that a source makes are made anew each time they are asked for, in the staging, which keeps
// them as long.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/net/endpoint.h"
#include "dataplane/net/send_plan.h"
#include "dataplane/net/staging.h"
#include "dataplane/net/tcp/segment.h"

namespace nearfield::net::tcp {

// Tickets only grow. Completing one completes all before it.
using Ticket = std::uint64_t;

// A connection's two ends, as this node sees them.
struct Flow {
  Endpoint local;
  Endpoint peer;

  friend bool operator==(const Flow&, const Flow&) = default;
};

struct OutgoingSegment {
  const Flow* flow = nullptr;
  Header header;
  const SendPlan* plan = nullptr;  // null: no payload
  std::uint64_t plan_offset = 0;   // from the plan's first unreleased byte
  std::uint32_t payload_bytes = 0;
  std::uint16_t piece_bytes = 0;  // payload of one packet at most; not 0 when there is payload
  bool ecn_capable = false;       // ECT(0) in the IP header (RFC 3168 5)
  bool may_fragment = false;      // clear DF: the path is smaller than we can do (RFC 1191 6.5)
};

class Output {
 public:
  // Takes the segment whole or, when there is no room now, not at all. Nothing of the segment but
  // the plan's bytes is referred to later. Never calls back.
  virtual std::optional<Ticket> transmit(const OutgoingSegment& segment) = 0;
  // The ticket up to which no device refers to a plan's bytes any more.
  virtual Ticket completed() = 0;
  // Where sources of plans make their bytes; null: plans with sources cannot be sent.
  virtual Staging* staging() { return nullptr; }

 protected:
  ~Output() = default;
};

}  // namespace nearfield::net::tcp
