// dpdk_bench: what our TCP and the packets of it cost the core that serves: Stack, Transmitter and
// Receiver over a NIC model on one processor, a sink of many clients on another. One run, one line
// of JSON; `./dev bench dpdk` makes many of them.
//
// What counts: the processor time of the server's thread (CLOCK_THREAD_CPUTIME_ID), which leaves
// out when others ran on its processor, less that of turns that found nothing to do. Those are
// timed by the processor's own counter; one that took long was interrupted, and counts as the usual
// one. All that a turn with work does is work, looking at queues included.
#include <pthread.h>
#include <rte_cycles.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cache/arena.h"
#include "cache/blob.h"
#include "dataplane/net/dpdk/eal.h"
#include "dataplane/net/dpdk/external_memory.h"
#include "dataplane/net/dpdk/receiver.h"
#include "dataplane/net/dpdk/transmitter.h"
#include "dataplane/net/tcp/stack.h"
#include "tests/bench/nic_model.h"
#include "tests/bench/sealed_plan.h"
#include "tests/bench/sink.h"

namespace {

using namespace nearfield;
using namespace nearfield::net;
using bench::NicModel;
using bench::Sink;

constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Type: audio/mp4\r\n"
    "Content-Length: 0065536\r\nETag: \"0123456789abcdef\"\r\nCache-Control: max-age=86400\r\n"
    "Accept-Ranges: bytes\r\nAge: 12\r\n\r\n";

struct Options {
  std::uint32_t mtu = 1500;
  bool offloads = false;
  std::uint32_t connections = 1;
  std::uint64_t object_bytes = 64 * 1024;
  std::uint32_t objects = 1;
  double seconds = 0.5;
  std::uint32_t per_super_segment = 1;
  std::uint32_t burst_bytes = 64 * 1024;
  bool hugepages = false;
  bool tls = false;
};

class ArenaSource final : public cache::ExtentSource {
 public:
  explicit ArenaSource(cache::Arena& arena) : arena_(arena) {}
  std::optional<cache::Extent> take_extent(std::size_t bytes) override {
    return arena_.allocate(bytes);
  }
  void give_extent(cache::Extent extent) override { arena_.free(extent); }

 private:
  cache::Arena& arena_;
};

// Sixteen bytes are a request; a head and an object are the answer, in TLS records if there is a
// pool for them.
class Session final : public StreamHandler {
 public:
  void open(Stream& stream, const std::vector<Ref<cache::Blob>>& objects, std::size_t number,
            bench::SealingPool* sealings) {
    stream_ = &stream;
    objects_ = &objects;
    next_object_ = number;
    if (sealings != nullptr) {
      sealed_ = std::make_unique<bench::SealedPlan>();
      sealed_->open(stream, *sealings, number);
    }
  }
  std::size_t on_receive(std::span<const std::byte> bytes) override {
    held_ += bytes.size();
    owed_ += held_ / bench::kRequestBytes;
    held_ %= bench::kRequestBytes;
    stream_->wake_sender();
    return bytes.size();
  }
  void on_receive_end() override { stream_->close_after_send(); }
  void on_send_ready(SendPlan& plan) override {
    for (; owed_ > 0 && (sealed_ ? sealed_->has_room(plan) : plan.room() >= 2); --owed_) {
      const Ref<cache::Blob>& object = (*objects_)[next_object_++ % objects_->size()];
      if (sealed_) {
        sealed_->append(plan, kHead, object);
        continue;
      }
      plan.append_text(kHead);
      plan.append_blob(object, 0, *object->total_bytes());
    }
  }
  void on_closed(CloseReason) override {}

