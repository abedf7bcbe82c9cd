#include "dataplane/net/tcp/stack.h"

#include <algorithm>
#include <new>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/tcp/connection_table.h"
#include "dataplane/net/tcp/flow_hash.h"
#include "dataplane/net/tcp/strangers.h"

namespace nearfield::net::tcp {

Stack::Stack(const StackOptions& options, Output& output, MonotonicTime start)
    : core_(options, output, start), strangers_(std::make_unique<Strangers>(options)) {
  NEARFIELD_ASSERT(options.packet_bytes >= 1280 && options.burst_bytes >= options.packet_bytes);
  NEARFIELD_ASSERT(options.maximum_connections > 0);
  core_.stack = this;
  const std::size_t count = options.maximum_connections;
  memory_ = std::make_unique<std::byte[]>(count * sizeof(Connection) + alignof(Connection));
  void* place = memory_.get();
  std::size_t room = count * sizeof(Connection) + alignof(Connection);
  connections_ = static_cast<Connection*>(
      std::align(alignof(Connection), count * sizeof(Connection), place, room));
  free_ = std::make_unique<std::uint32_t[]>(count);
  for (std::size_t index = 0; index < count; ++index) {
    new (&connections_[index]) Connection(core_);
    free_[count - 1 - index] = static_cast<std::uint32_t>(index);
  }
  free_count_ = count;
}

Stack::~Stack() {
  shutdown();
  for (std::size_t index = 0; index < core_.options.maximum_connections; ++index) {
    connections_[index].~Connection();
  }
}

void Stack::shutdown() {
  listener_count_ = 0;
  for (std::size_t index = 0; index < core_.options.maximum_connections; ++index) {
    connections_[index].drop();
  }
}

Connection& Stack::connection(std::size_t index) const { return connections_[index]; }

std::size_t Stack::connections() const { return strangers_->table.size(); }
std::size_t Stack::half_open() const { return strangers_->half_open.size(); }
std::size_t Stack::time_wait() const { return strangers_->time_wait.size(); }

const ConnectionView* Stack::find(const Flow& flow, ConnectionView* view) const {
  const std::uint32_t index = strangers_->table.find(flow);
  if (index == ConnectionTable::kNone) return nullptr;
  *view = connection(index).view();
  return view;
}

void Stack::check() const {
  for (std::size_t index = 0; index < core_.options.maximum_connections; ++index) {
    connections_[index].check();
  }
}

// --- listening ---

void Stack::listen(const Endpoint& local, Acceptor& acceptor) {
  NEARFIELD_ASSERT(listener_count_ < kMaximumListeners);
  listeners_[listener_count_++] = {local, &acceptor};
}

void Stack::stop_listening() {
  listener_count_ = 0;  // half-open ones get no answer any more, and a RST to theirs
}

// The most exact one: an address before any.
int Stack::listener_for(const Endpoint& local) const {
  int found = -1;
  for (std::size_t index = 0; index < listener_count_; ++index) {
    const Endpoint& candidate = listeners_[index].local;
    if (candidate.port != local.port) continue;
    if (candidate.address == local.address) return static_cast<int>(index);
    const bool any =
        candidate.address == Address{} || (candidate.address == any_v4() && local.address.is_v4());
    if (any && found < 0) found = static_cast<int>(index);
  }
  return found;
}

// --- what comes in ---

void Stack::receive(const Address& source, const Address& destination, std::uint8_t ecn,
                    std::span<const std::byte> bytes, MonotonicTime now) {
  core_.now = std::max(core_.now, now);
  ++core_.counters.segments_received;
  const std::optional<Segment> segment = parse_segment(bytes);
  if (!segment || segment->header.source_port == 0 || segment->header.destination_port == 0) {
    ++core_.counters.dropped_malformed;
    return;
  }
  const Flow flow{{destination, segment->header.destination_port},
                  {source, segment->header.source_port}};
  const bool congestion_experienced = (ecn & 3) == 3;
  const std::uint32_t index = strangers_->table.find(flow);
  if (index != ConnectionTable::kNone) {
    connection(index).receive(*segment, congestion_experienced);
    return;
  }
  receive_for_none(flow, *segment, congestion_experienced);
}

void Stack::foresee(const Address& source, const Address& destination,
                    std::span<const std::byte> bytes) {
  if (connections() <= kFewConnections || foreseen_count_ == kMostForeseen || bytes.size() < 4) {
    return;
  }
  const Flow flow{{destination, read_16(bytes.data() + 2)}, {source, read_16(bytes.data())}};
  if (foreseen_count_ > 0 && foreseen_[foreseen_count_ - 1].flow == flow) return;
  foreseen_[foreseen_count_++] = {flow, strangers_->table.foresee(flow)};
}

void Stack::fetch_foreseen() {
  for (std::size_t i = 0; i < foreseen_count_; ++i) {
    const std::uint32_t index = strangers_->table.find(foreseen_[i].flow, foreseen_[i].hash);
    if (index == ConnectionTable::kNone) continue;
    const auto* bytes = reinterpret_cast<const std::byte*>(&connection(index));
    for (std::size_t line = 0; line < sizeof(Connection) - Connection::kColdBytes; line += 64) {
      __builtin_prefetch(bytes + line);
    }
  }
  foreseen_count_ = 0;
}

void Stack::receive_error(const PathError& error, MonotonicTime now) {
  core_.now = std::max(core_.now, now);
  const std::uint32_t index = strangers_->table.find(error.flow);
  if (index == ConnectionTable::kNone || error.kind != PathError::Kind::too_big) {
    ++core_.counters.errors_ignored;
    return;
  }
  connection(index).on_packet_too_big(error.sequence, error.mtu, error.quoted_bytes);
}

// --- turns ---

void Stack::advance(MonotonicTime now, std::size_t budget) {
  core_.now = std::max(core_.now, now);
  core_.wheel.advance(core_.now, budget);
  strangers_->half_open.advance(
      core_.now, budget,
      [&](SynCache::Entry& entry) {
        if (listener_count_ == 0) return;
        ++core_.counters.syn_acks_repeated;
        send_control(entry.flow, strangers_->syn_ack(core_, entry));
      },
      [&](const SynCache::Entry&) { ++core_.counters.half_open_expired; });
  strangers_->time_wait.advance(core_.now, budget);
}

std::optional<MonotonicTime> Stack::next_deadline() {
  std::optional<MonotonicTime> first = core_.wheel.next_deadline();
  const auto consider = [&](const std::optional<MonotonicTime>& other) {
    if (other && (!first || *other < *first)) first = other;
  };
  consider(strangers_->half_open.next_deadline());
  consider(strangers_->time_wait.next_deadline());
  return first;
}

void Stack::transmit(MonotonicTime now, std::size_t turns) {
  core_.now = std::max(core_.now, now);
  output_blocked_ = false;
  while (turns-- > 0) {
    Connection* connection = core_.take_ready();
    if (connection == nullptr) return;
    const Connection::Turn turn = connection->run();
    if (turn == Connection::Turn::more) {
      core_.mark_ready(*connection);
    } else if (turn == Connection::Turn::blocked) {
      core_.mark_ready_first(*connection);
      output_blocked_ = true;
      return;
    }
  }
}

// --- slots ---

void Stack::complete(const Handshake& handshake, int listener, const Segment& segment,
                     bool congestion_experienced) {
  if (free_count_ == 0) {
    ++core_.counters.table_overflows;
    return;  // the peer repeats what it sent, and there may be room then
  }
  const std::uint32_t index = free_[--free_count_];
  Connection& connection = connections_[index];
  const bool inserted = strangers_->table.insert(handshake.flow, index);
  NEARFIELD_ASSERT(inserted);
  if (SynCache::Entry* entry = strangers_->half_open.find(handshake.flow)) {
    strangers_->half_open.erase(*entry);
  }
  connection.open(handshake);
  StreamHandler* handler =
      listeners_[static_cast<std::size_t>(listener)].acceptor->on_accept(connection);
  if (handler == nullptr) {
    ++core_.counters.refused;
    connection.refuse();
    return;
  }
  ++core_.counters.accepted;
  connection.start(*handler);
  connection.receive(segment, congestion_experienced);
}

void Stack::end_flow(Connection& connection, bool time_wait) {
  strangers_->table.erase(connection.flow());
  if (!time_wait) return;
  TimeWaitTable::Entry entry;
  entry.flow = connection.flow();
  entry.send_next = connection.send_next();
  entry.receive_next = connection.receive_next();
  entry.recent_timestamp = connection.recent_timestamp();
  entry.timestamp_offset = connection.timestamp_offset();
  entry.window = core_.options.receive_window_bytes;
  entry.timestamps = connection.timestamps();
  strangers_->time_wait.insert(entry, core_.now);
}

void Stack::free_slot(Connection& connection) {
  const auto index = static_cast<std::uint32_t>(&connection - connections_);
  connection.~Connection();
  new (&connection) Connection(core_);
  free_[free_count_++] = index;
}

void Core::on_flow_ended(Connection& connection, bool time_wait) {
  stack->end_flow(connection, time_wait);
}

void Core::on_slot_free(Connection& connection) { stack->free_slot(connection); }

}  // namespace nearfield::net::tcp
