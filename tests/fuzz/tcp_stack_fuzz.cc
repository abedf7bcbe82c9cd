// The whole of TCP: the input is a program of segments, router's messages, steps of time, habits of
// the device and calls of the application, for four flows of one small stack. Segments are written
// relative to what the stack last said, or raw.
//
// What must hold: bytes arrive once and in order in both directions; nothing leaves beyond the
// peer's window (but one byte that probes), the packet size, or the plan; the offered window never
// shrinks; no byte that a device still reads is released or changes; handlers hear on_closed()
// once and last; nothing spins. And nothing stalls: in the end either every peer falls silent, and
// all connections must be gone within a day, or every peer answers, and all that was offered must
// arrive.
#include "tests/fuzz/tcp_stack_world.h"

using namespace nearfield;
using namespace nearfield::fuzz;

namespace {

constexpr std::uint64_t kMostOffered = 1 << 20;
constexpr int kMostSteps = 400;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t u8() { return left_ == 0 ? 0 : (--left_, *data_++); }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  template <typename Table>
  auto pick(const Table& table) {
    return table[u8() % std::size(table)];
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

// --- the program ---

constexpr std::array<std::uint8_t, 12> kFlags{0x10, 0x18, 0x11, 0x02, 0x04, 0x14,
                                              0x12, 0x50, 0x90, 0xc2, 0x00, 0x01};
constexpr std::array<std::int32_t, 12> kDeltas{0,     1,     -1,   2,     1460,   -1460,
                                               14600, 65535, 3000, 65536, -65536, 0x7fffffff};
constexpr std::array<std::uint16_t, 8> kWindows{65535, 0, 1, 100, 1460, 4000, 20000, 65535};
constexpr std::array<std::uint16_t, 6> kLengths{0, 0, 1, 100, 1460, 5000};
constexpr std::array<std::int64_t, 12> kStepsMicroseconds{
    10,      100,       1000,       5000,        20000,          100000,
    400'000, 2'000'000, 30'000'000, 300'000'000, 90'000'000'000, 2'500'000'000'000};

Flags flags_of(unsigned bits) {
  return {.fin = (bits & 1) != 0,
          .syn = (bits & 2) != 0,
          .rst = (bits & 4) != 0,
          .psh = (bits & 8) != 0,
          .ack = (bits & 16) != 0,
          .urg = (bits & 32) != 0,
          .ece = (bits & 64) != 0,
          .cwr = (bits & 128) != 0};
}

void add_syn_options(Input& in, Options& options) {
  constexpr std::array<std::uint16_t, 6> kSizes{1460, 536, 0, 100, 8960, 65535};
  const unsigned what = in.u8();
  if ((what & 1) == 0) options.maximum_segment_bytes = in.pick(kSizes);
  if ((what & 2) == 0) options.sack_permitted = true;
  if ((what & 4) != 0) options.window_shift = static_cast<std::uint8_t>(what >> 4);
}

void add_options(Input& in, const World& world, const Peer& peer, Header& header) {
  const unsigned what = in.u8();
  Options& options = header.options;
  if ((what & 1) == 0) {
    const auto clock = static_cast<std::uint32_t>(world.now.time_since_epoch().count() / 1'000'000);
    options.timestamps = {.value = clock, .echo = peer.timestamp};
    if ((what & 2) != 0) options.timestamps->value += static_cast<std::int8_t>(in.u8());
    if ((what & 4) != 0) options.timestamps->echo += static_cast<std::int8_t>(in.u8());
    if ((what & 0x88) == 0x88) options.timestamps->echo = in.u32();
  }
  const unsigned blocks = what >> 4 & 7;
  for (unsigned index = 0; index < std::min(blocks, 4u); ++index) {
    const unsigned unit = (what & 8) != 0 ? 1 : 730;
    const std::uint32_t from = (in.u8() & 1) != 0 ? peer.highest : header.acknowledgment.value;
    const std::uint32_t begin =
        from + unit * static_cast<std::uint32_t>(static_cast<std::int8_t>(in.u8()));
    options.sack.add({{begin}, {begin + unit * in.u8()}});
  }
}

void send_segment(Input& in, World& world, Peer& peer) {
  Header header;
  const unsigned bits = in.u8();
  header.flags = flags_of(bits < 200 ? kFlags[bits % kFlags.size()] : in.u8());
  const unsigned bases = in.u8();
  const std::array<std::uint32_t, 4> sequences{
      peer.acknowledged, peer.acknowledged + peer.window, peer.initial,
      peer.application != nullptr ? peer.application->expected : peer.initial + 1};
  header.sequence = {header.flags.syn && (bases & 0x40) == 0 ? peer.initial : sequences[bases & 3]};
  if ((bases & 4) != 0) header.sequence = header.sequence + in.pick(kDeltas);
  if ((bases & 0x80) != 0) header.sequence = header.sequence + static_cast<std::int8_t>(in.u8());
  const std::array<std::uint32_t, 4> acknowledgments{
      peer.highest, peer.unacknowledged, peer.our_initial + 1,
      peer.unacknowledged + std::min(1460u, peer.highest - peer.unacknowledged)};
  header.acknowledgment = {acknowledgments[bases >> 3 & 3]};
  if ((bases & 0x20) != 0) header.acknowledgment = header.acknowledgment + in.pick(kDeltas);
  const unsigned window = in.u8();
  header.window = window < 240 ? kWindows[window % kWindows.size()] : in.u16();
  if (header.flags.syn) add_syn_options(in, header.options);
  add_options(in, world, peer, header);
  if (header.flags.ack &&
      static_cast<std::int32_t>(header.acknowledgment.value - peer.unacknowledged) > 0) {
    peer.unacknowledged = header.acknowledgment.value;
  }
  const unsigned length = in.u8();
  world.inject(peer, header, header.flags.rst ? 0 : kLengths[length % kLengths.size()],
               static_cast<std::uint8_t>(length >> 6));
}

void connect(Input& in, World& world, Peer& peer) {
  if (peer.application != nullptr && !peer.application->closed) return;
  peer.initial += 0x20000 + in.u8();
  Header syn;
  syn.flags.syn = true;
  const unsigned what = in.u8();
  if ((what & 1) != 0) syn.flags.ece = syn.flags.cwr = true;
  syn.sequence = {peer.initial};
  syn.window = 65535;
  add_syn_options(in, syn.options);
  const auto clock = static_cast<std::uint32_t>(world.now.time_since_epoch().count() / 1'000'000);
  if ((what & 2) == 0) syn.options.timestamps = Timestamps{.value = clock, .echo = 0};
  world.inject(peer, syn, 0);
  world.now += std::chrono::milliseconds(what >> 2);
  Header ack;
  ack.flags.ack = true;
  ack.sequence = {peer.initial + 1};
  ack.acknowledgment = {peer.highest};
  ack.window = in.pick(kWindows);
  if ((what & 2) == 0) ack.options.timestamps = {.value = clock, .echo = peer.timestamp};
  world.inject(peer, ack, 0);
}

void send_raw(Input& in, World& world, Peer& peer) {
  std::vector<std::byte> bytes(std::min<unsigned>(in.u8(), 100));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(in.u8());
  if (bytes.size() >= 4) {
    bytes[0] = static_cast<std::byte>(peer.flow.peer.port >> 8);
    bytes[1] = static_cast<std::byte>(peer.flow.peer.port & 0xff);
    bytes[2] = std::byte{0};
    bytes[3] = std::byte{kPort};
  }
  world.inject(peer, std::move(bytes), in.u8() & 3);
}

void call_application(Input& in, Peer& peer) {
  const unsigned what = in.u8();
  const std::uint16_t bytes = in.u16();
  Application* application = peer.application;
  if (application == nullptr || application->closed) return;
  switch (what % 7) {
    case 0:
    case 1:
      if (application->wants_end || application->offered > kMostOffered) return;
      application->unoffered += 4 * bytes;  // up to more pieces than a plan holds
      return application->stream->wake_sender();
    case 2:
      application->may_take = bytes;
      return application->stream->resume_receive();
    case 3:
      application->may_take = UINT64_MAX;
      return application->stream->resume_receive();
    case 4:
      return application->close();
    case 5:
      if (bytes % 4 == 0) application->stream->abort();
      return;
    default:
      return application->stream->wake_sender();
  }
}

void step(Input& in, World& world) {
  const unsigned operation = in.u8();
  Peer& peer = world.peers[operation >> 6];
  switch (operation & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
      return send_segment(in, world, peer);
    case 4:
      return send_raw(in, world, peer);
    case 5: {
      PathError error;
      const unsigned what = in.u8();
      error.kind = (what & 1) != 0 ? PathError::Kind::unreachable : PathError::Kind::too_big;
      error.flow = peer.flow;
      error.sequence = {peer.unacknowledged + std::uint32_t{in.u8()} * 100};
      error.mtu = (what & 2) != 0 ? in.u16() : 1280 - (what >> 2);
      error.quoted_bytes = error.mtu == 0 ? in.u16() : 1500;
      return world.stack->receive_error(error, world.now);
    }
    case 6:
      world.now += std::chrono::microseconds(in.pick(kStepsMicroseconds));
      return world.stack->advance(world.now);
    case 7:
    case 8: {
      const MonotonicTime until =
          world.now + std::chrono::microseconds(in.pick(kStepsMicroseconds));
      world.run_timers(until, 64);
      return;
    }
    case 9: {
      const unsigned what = in.u8();
      world.accepts = (what & 1) == 0 ? UINT64_MAX : what >> 1 & 7;
      world.lag = (what & 16) == 0 ? 0 : what >> 5;
      return;
    }
    case 10:
    case 11:
    case 12:
      return call_application(in, peer);
    case 13: {
      const unsigned what = in.u8();
      world.habits = (what & 32) == 0 ? 0 : what & 31;
      world.accepts_connections = (what & 0xc0) != 0xc0;
      return;
    }
    case 14:
      return connect(in, world, peer);
    default:
      world.stack->stop_listening();
      if (in.u8() % 4 != 0) world.stack->listen({Address{}, kPort}, world);
      return;
  }
}

// --- the end ---

void expect_silence_to_end_everything(World& world) {
  for (const auto& application : world.applications) {
    if (!application->closed) application->close();
  }
  world.run();
  FUZZ_CHECK(world.run_timers(world.now + std::chrono::hours(24), 20000) < 20000);
  FUZZ_CHECK(world.stack->connections() == 0 && world.stack->half_open() == 0);
  FUZZ_CHECK(world.stack->time_wait() == 0);
  for (const auto& application : world.applications) FUZZ_CHECK(application->closed);
}

// Every peer takes what comes and says so; acknowledgments lie at the right edge of its window, so
// that whatever the program sent before is not newer.
void expect_answers_to_finish_everything(World& world) {
  std::array<Application*, kFlows> owed{};
  for (std::size_t index = 0; index < kFlows; ++index) {
    Peer& peer = world.peers[index];
    ConnectionView view;
    if (peer.application == nullptr || peer.application->closed) continue;
    peer.application->habits = 0;
    peer.application->may_take = UINT64_MAX;
    peer.application->stream->resume_receive();
    world.run();
    if (world.stack->find(peer.flow, &view) == nullptr || peer.application->closed) continue;
    owed[index] = peer.application;
  }
  for (int round = 0; round < 4000; ++round) {
    bool open = false;
    world.run();
    for (std::size_t index = 0; index < kFlows; ++index) {
      Peer& peer = world.peers[index];
      if (owed[index] == nullptr || owed[index]->closed) continue;
      open = true;
      if (owed[index]->unoffered == 0 && !owed[index]->wants_end) owed[index]->close();
      Header header;
      header.flags.ack = true;
      header.sequence = {peer.acknowledged + peer.window};
      header.acknowledgment = {peer.highest};
      header.window = 65535;
      world.inject(peer, header, 0);
    }
    world.run();
    if (!open) break;
    const MonotonicTime until = world.now + std::chrono::milliseconds(20);
    FUZZ_CHECK(world.run_timers(until, 2000) < 2000);
    world.now = std::max(world.now, until);
    world.stack->advance(world.now);
  }
  for (const Application* application : owed) {
    if (application == nullptr) continue;
    FUZZ_CHECK(application->closed && application->reason == CloseReason::finished);
    FUZZ_CHECK(application->released <= application->offered);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  World world;
  const unsigned habits = in.u8();
  constexpr std::array<std::uint16_t, 4> kPackets{1500, 1280, 9000, 1500};
  StackOptions& options = world.options;
  options.maximum_connections = (habits & 1) == 0 ? 4 : 2;
  options.maximum_half_open = (habits & 1) == 0 ? 4 : 1;
  options.maximum_time_wait = 2;
  options.shared_transmissions = (habits & 2) == 0 ? 256 : 4;
  options.receive_chunks = (habits & 4) == 0 ? 64 : 2;
  options.remembered_path_mtus = 2;
  options.pacing = (habits & 8) == 0;
  options.always_cookies = (habits & 16) != 0;
  options.packet_bytes = kPackets[habits >> 5 & 3];
  options.keep_alive = (habits & 0x80) != 0 ? std::chrono::hours(2) : Duration::zero();
  options.secret = {0x1234, 0x5678};
  if ((habits & 0x60) == 0x60) options.receive_window_bytes = 4096;

  constexpr const char* kAddresses[kFlows] = {"192.0.2.1", "192.0.2.2", "2001:db8::1",
                                              "2001:db8::2"};
  for (std::size_t index = 0; index < kFlows; ++index) {
    Peer& peer = world.peers[index];
    peer.flow.peer = {*Address::parse(kAddresses[index]),
                      static_cast<std::uint16_t>(40000 + index)};
    peer.flow.local = {*Address::parse(index < 2 ? "192.0.2.10" : "2001:db8::10"), kPort};
    peer.initial = 0xffffe000 + static_cast<std::uint32_t>(index) * 0x8000;
  }
  world.stack = std::make_unique<Stack>(options, world, world.now);
  world.stack->listen({Address{}, kPort}, world);

  for (int steps = 0; !in.empty() && steps < kMostSteps; ++steps) {
    step(in, world);
    world.run();
  }

  world.accepts = UINT64_MAX;
  world.lag = 0;
  world.run();
  // A last byte decides; short programs are tried both ways by the fuzzer.
  if (size > 0 && (data[size - 1] & 1) != 0) {
    expect_silence_to_end_everything(world);
  } else {
    expect_answers_to_finish_everything(world);
  }
  world.completed();
  FUZZ_CHECK(world.readings.empty());  // who shuts a stack down has stopped its device
  world.stack->shutdown();
  for (const auto& application : world.applications) FUZZ_CHECK(application->closed);
  return 0;
}