 private:
  Stream* stream_ = nullptr;
  const std::vector<Ref<cache::Blob>>* objects_ = nullptr;
  std::size_t next_object_ = 0;
  std::size_t held_ = 0;
  std::size_t owed_ = 0;
  std::unique_ptr<bench::SealedPlan> sealed_;
};

class Sessions final : public Acceptor {
 public:
  // `sealings` may be null: clear text.
  Sessions(std::size_t count, const std::vector<Ref<cache::Blob>>& objects,
           bench::SealingPool* sealings)
      : sessions_(count), objects_(objects), sealings_(sealings) {}
  StreamHandler* on_accept(Stream& stream) override {
    if (used_ == sessions_.size()) return nullptr;
    sessions_[used_].open(stream, objects_, used_, sealings_);
    return &sessions_[used_++];
  }

 private:
  std::vector<Session> sessions_;
  const std::vector<Ref<cache::Blob>>& objects_;
  bench::SealingPool* const sealings_;
  std::size_t used_ = 0;
};

class OneNeighbour final : public dpdk::NextHop {
 public:
  std::optional<ip::FrameHeader> resolve(const Address&, MonotonicTime) override {
    return ip::FrameHeader{
        .destination = {{2, 0, 0, 0, 0, 2}}, .source = {{2, 0, 0, 0, 0, 1}}, .vlan_id = {}};
  }
};

class ToStack final : public dpdk::PacketHandler {
 public:
  explicit ToStack(tcp::Stack& stack) : stack_(stack) {}
  void on_packet(const dpdk::ReceivedFrame&, const ip::Packet& packet) override {
    stack_.receive(packet.source, packet.destination, packet.ecn, packet.payload, now);
  }
  void on_foreseen(const ip::Packet& packet) override {
    stack_.foresee(packet.source, packet.destination, packet.payload);
  }
  void on_all_foreseen() override { stack_.fetch_foreseen(); }
  void on_frame(const dpdk::ReceivedFrame&) override {}
  void on_rejected(const dpdk::ReceivedFrame&, const ip::Rejection&) override {}
  MonotonicTime now{};

 private:
  tcp::Stack& stack_;
};

void pin(const char* name, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0)
    std::fprintf(stderr, "dpdk_bench: cannot pin %s to processor %d\n", name, processor);
  pthread_setname_np(pthread_self(), name);
}

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

enum class Phase { opening, warming, measuring, over };

struct Measured {
  double work_seconds = 0;
  double thread_seconds = 0;
  double wall_seconds = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t packets = 0;
  std::uint64_t received = 0;
  std::uint64_t turns = 0;
  std::uint64_t idle_turns = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t retransmitted_bytes = 0;
  std::uint64_t refusals = 0;
  std::uint64_t staging_full = 0;
};

