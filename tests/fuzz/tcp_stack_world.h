// What the fuzz target of TCP puts around a stack: peers that remember what it told them, an
// application above each connection and a device below, which check whatever passes.
//
// Every byte is told by where it is: what we send by its offset, what a peer sends by its sequence
// number, so that nobody has to remember any.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/net/tcp/stack.h"
#include "tests/fuzz/fuzz_support.h"

namespace nearfield::fuzz {

using namespace nearfield::net;
using namespace nearfield::net::tcp;

inline constexpr std::size_t kFlows = 4;
inline constexpr std::uint16_t kPort = 80;

inline std::uint8_t sent_byte(std::uint64_t offset) {
  return static_cast<std::uint8_t>((offset * 2654435761u) >> 13);
}
// What a peer sends is told by its sequence number, whichever way a segment got it.
inline std::byte received_byte(std::uint32_t number) {
  return static_cast<std::byte>((number * 2654435761u) >> 17);
}

struct World;

// The application above one connection.
struct Application final : StreamHandler {
  World* world = nullptr;
  Stream* stream = nullptr;
  std::uint32_t our_initial = 0;
  std::uint32_t expected = 0;  // the number of the next byte received
  std::uint64_t offered = 0;
  std::uint64_t unoffered = 0;
  std::uint64_t released = 0;
  std::uint64_t may_take = UINT64_MAX;
  std::uint32_t told = 0;        // last acknowledgment sent
  std::uint32_t told_right = 0;  // and the window's right edge
  unsigned habits = 0;
  bool has_told = false;
  bool receive_ended = false;
  bool wants_end = false;
  bool closed = false;
  CloseReason reason = CloseReason::finished;

  std::size_t on_receive(std::span<const std::byte> bytes) override {
    FUZZ_CHECK(!closed && !receive_ended && !bytes.empty());
    if ((habits & 1) != 0) stream->abort();
    if ((habits & 2) != 0) close();
    const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), may_take));
    if (may_take != UINT64_MAX) may_take -= taken;
    if ((habits & 4) != 0 && taken > 0) stream->resume_receive();
    for (std::size_t index = 0; index < taken; ++index) {
      FUZZ_CHECK(bytes[index] == received_byte(expected + static_cast<std::uint32_t>(index)));
    }
    expected += static_cast<std::uint32_t>(taken);
    return taken;
  }
  void on_receive_end() override {
    FUZZ_CHECK(!closed && !receive_ended);
    receive_ended = true;
    if ((habits & 8) != 0) close();
    if ((habits & 16) != 0) stream->abort();
  }
  void on_send_ready(SendPlan& plan) override {
    FUZZ_CHECK(!closed && !wants_end);
    const std::uint64_t bytes = std::min<std::uint64_t>(unoffered, 3000);
    if (bytes == 0 || plan.room() == 0) return;
    std::string text(bytes, ' ');
    for (std::size_t at = 0; at < bytes; ++at) {
      text[at] = static_cast<char>(sent_byte(offered + at));
    }
    plan.append_text(text);
    offered += bytes;
    unoffered -= bytes;
  }
  void on_released(std::uint64_t bytes) override;
  void on_closed(CloseReason why) override {
    FUZZ_CHECK(!closed);
    closed = true;
    reason = why;
  }
  void close() {
    if (closed) return;
    wants_end = true;
    stream->close_after_send();
  }
};

// What a peer knows of the stack.
struct Peer {
  Flow flow;
  std::uint32_t initial = 0;
  std::uint32_t our_initial = 0;
  std::uint32_t first = 0;  // the acknowledgment of the last SYN-ACK
  std::uint32_t unacknowledged = 0;
  std::uint32_t highest = 0;
  std::uint32_t acknowledged = 0;  // of what the peer sent
  std::uint16_t window = 0;
  std::uint32_t timestamp = 0;
  std::uint16_t largest_segment = 0;
  Application* application = nullptr;  // of the newest connection
};

struct World final : Output, Acceptor {
  StackOptions options;
  MonotonicTime now{std::chrono::hours(1)};
  std::array<Peer, kFlows> peers;
  std::vector<std::unique_ptr<Application>> applications;
  std::unique_ptr<Stack> stack;

