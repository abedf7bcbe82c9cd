#include "tests/bench/sink.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/packet.h"

namespace nearfield::bench {
namespace {

using namespace net;

constexpr std::uint32_t kPortsAnAddress = 50000;
constexpr std::uint16_t kFirstPort = 10000;
constexpr std::uint32_t kOpeningAtATime = 256;
// A client's delayed acknowledgment, as a number of polls that found nothing: some 20 us, so that a
// window of one segment does not measure waiting.
constexpr std::uint32_t kPatience = 500;
constexpr unsigned kWindowShift = 7;

Address client_address(std::uint32_t index) {
  Address address = *Address::parse("198.18.0.1");
  address.bytes[15] = static_cast<std::uint8_t>(1 + index / kPortsAnAddress);
  return address;
}

}  // namespace

Sink::Sink(const SinkOptions& options, NicModel& nic)
    : options_(options), nic_(nic), connections_(options.connections) {}

void Sink::run() {
  const auto start = std::chrono::steady_clock::now();
  std::uint32_t opened = 0;
  std::uint32_t asked = 0;
  std::uint32_t polls = 0;
  std::array<NicModel::Sent, 32> packets;
  while (!stops_.load(std::memory_order_relaxed)) {
    if ((++polls & 63) == 0) {
      clock_ms_ = 1 + static_cast<std::uint32_t>((std::chrono::steady_clock::now() - start) /
                                                 std::chrono::milliseconds(1));
    }
    while (opened < options_.connections && opened - now_open_ < kOpeningAtATime)
      send(opened++, {.syn = true}, 0, 0, true);
    if (begins_.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 64 && asked < options_.connections; ++i) ask(asked++);
    }
    // Headers are in the other processor's cache: all of a burst are asked for before one is read.
    std::size_t taken = 0;
    for (; taken < packets.size() && nic_.next_sent(packets[taken]); ++taken) {
      __builtin_prefetch(packets[taken].header);
      __builtin_prefetch(packets[taken].header + 64);
    }
    for (const NicModel::Sent& packet : std::span(packets).first(taken)) take(packet);
    if (taken > 0) {
      nic_.release_sent();
      idle_polls_ = 0;
    } else if (++idle_polls_ >= kPatience) {
      idle_polls_ = 0;
      pay_what_is_owed();
    }
  }
}

void Sink::take(const NicModel::Sent& packet) {
  const std::byte* ip = packet.header + ip::kEthernetHeaderBytes;
  const std::byte* tcp = ip + ip::kIpv4HeaderBytes;
  const std::uint32_t index =
      read_16(tcp + 2) - kFirstPort + (read_8(ip + 19) - 1U) * kPortsAnAddress;
  NEARFIELD_ASSERT(index < connections_.size());
  Connection& connection = connections_[index];
  const std::uint32_t header_bytes = (read_8(tcp + 12) >> 4) * 4U;
  const auto segment = tcp::parse_segment({tcp, header_bytes});
  NEARFIELD_ASSERT(segment.has_value());
  const tcp::Header& header = segment->header;
  if (header.options.timestamps) connection.timestamp = header.options.timestamps->value;
  if (header.flags.syn) {
    connection.theirs = connection.acknowledged = header.sequence.value + 1;
    if (!connection.is_open) open_.store(++now_open_);
    connection.is_open = true;
    send(index, {.ack = true}, connection.theirs, 0);
    return;
  }
  const std::uint32_t payload =
      packet.packet_bytes -
      static_cast<std::uint32_t>(ip::kEthernetHeaderBytes + ip::kIpv4HeaderBytes) - header_bytes;
  if (payload == 0) return;
  if (header.flags.rst || header.sequence.value != connection.theirs) {
    unexpected_.fetch_add(1, std::memory_order_relaxed);
    send(index, {.ack = true}, connection.theirs, 0);
    return;
  }
  connection.theirs += payload;
  connection.left -= payload;
  if (connection.left == 0) {
    responses_.fetch_add(1, std::memory_order_relaxed);
    ask(index);
    return;
  }
  if (payload > options_.segment_bytes) {
    const std::uint32_t parts = options_.per_super_segment;
    const std::uint32_t begin = connection.theirs - payload;
    for (std::uint32_t part = 1; part <= parts; ++part) {
      const std::uint64_t bytes = std::uint64_t{payload} * part / parts;
      send(index, {.ack = true}, begin + static_cast<std::uint32_t>(bytes), 0);
    }
  } else if (++connection.packets >= options_.packets_per_acknowledgment) {
    send(index, {.ack = true}, connection.theirs, 0);
  } else if (!connection.is_owed) {
    connection.is_owed = true;
    owed_.push_back(index);
  }
}