// The worker's loop, in the order of DpdkReactor's, until the phase is over.
Measured serve(tcp::Stack& stack, dpdk::Transmitter& transmitter, dpdk::Receiver& receiver,
               const NicModel& nic, const std::atomic<Phase>& phase) {
  pin("server", 0);
  auto thread = dpdk::EalThread::enter();
  if (!thread) std::exit(1);
  ToStack to_stack(stack);
  Measured begin{};
  bool measuring = false;
  std::uint64_t turns = 0;
  std::uint64_t idle_turns = 0;
  std::uint64_t idle_cycles = 0;
  const double hertz = static_cast<double>(rte_get_tsc_hz());
  const auto longest_idle = static_cast<std::uint64_t>(hertz * 5e-6);
  std::uint64_t usual_idle = static_cast<std::uint64_t>(hertz * 100e-9);
  const auto snapshot = [&] {
    Measured now;
    now.thread_seconds = thread_seconds();
    now.wall_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    now.payload_bytes = transmitter.counters().payload_bytes;
    now.copied_bytes = transmitter.counters().copied_bytes;
    now.packets = transmitter.counters().packets;
    now.received = receiver.counters().packets;
    now.retransmitted_bytes = stack.counters().retransmitted_bytes;
    now.refusals = stack.counters().output_refusals;
    now.staging_full = transmitter.counters().staging_full;
    return now;
  };
  std::uint64_t before = rte_rdtsc();
  for (;;) {
    const Phase now_in = phase.load(std::memory_order_relaxed);
    if (now_in == Phase::over) break;
    if (now_in == Phase::measuring && !measuring) {
      measuring = true;
      turns = idle_turns = idle_cycles = 0;
      begin = snapshot();
    }
    const MonotonicTime now = std::chrono::steady_clock::now();
    to_stack.now = now;
    const std::uint64_t sent = transmitter.counters().packets;
    const std::uint32_t freed = nic.freed();
    transmitter.begin_turn(now);
    bool worked = false;
    for (std::size_t burst = 0; burst < 4; ++burst) {
      const std::size_t count = receiver.poll(to_stack);
      worked = worked || count > 0;
      if (count < dpdk::kBurstPackets) break;
    }
    const auto deadline = stack.next_deadline();
    if (deadline && *deadline <= now) {
      worked = true;
      stack.advance(now);
    }
    if (stack.wants_to_run()) stack.transmit(now);
    transmitter.flush();
    // A turn in which the device was full and nothing left was waiting.
    worked = worked || transmitter.counters().packets != sent || nic.freed() != freed;
    ++turns;
    const std::uint64_t after = rte_rdtsc();
    if (!worked) {
      ++idle_turns;
      const std::uint64_t took = after - before;
      if (took < longest_idle) usual_idle = (usual_idle * 7 + took) / 8;
      idle_cycles += took < longest_idle ? took : usual_idle;
    }
    before = after;
  }
  Measured result = snapshot();
  result.thread_seconds -= begin.thread_seconds;
  result.wall_seconds -= begin.wall_seconds;
  result.payload_bytes -= begin.payload_bytes;
  result.copied_bytes -= begin.copied_bytes;
  result.packets -= begin.packets;
  result.received -= begin.received;
  result.retransmitted_bytes -= begin.retransmitted_bytes;
  result.refusals -= begin.refusals;
  result.staging_full -= begin.staging_full;
  result.turns = turns;
  result.idle_turns = idle_turns;
  result.work_seconds = result.thread_seconds - static_cast<double>(idle_cycles) / hertz;
  return result;
}

template <typename T>
T have(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "dpdk_bench: %s\n", result.error().message.c_str());
  std::exit(1);
}

