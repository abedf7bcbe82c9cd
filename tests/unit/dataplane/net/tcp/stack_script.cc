#include "tests/unit/dataplane/net/tcp/stack_script.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/tcp/initial_sequence.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

namespace nearfield::net::tcp {

namespace {

constexpr MonotonicTime kStart{std::chrono::hours(1)};
constexpr std::uint32_t kPeerClockBase = 1000;

std::byte byte_at(std::uint64_t offset) {
  return static_cast<std::byte>((offset * 2654435761u) >> 13);
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::istringstream stream{std::string(text)};
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::uint32_t number_of(std::string_view text) {
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "key=value" -> value
std::optional<std::string_view> value_of(std::string_view word, std::string_view key) {
  if (word.size() <= key.size() || !word.starts_with(key) || word[key.size()] != '=') return {};
  return word.substr(key.size() + 1);
}

std::string format_ms(double ms) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", ms);
  return text.data();
}

std::string flags_text(const Flags& flags) {
  std::string text;
  if (flags.syn) text += 'S';
  if (flags.fin) text += 'F';
  if (flags.rst) text += 'R';
  if (flags.psh) text += 'P';
  if (flags.ack) text += '.';
  if (flags.ece) text += 'E';
  if (flags.cwr) text += 'W';
  return text;
}

Flags flags_of(std::string_view text) {
  Flags flags;
  for (const char letter : text) {
    flags.syn |= letter == 'S';
    flags.fin |= letter == 'F';
    flags.rst |= letter == 'R';
    flags.psh |= letter == 'P';
    flags.ack |= letter == '.';
    flags.ece |= letter == 'E';
    flags.cwr |= letter == 'W';
  }
  return flags;
}

std::string without_push(std::string text) {
  std::erase(text, 'P');
  return text;
}

}  // namespace

// --- the application ---

std::size_t ScriptHandler::on_receive(std::span<const std::byte> bytes) {
  if (abort_on_receive) stream->abort();
  if (close_on_receive) stream->close_after_send();
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), may_take));
  for (std::size_t index = 0; index < taken; ++index) {
    corrupt |= bytes[index] != byte_at(received + index);
  }
  received += taken;
  if (may_take != UINT64_MAX) may_take -= taken;
  return taken;
}

void ScriptHandler::on_send_ready(SendPlan& plan) {
  ++asked;
  const std::uint64_t bytes = std::min<std::uint64_t>(unoffered, most_at_once);
  if (bytes == 0 || plan.room() == 0) return;
  std::string text(bytes, ' ');
  for (std::uint64_t index = 0; index < bytes; ++index) {
    text[index] = static_cast<char>(byte_at(offered + index));
  }
  plan.append_text(text);
  offered += bytes;
  unoffered -= bytes;
}

void ScriptHandler::on_closed(CloseReason reason) {
  closed = reason;
  ++closed_count;
  if (wakes != nullptr) wakes->stream->wake_sender();
}

void ScriptHandler::send(std::uint64_t bytes) {
  unoffered += bytes;
  stream->wake_sender();
}

void ScriptHandler::take(std::uint64_t bytes) {
  may_take = bytes;
  stream->resume_receive();
}

// --- the stage ---

StackOptions Script::usual() {
  StackOptions options;
  options.maximum_connections = 8;
  options.maximum_half_open = 4;
  options.maximum_time_wait = 4;
  options.shared_transmissions = 256;
  options.receive_chunks = 1024;
  options.remembered_path_mtus = 8;
  options.pacing = false;
  options.secret = {0x1234, 0x5678};
  return options;
}

Script::Script(const StackOptions& options, bool v6)
    : options_(options), v6_(v6), start_(kStart), now_(kStart), stack(options, *this, kStart) {
  stack.listen({{}, 443}, *this);
}

Flow Script::flow(std::uint16_t port) const { return v6_ ? flow_v6(port) : flow_v4(port); }

StreamHandler* Script::on_accept(Stream& stream) {
  if (!accept) return nullptr;
  apps.push_back(std::make_unique<ScriptHandler>());
  apps.back()->stream = &stream;
  return apps.back().get();
}

double Script::now_ms() const {
  return std::chrono::duration<double, std::milli>(now_ - start_).count();
}