  Ticket tickets = 0;
  Ticket done = 0;
  Ticket lag = 0;
  std::uint64_t accepts = UINT64_MAX;  // segments until the device is full
  bool accepts_connections = true;
  unsigned habits = 0;
  int emitted = 0;
  struct Reading {
    Ticket ticket;
    const Application* application;
    std::uint64_t offset;
    const std::uint8_t* bytes;
    std::size_t count;
  };
  std::deque<Reading> readings;
  const Segment* arriving = nullptr;
  Peer* arriving_peer = nullptr;
  std::uint64_t cookies_before = 0;

  // --- the device ---

  Ticket completed() override {
    const Ticket now_done = tickets > lag ? tickets - lag : 0;
    if (now_done > done) done = now_done;
    while (!readings.empty() && readings.front().ticket <= done) {
      check_unchanged(readings.front());
      readings.pop_front();
    }
    return done;
  }

  static void check_unchanged(const Reading& reading) {
    for (std::size_t index = 0; index < reading.count; ++index) {
      FUZZ_CHECK(reading.bytes[index] == sent_byte(reading.offset + index));
    }
  }

  std::optional<Ticket> transmit(const OutgoingSegment& segment) override {
    Peer& peer = *std::ranges::find(peers, *segment.flow, &Peer::flow);
    // Half-open or not, whether or not it leaves.
    if (segment.header.flags.syn) peer.first = segment.header.acknowledgment.value;
    if (accepts == 0) return std::nullopt;
    if (accepts != UINT64_MAX) --accepts;
    ++emitted;
    ++tickets;
    check_outgoing(peer, segment);
    return tickets;
  }

  void check_outgoing(Peer& peer, const OutgoingSegment& segment) {
    const Header& header = segment.header;
    const std::uint32_t length = segment.payload_bytes + header.flags.fin;
    const std::size_t ip_bytes = peer.flow.peer.address.is_v4() ? 20 : 40;
    FUZZ_CHECK(header.source_port == kPort && header.destination_port == peer.flow.peer.port);
    FUZZ_CHECK((segment.plan != nullptr) == (segment.payload_bytes > 0));
    if (segment.plan != nullptr) {
      const std::size_t head = header_bytes(header.options);
      FUZZ_CHECK(segment.piece_bytes > 0);
      FUZZ_CHECK(segment.piece_bytes + head + ip_bytes <= options.packet_bytes);
      FUZZ_CHECK(segment.piece_bytes + head - kMinimumHeaderBytes <=
                 std::max<std::size_t>(peer.largest_segment, 88));
      FUZZ_CHECK(segment.plan_offset + segment.payload_bytes <= segment.plan->size_bytes());
      FUZZ_CHECK(segment.payload_bytes <= std::max<std::uint32_t>(options.burst_bytes, 65536));
      FUZZ_CHECK(!header.flags.syn && !header.flags.rst);
    }
    ConnectionView view;
    Application* application = peer.application;
    if (stack->find(peer.flow, &view) != nullptr && application != nullptr &&
        !application->closed) {
      const std::uint32_t edge =
          application->our_initial + 1 + static_cast<std::uint32_t>(view.acknowledged_bytes);
      if (length > 0) {
        const auto end =
            static_cast<std::int64_t>(static_cast<std::int32_t>(header.sequence.value - edge)) +
            length;
        FUZZ_CHECK(end <= static_cast<std::int64_t>(view.peer_window_bytes) + 1);
      }
      if (segment.plan != nullptr) read_plan(*application, segment);
      const std::uint32_t right = header.acknowledgment.value + header.window;
      if (application->has_told) {
        FUZZ_CHECK(static_cast<std::int32_t>(header.acknowledgment.value - application->told) >= 0);
        FUZZ_CHECK(static_cast<std::int32_t>(right - application->told_right) >= 0);
      }
      application->has_told = true;
      application->told = header.acknowledgment.value;
      application->told_right = right;
    }
    if (header.flags.rst) return;
    const std::uint32_t end = header.sequence.value + length + header.flags.syn;
    if (header.flags.syn) {
      peer.our_initial = peer.unacknowledged = header.sequence.value;
      peer.highest = end;
    } else if (static_cast<std::int32_t>(end - peer.highest) > 0) {
      peer.highest = end;
    }
    peer.acknowledged = header.acknowledgment.value;
    peer.window = header.window;
    if (header.options.timestamps) peer.timestamp = header.options.timestamps->value;
  }