void Sink::pay_what_is_owed() {
  for (const std::uint32_t index : owed_) {
    Connection& connection = connections_[index];
    connection.is_owed = false;
    if (connection.packets > 0) send(index, {.ack = true}, connection.theirs, 0);
  }
  owed_.clear();
}

void Sink::ask(std::uint32_t index) {
  Connection& connection = connections_[index];
  connection.left = options_.response_bytes;
  send(index, {.psh = true, .ack = true}, connection.theirs, kRequestBytes);
  connection.ours += kRequestBytes;
}

void Sink::send(std::uint32_t index, tcp::Flags flags, std::uint32_t acknowledgment,
                std::size_t payload_bytes, bool is_syn) {
  Connection& connection = connections_[index];
  tcp::Header header;
  header.source_port = static_cast<std::uint16_t>(kFirstPort + index % kPortsAnAddress);
  header.destination_port = 80;
  header.sequence = {connection.ours};
  header.acknowledgment = {acknowledgment};
  header.flags = flags;
  header.window =
      is_syn ? 65535 : static_cast<std::uint16_t>(options_.window_bytes >> kWindowShift);
  header.options.timestamps = tcp::Timestamps{clock_ms_, connection.timestamp};
  if (is_syn) {
    header.options.maximum_segment_bytes = options_.segment_bytes;
    header.options.window_shift = kWindowShift;
    header.options.sack_permitted = true;
    ++connection.ours;
  }
  connection.acknowledged = acknowledgment;
  connection.packets = 0;

  static const Address server = *Address::parse("192.0.2.1");
  static const Address clients[2] = {client_address(0), client_address(kPortsAnAddress)};
  const Address& client = clients[index / kPortsAnAddress];
  std::array<std::byte, 160> frame{};
  const ip::FrameHeader link{.destination = {{2, 0, 0, 0, 0, 1}},
                             .source = {{2, 0, 0, 0, 0, 2}},
                             .vlan_id = {},
                             .ether_type = ip::kEtherTypeIpv4};
  std::size_t at = ip::write_ethernet(link, frame);
  const std::size_t tcp_bytes = tcp::header_bytes(header.options) + payload_bytes;
  ip::PacketHeader outer;
  outer.source = client;
  outer.destination = server;
  outer.protocol = ip::kProtocolTcp;
  outer.payload_bytes = static_cast<std::uint16_t>(tcp_bytes);
  at += ip::write_ip_header(outer, std::span(frame).subspan(at));
  const std::span<std::byte> segment = std::span(frame).subspan(at, tcp_bytes);
  tcp::write_header(header, segment);
  ip::Checksum sum =
      ip::pseudo_header(client, server, ip::kProtocolTcp, static_cast<std::uint32_t>(tcp_bytes));
  sum.add(segment);
  write_16(segment.data() + 16, sum.finish());
  // The server's queue is full at times: a real one would drop, here the wire waits.
  while (!nic_.deliver({frame.data(), at + tcp_bytes})) {
    if (stops_.load(std::memory_order_relaxed)) return;
  }
}

}  // namespace nearfield::bench
