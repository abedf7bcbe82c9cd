// link_relay: the simulation's link in real time, between two network namespaces, each with a
// point-to-point TUN interface. Every flow has a link of its own, replayed from the seed and the
// client's port, so that a server and another one meet the same luck. With --stack the server is
// our own TCP inside of this program and the link begins at its packets; else it is whoever listens
// in the server's namespace.
//
//   client's namespace  tun nf_client 198.18.0.2  <->  198.18.0.1 nf_server  server's namespace
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "tests/sim/tcp/link.h"
#include "tests/sim/tcp/stack_server.h"

namespace {

using namespace nearfield;
using namespace nearfield::sim::tcp;

struct Options {
  std::string server_namespace;  // empty: our stack
  std::string client_namespace;
  double loss = 0;
  double round_trip_ms = 10;
  double megabits = 100;
  std::uint64_t seed = 1;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "link_relay: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

// Back in the first namespace afterwards: a descriptor stays of the one it was opened in.
int open_tun(const std::string& space, const char* name) {
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
  if (home < 0 || there < 0) fail("no network namespace " + space);
  if (setns(there, CLONE_NEWNET) != 0) fail("entering " + space);
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request) != 0) fail(std::string("making ") + name);
  if (setns(home, CLONE_NEWNET) != 0) fail("coming back");
  close(home);
  close(there);
  return tun;
}

// The port at the client's end: of TCP over IPv4 alone, which is all that is asked for here.
unsigned client_port(std::span<const std::byte> packet, bool from_client) {
  if (packet.size() < 40 || (std::to_integer<unsigned>(packet[0]) >> 4) != 4 ||
      std::to_integer<unsigned>(packet[9]) != 6) {
    return 0;
  }
  const std::size_t at = (std::to_integer<std::size_t>(packet[0]) & 15) * 4 + (from_client ? 0 : 2);
  return std::to_integer<unsigned>(packet[at]) << 8 | std::to_integer<unsigned>(packet[at + 1]);
}

class Relay {
 public:
  explicit Relay(const Options& options) : options_(options) {
    client_ = open_tun(options.client_namespace, "nf_client");
    if (!options.server_namespace.empty()) {
      server_ = open_tun(options.server_namespace, "nf_server");
      return;
    }
    StackServerOptions serving;
    serving.seed = options.seed;
    serving.stack = small_stack(options.seed);
    serving.stack.shared_transmissions = 65536;
    serving.stack.maximum_connections = 256;
    serving.stack.maximum_time_wait = 4096;
    serving.stack.maximum_half_open = 64;
    stack_ = std::make_unique<StackServer>(serving, [this](std::span<const std::byte> packet) {
      offer({packet.begin(), packet.end()}, false, now_);
    });
  }

  [[noreturn]] void run() {
    std::printf("ready\n");
    std::fflush(stdout);
    for (;;) {
      now_ = std::chrono::steady_clock::now();
      while (events_.next_at() && *events_.next_at() <= now_) events_.run_next();
      if (stack_) serve();
      wait();
      now_ = std::chrono::steady_clock::now();
      take(client_, true);
      if (server_ >= 0) take(server_, false);
    }
  }

 private:
  struct Path {
    Path(const LinkOptions& to_server, const LinkOptions& to_client, std::uint64_t seed,
         MonotonicTime start, EventQueue& events, Link::Ends server, Link::Ends client)
        : up(to_server, seed * 2, start, events, std::move(server)),
          down(to_client, seed * 2 + 1, start, events, std::move(client)) {}
    Link up;
    Link down;
  };

  void serve() {
    const auto deadline = stack_->next_deadline();
    for (int turn = 0; turn < 64 && (stack_->wants_to_run() || (deadline && *deadline <= now_));
         ++turn) {
      stack_->run(now_);
      if (!stack_->wants_to_run()) break;
    }
  }