void Script::fail(const std::string& why) const {
  const ConnectionView now = view();
  std::string text =
      title + why + "\nthe connection is " + name_of(now.state) + ", recovery " + now.recovery +
      ", window " + std::to_string(now.congestion_window_bytes) + ", in flight " +
      std::to_string(now.in_flight_bytes) + ", lost " + std::to_string(now.lost_bytes) +
      ", sacked " + std::to_string(now.sacked_bytes) + ", unsent " +
      std::to_string(now.unsent_bytes) + ", peer's window " +
      std::to_string(now.peer_window_bytes) + ", time-outs " +
      std::to_string(now.consecutive_timeouts) + (stack.output_blocked() ? ", blocked" : "") + "\n";
  const std::size_t from = trace_.size() > 120 ? trace_.size() - 120 : 0;
  for (std::size_t index = from; index < trace_.size(); ++index) text += trace_[index] + "\n";
  FAIL(text.c_str());
}

ConnectionView Script::view(std::uint16_t port) const {
  ConnectionView view;
  stack.find(flow(port), &view);
  return view;
}

bool Script::connected(std::uint16_t port) const {
  ConnectionView view;
  return stack.find(flow(port), &view) != nullptr;
}

// --- out ---

std::optional<Ticket> Script::transmit(const OutgoingSegment& segment) {
  if (refuse && refuse(segment)) {
    trace_.push_back(format_ms(now_ms()) + " (no room)");
    return std::nullopt;
  }
  if (segment.payload_bytes == 0) {
    record(segment, 0, 0, true, true);
    return ++tickets_;
  }
  if (segment.plan == nullptr || segment.piece_bytes == 0) {
    fault_ = "a payload without a plan or a piece size";
    return ++tickets_;
  }
  if (segment.payload_bytes > options_.burst_bytes) fault_ = "longer than a burst";
  for (std::uint32_t offset = 0; offset < segment.payload_bytes;) {
    const std::uint32_t bytes =
        std::min<std::uint32_t>(segment.piece_bytes, segment.payload_bytes - offset);
    record(segment, offset, bytes, offset == 0, offset + bytes == segment.payload_bytes);
    offset += bytes;
  }
  return ++tickets_;
}

void Script::record(const OutgoingSegment& segment, std::uint32_t offset, std::uint32_t bytes,
                    bool first, bool last) {
  Header header = segment.header;
  header.sequence = header.sequence + offset;
  header.flags.fin &= last;
  header.flags.psh &= last;
  header.flags.cwr &= first;
  Peer& peer = peers_[segment.flow->peer.port];
  if (header.flags.syn) peer.ours = SequenceSpace(header.sequence);
  if (header.options.timestamps) peer.last_value = header.options.timestamps->value;
  const StreamPosition begin =
      peer.ours.position_of(header.sequence, peer.right == 0 ? kInitialPosition : peer.right);
  const auto relative = static_cast<std::uint32_t>(begin - kInitialPosition);
  std::string text = flags_text(header.flags) + " " + std::to_string(relative);
  if (bytes > 0) {
    text += ":" + std::to_string(relative + bytes) + "(" + std::to_string(bytes) + ")";
    std::array<iovec, 64> vectors;
    std::uint64_t covered = 0;
    std::uint64_t checked = 0;
    while (checked < bytes) {
      const std::size_t used = segment.plan->peek(segment.plan_offset + offset + checked,
                                                  bytes - checked, vectors, &covered);
      if (covered == 0) break;
      for (std::size_t index = 0; index < used; ++index) {
        const auto* data = static_cast<const std::byte*>(vectors[index].iov_base);
        for (std::size_t at = 0; at < vectors[index].iov_len; ++at, ++checked) {
          if (data[at] != byte_at(relative - 1 + checked)) fault_ = "wrong bytes are sent";
        }
      }
    }
    if (checked != bytes) fault_ = "the plan does not hold what is sent";
    if (check_window && begin + bytes > peer.right + 1) fault_ = "sent beyond the window";
    const std::size_t packet =
        (segment.flow->peer.address.is_v4() ? 20u : 40u) + header_bytes(header.options) + bytes;
    if (packet > options_.packet_bytes) fault_ = "longer than the device takes";
  }
  if (header.flags.ack) {
    text += " ack=" + std::to_string((header.acknowledgment.value) - peer.theirs.initial().value);
  }
  text += " win=" + std::to_string(header.window);
  const Options& options = header.options;
  if (options.maximum_segment_bytes)
    text += " mss=" + std::to_string(*options.maximum_segment_bytes);
  if (options.window_shift) text += " ws=" + std::to_string(*options.window_shift);
  if (options.sack_permitted) text += " sackok";
  if (options.timestamps) {
    text += " ts=" + std::to_string(options.timestamps->value) + "/" +
            std::to_string(options.timestamps->echo);
  }
  for (std::size_t index = 0; index < options.sack.count; ++index) {
    const SackBlock& block = options.sack.blocks[index];
    text += (index == 0 ? " sack=" : ",") +
            std::to_string(block.begin.value - peer.theirs.initial().value) + "-" +
            std::to_string(block.end.value - peer.theirs.initial().value);
  }
  if (segment.ecn_capable) text += " ect";
  if (segment.may_fragment) text += " frag";
  if (segment.flow->peer.port != kPort) text += " port=" + std::to_string(segment.flow->peer.port);
  trace_.push_back(format_ms(now_ms()) + " > " + text);
  sent_.push_back({now_ms(), text, bytes});
}

