// See node.h.
#include "tests/packetdrill/node.h"

#include <charconv>

namespace nearfield::packetdrill {
namespace {

// More turns at one instant than any script needs: a stack that always has something more to do is
// broken, and the script fails on what it sends or does not send.
constexpr int kMaximumTurns = 10000;

bool apply(net::tcp::StackOptions& options, std::string_view name, std::uint32_t value) {
  const Duration milliseconds = std::chrono::milliseconds(value);
  if (name == "mtu" && value >= 1280 && value <= 65535) {
    options.packet_bytes = static_cast<std::uint16_t>(value);
  } else if (name == "window" && value >= 1 && value <= 65535) {
    options.receive_window_bytes = static_cast<std::uint16_t>(value);
  } else if (name == "time_wait_ms") {
    options.time_wait = milliseconds;
  } else if (name == "delayed_ack_ms") {
    options.acknowledgment_delay = milliseconds;
  } else if (name == "keep_alive_ms") {
    options.keep_alive = milliseconds;
  } else if (name == "linger_ms") {
    options.linger = milliseconds;
  } else if (name == "linger_bytes") {
    options.linger_bytes = value;
  } else if (name == "give_up_ms") {
    options.give_up_after = milliseconds;
  } else if (value > 1) {
    return false;
  } else if (name == "timestamps") {
    options.timestamps = value != 0;
  } else if (name == "sack") {
    options.sack = value != 0;
  } else if (name == "ecn") {
    options.ecn = value != 0;
  } else if (name == "pacing") {
    options.pacing = value != 0;
  } else if (name == "cookies") {
    options.always_cookies = value != 0;
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<net::tcp::StackOptions> parse_flags(std::string_view flags) {
  net::tcp::StackOptions options;
  options.maximum_connections = 64;
  options.maximum_half_open = 64;
  options.maximum_time_wait = 64;
  options.shared_transmissions = 65536;
  options.receive_chunks = 1024;
  options.remembered_path_mtus = 64;
  options.pacing = false;
  options.linger = std::chrono::seconds(60);  // scripts look at FIN-WAIT-2 for seconds
  options.secret = SipHashKey{.first = 0x6e656172, .second = 0x6669656c64};  // runs repeat exactly
  while (!flags.empty()) {
    const std::string_view item = flags.substr(0, flags.find(','));
    flags.remove_prefix(std::min(flags.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    std::uint32_t value = 0;
    const std::string_view text =
        equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || problem != std::errc() || end != text.data() + text.size() ||
        !apply(options, item.substr(0, equals), value)) {
      return failure("packetdrill flag '" + std::string(item) +
                     "' is not known or out of range: see "
                     "tests/packetdrill/node.h");
    }
  }
  return options;
}

void Node::settle() {
  stack_.advance(clock_.now());
  for (int turn = 0; turn < kMaximumTurns && stack_.wants_to_run(); ++turn) {
    stack_.transmit(clock_.now());
    if (stack_.output_blocked()) break;  // until the driver takes packets
  }
}

void Node::receive(std::span<const std::byte> packet) {
  settle();  // what was due before the packet came; the driver's reading of time moves it
  if (const auto segment = read_segment(packet)) {
    stack_.receive(segment->source, segment->destination, segment->ecn, segment->bytes,
                   clock_.now());
  } else if (const auto error = read_error(packet)) {
    stack_.receive_error({.kind = error->too_big ? net::tcp::PathError::Kind::too_big
                                                 : net::tcp::PathError::Kind::unreachable,
                          .flow = {.local = error->local, .peer = error->peer},
                          .sequence = {error->sequence},
                          .mtu = error->mtu},
                         clock_.now());
  } else if (is_datagram(packet)) {
    wire_.send_back(packet);
  }
  settle();
}

void Node::stop_at(MonotonicTime time) { stops_.insert(time); }

std::optional<MonotonicTime> Node::next_stop(MonotonicTime latest) {
  stops_.erase(stops_.begin(), stops_.upper_bound(clock_.now()));
  std::optional<MonotonicTime> next = stack_.next_deadline();
  if (!stops_.empty() && (!next || *stops_.begin() < *next)) next = *stops_.begin();
  return next && *next <= latest ? next : std::nullopt;
}

bool Node::step(MonotonicTime latest) {
  const std::optional<MonotonicTime> next = next_stop(latest);
  if (!next) return false;
  // A deadline that has passed and stays would never end.
  clock_.move_to(std::max(*next, clock_.now() + std::chrono::microseconds(1)));
  settle();
  return true;
}

}  // namespace nearfield::packetdrill