  void wait() {
    std::optional<MonotonicTime> until = events_.next_at();
    if (stack_) {
      const auto deadline = stack_->next_deadline();
      if (deadline && (!until || *deadline < *until)) until = deadline;
      if (stack_->wants_to_run()) until = now_;
    }
    timespec time{1, 0};
    if (until) {
      const auto left = std::max(Duration{}, *until - std::chrono::steady_clock::now()).count();
      time = {left / 1'000'000'000, left % 1'000'000'000};
    }
    std::array<pollfd, 2> ends{{{client_, POLLIN, 0}, {server_, POLLIN, 0}}};
    ppoll(ends.data(), server_ >= 0 ? 2 : 1, &time, nullptr);
  }

  void take(int tun, bool from_client) {
    for (int i = 0; i < 64; ++i) {
      const ssize_t got = read(tun, buffer_.data(), buffer_.size());
      if (got <= 0) return;
      offer({buffer_.begin(), buffer_.begin() + got}, from_client, now_);
    }
  }

  // The link of a flow begins with its SYN; a port that comes again begins anew.
  void offer(Bytes packet, bool from_client, MonotonicTime now) {
    const unsigned port = client_port(packet, from_client);
    if (port == 0) return;
    auto& path = paths_[port];
    if (!path) {
      LinkOptions up;
      up.bits_per_second = static_cast<std::uint64_t>(options_.megabits * 1e6);
      up.delay = Duration(static_cast<std::int64_t>(options_.round_trip_ms * 1e6 / 2));
      // One round trip's worth, at least 64 KiB: what a well-kept access line has.
      up.queue_bytes = std::max<std::size_t>(
          64 * 1024,
          static_cast<std::size_t>(options_.megabits * 125000 * options_.round_trip_ms / 1000));
      LinkOptions down = up;
      down.loss = options_.loss;
      path = std::make_unique<Path>(
          up, down, options_.seed * 65536 + port, now, events_,
          Link::Ends{[this](Bytes arrived, MonotonicTime at) { to_server(arrived, at); }, {}, {}},
          Link::Ends{[this](Bytes arrived, MonotonicTime) { write_to(client_, arrived); }, {}, {}});
    }
    (from_client ? path->up : path->down).offer(std::move(packet), now);
  }

  void to_server(const Bytes& packet, MonotonicTime at) {
    if (!stack_) return write_to(server_, packet);
    stack_->receive(packet, std::max(at, now_));
  }

  static void write_to(int tun, const Bytes& packet) {
    // A full interface loses it, as the wire would.
    [[maybe_unused]] const ssize_t written = write(tun, packet.data(), packet.size());
  }

  const Options options_;
  int client_ = -1;
  int server_ = -1;
  EventQueue events_;
  std::map<unsigned, std::unique_ptr<Path>> paths_;
  std::unique_ptr<StackServer> stack_;
  MonotonicTime now_{};
  std::array<std::byte, 65536> buffer_{};
};

}  // namespace

int main(int count, char** values) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = values[i];
    const std::string value = values[i + 1];
    if (name == "--server-namespace") {
      options.server_namespace = value;
    } else if (name == "--client-namespace") {
      options.client_namespace = value;
    } else if (name == "--loss") {
      options.loss = std::strtod(value.c_str(), nullptr);
    } else if (name == "--rtt-ms") {
      options.round_trip_ms = std::strtod(value.c_str(), nullptr);
    } else if (name == "--mbit") {
      options.megabits = std::strtod(value.c_str(), nullptr);
    } else if (name == "--seed") {
      options.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else {
      std::fprintf(
          stderr,
          "usage: link_relay --client-namespace NAME [--server-namespace NAME] [--loss P] "
          "[--rtt-ms N] [--mbit N] [--seed N]\nwithout a server's namespace our TCP is the "
          "server\n");
      return 2;
    }
  }
  prctl(PR_SET_TIMERSLACK, 1000);
  auto relay = std::make_unique<Relay>(options);
  relay->run();
}