// --- in ---

void Script::in(std::string_view line) {
  const std::vector<std::string> words = words_of(line);
  std::uint16_t port = kPort;
  for (const std::string& word : words) {
    if (const auto value = value_of(word, "port")) {
      port = static_cast<std::uint16_t>(number_of(*value));
    }
  }
  Peer& peer = peers_[port];
  Header header;
  header.source_port = port;
  header.destination_port = 443;
  header.flags = flags_of(words[0]);
  if (header.flags.syn && !header.flags.ack && !peer.known) {
    peer.theirs = SequenceSpace(peer_initial);
    peer.known = true;
    peer.timestamps = line.find(" ts") != std::string_view::npos;
  }
  const std::uint32_t begin = number_of(words[1]);
  header.sequence = peer.theirs.initial() + begin;
  std::uint32_t payload_bytes = 0;
  if (const auto open = words[1].find('('); open != std::string::npos) {
    payload_bytes = number_of(std::string_view(words[1]).substr(open + 1));
  }
  header.window = 65535;
  std::uint8_t ecn = 0;
  auto value_ms = static_cast<std::uint32_t>(kPeerClockBase + now_ms());
  std::uint32_t echo = peer.last_value;
  bool timestamps = peer.timestamps;
  for (std::size_t index = 2; index < words.size(); ++index) {
    const std::string& word = words[index];
    const std::size_t equals = word.find('=');
    const std::string_view key = std::string_view(word).substr(0, equals);
    const std::string_view text =
        equals == std::string::npos ? "" : std::string_view(word).substr(equals + 1);
    const std::uint32_t number = number_of(text);
    if (key == "ack") {
      header.acknowledgment = peer.ours.initial() + number;
    } else if (key == "win") {
      header.window = static_cast<std::uint16_t>(number);
    } else if (key == "mss") {
      header.options.maximum_segment_bytes = static_cast<std::uint16_t>(number);
    } else if (key == "ws") {
      header.options.window_shift = static_cast<std::uint8_t>(number);
      if (header.flags.syn) peer.shift = static_cast<std::uint8_t>(number);
    } else if (key == "val") {
      value_ms = number;
    } else if (key == "ecr") {
      echo = number;
    } else if (key == "sack") {
      for (std::size_t from = 0; from < text.size();) {
        const std::string_view block = text.substr(from, text.find(',', from) - from);
        const std::size_t dash = block.find('-');
        header.options.sack.add({peer.ours.initial() + number_of(block),
                                 peer.ours.initial() + number_of(block.substr(dash + 1))});
        from += block.size() + 1;
      }
    } else if (word == "sackok") {
      header.options.sack_permitted = true;
    } else if (word == "ts") {
      timestamps = true;
    } else if (word == "nots") {
      timestamps = false;
    } else if (word == "ce") {
      ecn = 3;
    } else if (word == "ect") {
      ecn = 2;
    } else if (word == "ecn") {
      header.flags.ece = header.flags.cwr = true;
    } else if (key != "port") {
      fail("unknown word: " + word);
    }
  }
  if (timestamps) header.options.timestamps = {.value = value_ms, .echo = echo};
  if (header.flags.ack) {
    const StreamPosition acknowledged = peer.ours.position_of(
        header.acknowledgment, peer.right == 0 ? kInitialPosition : peer.right);
    const std::uint32_t window = std::uint32_t{header.window}
                                 << (header.flags.syn ? 0 : peer.shift);
    peer.right = std::max(peer.right, acknowledged + window);
  }
  std::vector<std::byte> bytes(kMaximumHeaderBytes + payload_bytes);
  const std::size_t length = write_header(header, bytes);
  bytes.resize(length + payload_bytes);
  for (std::uint32_t index = 0; index < payload_bytes; ++index) {
    bytes[length + index] = byte_at(
        static_cast<std::uint64_t>(static_cast<std::int32_t>(begin) - 1 + std::int64_t{index}));
  }
  trace_.push_back(format_ms(now_ms()) + " < " + std::string(line));
  const Flow from = flow(port);
  stack.receive(from.peer.address, from.local.address, ecn, bytes, now_);
  run();
}