int run(const Options& options) {
  const dpdk::Eal eal = have(dpdk::Eal::start(
      {.pci_devices = {}, .memory_mb = 256, .hugepages = options.hugepages, .log = nullptr}));
  const std::uint64_t arena_bytes =
      options.objects * (options.object_bytes + cache::kBlockBytes) + (8U << 20);
  const auto arena = have(cache::Arena::create({.bytes = arena_bytes, .want_hugepages = true}));
  ArenaSource source(*arena);
  const auto memory = have(dpdk::ExternalMemory::create(arena->memory()));
  std::vector<Ref<cache::Blob>> objects;
  std::vector<std::byte> content(options.object_bytes);
  for (std::uint32_t i = 0; i < options.objects; ++i) {
    for (std::size_t at = 0; at < content.size(); ++at)
      content[at] = static_cast<std::byte>(at * 31 + at / 253 + i);
    auto blob =
        cache::Blob::create(source, cache::Blob::Kind::kept, options.object_bytes, 1U << 20);
    if (blob->write(0, content) != content.size()) {
      std::fprintf(stderr, "dpdk_bench: the arena is too small\n");
      return 1;
    }
    blob->complete();
    objects.push_back(std::move(blob));
  }

  const auto receive_pool =
      have(dpdk::PacketPool::create({.name = "receive", .packets = 4095, .data_bytes = 2048}));
  const auto send_pool =
      have(dpdk::PacketPool::create({.name = "send", .packets = 8191, .data_bytes = 2048}));
  NicModel nic(*receive_pool, options.offloads);
  OneNeighbour neighbour;
  dpdk::TransmitterOptions transmitting;
  transmitting.mtu = static_cast<std::uint16_t>(options.mtu);
  transmitting.capabilities.multiple_segments = true;
  transmitting.capabilities.external_buffers = true;
  transmitting.capabilities.maximum_segments = 64;
  transmitting.capabilities.maximum_packet_segments = 8;
  transmitting.capabilities.receive_checksum = options.offloads;
  transmitting.capabilities.ipv4_checksum = options.offloads;
  transmitting.capabilities.tcp_checksum = options.offloads;
  transmitting.capabilities.segmentation = options.offloads;
  dpdk::Transmitter transmitter(transmitting, nic, *send_pool, neighbour, memory.get());
  dpdk::Receiver receiver(nic, {{2, 0, 0, 0, 0, 1}});

  const std::uint64_t without = resident_bytes();
  tcp::StackOptions stack_options;
  stack_options.packet_bytes = static_cast<std::uint16_t>(options.mtu);
  stack_options.burst_bytes = options.burst_bytes;
  stack_options.secret = {1, 2};
  bench::SealingPool sealings;
  Sessions sessions(options.connections, objects, options.tls ? &sealings : nullptr);
  tcp::Stack stack(stack_options, transmitter, std::chrono::steady_clock::now());
  stack.listen(*Endpoint::parse("192.0.2.1:80"), sessions);

  bench::SinkOptions sinking;
  sinking.connections = options.connections;
  const std::uint64_t clear_bytes = kHead.size() + options.object_bytes;
  const std::uint64_t response_bytes =
      options.tls ? bench::SealedPlan::sealed_bytes(clear_bytes) : clear_bytes;
  sinking.response_bytes = response_bytes;
  sinking.segment_bytes = static_cast<std::uint16_t>(options.mtu - 40);
  sinking.per_super_segment = options.per_super_segment;
  Sink sink(sinking, nic);

  std::atomic<Phase> phase{Phase::opening};
  Measured measured;
  std::thread server([&] { measured = serve(stack, transmitter, receiver, nic, phase); });
  std::thread clients([&] {
    pin("clients", 1);
    sink.run();
  });
  const auto wait = [](double seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  };
  for (int tries = 0; !sink.is_open() && tries < 2000; ++tries) wait(0.005);
  if (!sink.is_open()) {
    std::fprintf(stderr, "dpdk_bench: not every connection could be opened\n");
    std::_Exit(1);
  }
  wait(0.05);
  const std::uint64_t with = resident_bytes();
  phase = Phase::warming;
  sink.begin();
  wait(0.3);
  const std::uint64_t responses = sink.responses();
  const std::uint64_t unexpected = sink.unexpected();
  phase = Phase::measuring;
  wait(options.seconds);
  phase = Phase::over;
  server.join();
  const std::uint64_t answered = sink.responses() - responses;
  sink.stop();
  clients.join();
  const std::uint64_t busy = resident_bytes();

  const double bytes = static_cast<double>(measured.payload_bytes);
  const double response = static_cast<double>(response_bytes);
  std::printf(
      "{\"mtu\": %u, \"tls\": \"%s\", \"offloads\": %s, \"connections\": %u, \"object_bytes\": "
      "%llu, \"objects\": "
      "%u, \"acknowledgments_per_super_segment\": %u, \"nanoseconds_per_byte\": %.5f, "
      "\"gigabytes_per_cpu_second\": %.3f, \"cpu_microseconds_per_request\": %.3f, "
      "\"gigabytes_per_second\": %.3f, \"busy\": %.3f, \"on_processor\": %.3f, \"packets_sent\": "
      "%llu, "
      "\"packets_received\": %llu, \"turns\": %llu, \"idle_turns\": %llu, \"copied_share\": %.4f, "
      "\"retransmitted_bytes\": %llu, \"output_refusals\": %llu, \"staging_full\": %llu, "
      "\"responses\": %llu, "
      "\"unexpected\": %llu, \"connection_bytes\": %zu, \"resident_bytes_per_idle_connection\": "
      "%.0f, \"resident_bytes_per_busy_connection\": %.0f, \"pages\": \"%s\"}\n",
      options.mtu, options.tls ? std::string(sealings.engine().name()).c_str() : "",
      options.offloads ? "true" : "false", options.connections,
      static_cast<unsigned long long>(options.object_bytes), options.objects,
      options.per_super_segment, measured.work_seconds * 1e9 / bytes,
      bytes / measured.work_seconds / 1e9, measured.work_seconds * 1e6 / (bytes / response),
      bytes / measured.wall_seconds / 1e9, measured.work_seconds / measured.wall_seconds,
      measured.thread_seconds / measured.wall_seconds,
      static_cast<unsigned long long>(measured.packets),
      static_cast<unsigned long long>(measured.received),
      static_cast<unsigned long long>(measured.turns),
      static_cast<unsigned long long>(measured.idle_turns),
      static_cast<double>(measured.copied_bytes) / bytes,
      static_cast<unsigned long long>(measured.retransmitted_bytes),
      static_cast<unsigned long long>(measured.refusals),
      static_cast<unsigned long long>(measured.staging_full),
      static_cast<unsigned long long>(answered),
      static_cast<unsigned long long>(sink.unexpected() - unexpected), sizeof(tcp::Connection),
      static_cast<double>(with - without) / options.connections,
      static_cast<double>(busy - without) / options.connections,
      arena->page_kind() == cache::PageKind::huge               ? "huge"
      : arena->page_kind() == cache::PageKind::transparent_huge ? "transparent huge"
                                                                : "normal");
  std::fflush(stdout);
  // Connections hold objects and packets hold connections' bytes: the end of the process is theirs.
  std::_Exit(0);
}