  void read_plan(const Application& application, const OutgoingSegment& segment) {
    const std::uint64_t offset = application.released + segment.plan_offset;
    const auto position = static_cast<std::uint32_t>(offset);
    FUZZ_CHECK(segment.header.sequence.value == application.our_initial + 1 + position);
    std::array<iovec, 2> vectors;
    std::uint64_t covered = 0;
    const std::size_t used =
        segment.plan->peek(segment.plan_offset, segment.payload_bytes, vectors, &covered);
    FUZZ_CHECK(used > 0 && covered > 0);
    const Reading reading{tickets, &application, offset,
                          static_cast<const std::uint8_t*>(vectors[0].iov_base),
                          std::min<std::size_t>(vectors[0].iov_len, 16)};
    check_unchanged(reading);
    readings.push_back(reading);
  }

  // --- connections ---

  StreamHandler* on_accept(Stream& stream) override {
    Peer& peer = *arriving_peer;
    peer.application = nullptr;
    if (!accepts_connections) return nullptr;
    auto application = std::make_unique<Application>();
    application->world = this;
    application->stream = &stream;
    application->habits = habits;
    application->our_initial = arriving->header.acknowledgment.value - 1;
    const bool from_cookie = stack->counters().cookies_accepted != cookies_before;
    application->expected = from_cookie ? arriving->header.sequence.value : peer.first;
    FUZZ_CHECK(stream.peer() == peer.flow.peer && stream.local() == peer.flow.local);
    peer.application = application.get();
    peer.highest = peer.unacknowledged = application->our_initial + 1;
    applications.push_back(std::move(application));
    return applications.back().get();
  }

  void inject(Peer& peer, std::vector<std::byte> bytes, std::uint8_t ecn = 0) {
    if (const auto parsed = parse_segment(bytes)) {
      const std::size_t head = bytes.size() - parsed->payload.size();
      const std::uint32_t first = parsed->header.sequence.value + parsed->header.flags.syn;
      for (std::size_t at = head; at < bytes.size(); ++at) {
        bytes[at] = received_byte(first + static_cast<std::uint32_t>(at - head));
      }
      const Header& header = parsed->header;
      if (header.flags.syn) {
        peer.largest_segment =
            std::max(peer.largest_segment, header.options.maximum_segment_bytes.value_or(1220));
      }
    }
    const auto segment = parse_segment(bytes);
    arriving = segment ? &*segment : nullptr;
    arriving_peer = &peer;
    cookies_before = stack->counters().cookies_accepted;
    stack->receive(peer.flow.peer.address, peer.flow.local.address, ecn, bytes, now);
    arriving = nullptr;
  }

  void inject(Peer& peer, Header header, std::size_t payload_bytes, std::uint8_t ecn = 0) {
    header.source_port = peer.flow.peer.port;
    header.destination_port = kPort;
    std::vector<std::byte> bytes(header_bytes(header.options) + payload_bytes);
    write_header(header, bytes);
    inject(peer, std::move(bytes), ecn);
  }

  // --- turns ---

  void run() {
    emitted = 0;
    for (int turns = 0; stack->wants_to_run(); ++turns) {
      FUZZ_CHECK(turns < 4096 && emitted < 20000);  // it spins
      stack->transmit(now, 16);
      if (stack->output_blocked()) {
        FUZZ_CHECK(accepts == 0);
        break;
      }
    }
    stack->check();
  }

  // Whatever is due until `until`, at its time. Returns how many deadlines that were.
  int run_timers(MonotonicTime until, int most) {
    int same = 0;
    int count = 0;
    for (; count < most; ++count) {
      const auto deadline = stack->next_deadline();
      if (!deadline || *deadline > until) break;
      if (*deadline > now) {
        same = 0;
        now = *deadline;
      } else {
        FUZZ_CHECK(++same < 64);  // a timer that is due again at once, for ever
      }
      stack->advance(now);
      run();
    }
    return count;
  }
};

inline void Application::on_released(std::uint64_t bytes) {
  FUZZ_CHECK(!closed && bytes > 0);
  released += bytes;
  FUZZ_CHECK(released <= offered);
  const Ticket completed = world->completed();
  for (const World::Reading& reading : world->readings) {
    if (reading.application == this && reading.ticket > completed) {
      FUZZ_CHECK(released <= reading.offset);
    }
  }
}

}  // namespace nearfield::fuzz