void Script::too_big(std::uint32_t sequence, std::uint32_t mtu, std::uint16_t port,
                     std::uint16_t quoted_bytes) {
  trace_.push_back(format_ms(now_ms()) + " < too big " + std::to_string(sequence) + " mtu " +
                   std::to_string(mtu));
  stack.receive_error({PathError::Kind::too_big, flow(port), peers_[port].ours.initial() + sequence,
                       mtu, quoted_bytes},
                      now_);
  run();
}

// --- time ---

void Script::settle() {
  for (int turn = 0; stack.wants_to_run(); ++turn) {
    if (turn > 2000) fail("the stack does not come to rest");
    stack.transmit(now_, 16);
    if (stack.output_blocked()) break;
  }
}

void Script::run() {
  settle();
  stack.check();
  if (!fault_.empty()) fail(fault_);
  for (const auto& application : apps) {
    if (application->corrupt) fail("wrong bytes were received");
    if (application->closed_count > 1) fail("closed twice");
  }
}

void Script::at(double ms) {
  const MonotonicTime until =
      start_ + std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
  int at_once = 0;
  while (true) {
    const std::optional<MonotonicTime> deadline = stack.next_deadline();
    if (!deadline || *deadline > until) break;
    if (*deadline > now_) {
      now_ = *deadline;
      at_once = 0;
    } else if (++at_once > 1000) {
      fail("a timer fires without end");
    }
    stack.advance(now_);
    run();
  }
  now_ = std::max(now_, until);
  stack.advance(now_);
  run();
}

// --- expectations ---

void Script::expect(std::string_view line) {
  if (left() == 0) return fail("nothing left; expected " + std::string(line));
  const Sent& sent = sent_[seen_++];
  const std::vector<std::string> have = words_of(sent.text);
  const std::string what =
      "expected " + std::string(line) + "\n     got @" + format_ms(sent.at_ms) + " " + sent.text;
  std::size_t place = 0;
  for (const std::string& word : words_of(line)) {
    if (word[0] == '@') {
      if (std::abs(std::strtod(word.c_str() + 1, nullptr) - sent.at_ms) > 0.2) fail(what);
    } else if (word[0] == '!') {
      const std::string unwanted = word.substr(1);
      for (const std::string& other : have) {
        if (other == unwanted || other.starts_with(unwanted + "=")) fail(what);
      }
    } else if (place == 0) {
      const bool push = word.find('P') != std::string::npos;
      if (push ? word != have[0] : word != without_push(have[0])) fail(what);
      ++place;
    } else if (place == 1) {
      if (word != have[1]) fail(what);
      ++place;
    } else {
      bool found = false;
      for (const std::string& other : have) found |= other == word || other.starts_with(word + "=");
      if (!found) fail(what);
    }
  }
}

void Script::expect_none() {
  if (left() > 0) fail("expected nothing, got " + sent_[seen_].text);
}

void Script::expect_nothing_until(double ms) {
  expect_none();
  at(ms);
  expect_none();
}

void Script::expect_burst(std::uint32_t sequence, int count, std::uint32_t bytes) {
  for (int index = 0; index < count; ++index, sequence += bytes) {
    expect(". " + std::to_string(sequence) + ":" + std::to_string(sequence + bytes) + "(" +
           std::to_string(bytes) + ")");
  }
}

std::uint64_t Script::drain() {
  std::uint64_t bytes = 0;
  for (; seen_ < sent_.size(); ++seen_) bytes += sent_[seen_].payload_bytes;
  return bytes;
}

void Script::connect(std::string_view words, double round_trip_ms, std::uint32_t window,
                     std::uint16_t port) {
  const std::string where = port == kPort ? "" : " port=" + std::to_string(port);
  in("S 0 win=65535 " + std::string(words) + where);
  if (left() == 0) fail("no SYN-ACK");
  drain();
  at(now_ms() + round_trip_ms);
  in(". 1 ack=1 win=" + std::to_string(window) + where);
}

SipHashKey secret_that_wraps() {
  for (std::uint64_t number = 0;; ++number) {
    const SipHashKey key{number, 7};
    if (InitialSequence(key).make(flow_v4(Script::kPort), kStart).value >= 0xffff0000u) return key;
  }
}

}  // namespace nearfield::net::tcp