int usage(const char* wrong) {
  std::fprintf(stderr,
               "dpdk_bench: %s\n"
               "usage: dpdk_bench [OPTION VALUE]...\n"
               "  --mtu N             1500 or up to 9000 (default 1500)\n"
               "  --offloads 0|1      a NIC that makes checksums and segments (default 0)\n"
               "  --connections N     1 to 15000 (default 1)\n"
               "  --object N          bytes (default 65536)\n"
               "  --objects N         how many different ones (default 1)\n"
               "  --acknowledgments N a super-segment (default 1)\n"
               "  --burst N           bytes a transmission names at most (default 65536)\n"
               "  --seconds S         measured, after 0.3 s (default 0.5)\n"
               "  --hugepages 0|1     for packets (default 0)\n"
               "  --tls 0|1           answers in TLS 1.3 records, AES-128-GCM (default 0)\n",
               wrong);
  return 2;
}

}  // namespace

int main(int count, char** values) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string name = values[i];
    if (i + 1 == count) return usage(("what about " + name + "?").c_str());
    char* end = nullptr;
    const double value = std::strtod(values[i + 1], &end);
    if (*end != '\0' || value < 0) return usage((name + " wants a number").c_str());
    const auto number = static_cast<std::uint32_t>(value);
    if (name == "--mtu" && number >= 1500 && number <= 9000) {
      options.mtu = number;
    } else if (name == "--offloads" && number <= 1) {
      options.offloads = number == 1;
    } else if (name == "--connections" && number >= 1 && number <= 15000) {
      options.connections = number;
    } else if (name == "--object" && number >= 1) {
      options.object_bytes = number;
    } else if (name == "--objects" && number >= 1) {
      options.objects = number;
    } else if (name == "--acknowledgments" && number >= 1 && number <= 64) {
      options.per_super_segment = number;
    } else if (name == "--burst" && number >= options.mtu) {
      options.burst_bytes = number;
    } else if (name == "--seconds" && value > 0) {
      options.seconds = value;
    } else if (name == "--hugepages" && number <= 1) {
      options.hugepages = number == 1;
    } else if (name == "--tls" && number <= 1) {
      options.tls = number == 1;
    } else {
      return usage((name + " " + values[i + 1] + " is not possible").c_str());
    }
  }
  return run(options);
}
