#include "dataplane/net/tcp/core.h"

#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/flow_hash.h"

namespace nearfield::net::tcp {

namespace {

// Fine enough to pace 1500-byte packets at 150 Mbit/s one by one; faster flows leave in bursts of
// about a millisecond anyway (Pacer::quantum).
constexpr Duration kTick = std::chrono::microseconds(64);

}  // namespace

Core::Core(const StackOptions& with, Output& to, MonotonicTime start)
    : options(with),
      output(to),
      now(start),
      wheel(start, kTick),
      transmissions(with.maximum_connections, with.shared_transmissions),
      receives(with.receive_chunks),
      path_mtus(with.remembered_path_mtus, derive_key(with.secret, "path mtu")),
      challenges(with.challenges_per_second, derive_key(with.secret, "challenges")) {}

void Core::mark_ready(Connection& connection) {
  if (connection.queued_) return;
  connection.queued_ = true;
  connection.next_ready_ = nullptr;
  (last_ready == nullptr ? first_ready : last_ready->next_ready_) = &connection;
  last_ready = &connection;
}

void Core::mark_ready_first(Connection& connection) {
  if (connection.queued_) return;
  connection.queued_ = true;
  connection.next_ready_ = first_ready;
  first_ready = &connection;
  if (last_ready == nullptr) last_ready = &connection;
}

Connection* Core::take_ready() {
  Connection* connection = first_ready;
  if (connection == nullptr) return nullptr;
  first_ready = connection->next_ready_;
  if (first_ready == nullptr) last_ready = nullptr;
  connection->next_ready_ = nullptr;
  connection->queued_ = false;
  return connection;
}

std::optional<Ticket> Core::transmit(const OutgoingSegment& segment) {
  const std::optional<Ticket> ticket = output.transmit(segment);
  if (!ticket) {
    ++counters.output_refusals;
    return ticket;
  }
  ++counters.segments_sent;
  counters.payload_bytes_sent += segment.payload_bytes;
  return ticket;
}

}  // namespace nearfield::net::tcp
