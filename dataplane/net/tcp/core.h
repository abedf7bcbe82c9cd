// Core: what the connections of one worker share: memory, time, the way out, and the list of those
// that have something to do. Made by the stack; internal to this folder.
//
// Invariant: a connection is in the ready list at most once, and everything that must happen later
// (a callback's consequence, an acknowledgment owed, room in the device) is a mark in the
// connection plus its place in that list, so that handlers are never called from within their own
// calls.
#pragma once

#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "dataplane/net/tcp/challenge_limit.h"
#include "dataplane/net/tcp/counters.h"
#include "dataplane/net/tcp/output.h"
#include "dataplane/net/tcp/path_mtu.h"
#include "dataplane/net/tcp/reassembly.h"
#include "dataplane/net/tcp/stack_options.h"
#include "dataplane/net/tcp/transmission_log.h"
#include "dataplane/net/timer_wheel.h"

namespace nearfield::net::tcp {

class Connection;

struct Core {
  Core(const StackOptions& with, Output& to, MonotonicTime start);

  void mark_ready(Connection& connection);
  void mark_ready_first(Connection& connection);  // it was its turn, but the device was full
  Connection* take_ready();
  // Hands a segment to the output; null when it has no room now, which is counted.
  std::optional<Ticket> transmit(const OutgoingSegment& segment);
  // From the connection: its flow is free for another one from now on; with what TIME-WAIT is to
  // remember.
  void on_flow_ended(Connection& connection, bool time_wait);
  // And it has told its handler and holds nothing any more.
  void on_slot_free(Connection& connection);

  const StackOptions options;
  Output& output;
  MonotonicTime now;
  TimerWheel wheel;
  TransmissionPool transmissions;
  ReceivePool receives;
  PathMtuCache path_mtus;
  ChallengeAckLimit challenges;
  Counters counters;
  class Stack* stack = nullptr;

  Connection* first_ready = nullptr;
  Connection* last_ready = nullptr;
};

}  // namespace nearfield::net::tcp
