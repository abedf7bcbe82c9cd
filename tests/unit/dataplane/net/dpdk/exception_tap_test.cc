// The kernel as a peer, in a network namespace of the test's own (skipped where the process may not
// make one): what is written arrives at a packet socket, what that sends is read back.
#include "dataplane/net/dpdk/exception_tap.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "CppUTest/TestHarness.h"

namespace nearfield::net::dpdk {
namespace {

constexpr ip::MacAddress kMac{{2, 0, 0, 0, 0, 9}};
constexpr std::uint16_t kExperimental = 0x88b5;  // EtherType for local experiments (IEEE 802)

// In a thread of its own, whose namespace goes with it. False: not permitted, nothing was tested.
template <typename Body>
bool in_namespace(Body body) {
  bool permitted = false;
  std::thread([&] {
    permitted = ::unshare(CLONE_NEWNET) == 0;
    if (permitted) body();
  }).join();
  return permitted;
}

class Collector final : public ip::FrameSink {
 public:
  bool send_frame(std::span<const std::byte> frame) override {
    if (frames.size() >= room) return false;
    frames.emplace_back(frame.begin(), frame.end());
    return true;
  }
  std::size_t room = 1000;
  std::vector<std::vector<std::byte>> frames;
};

std::vector<std::byte> experimental_frame(std::size_t bytes) {
  std::vector<std::byte> frame(bytes, std::byte{0x33});
  ip::write_ethernet({kMac, {{2, 0, 0, 0, 0, 8}}, {}, kExperimental}, frame);
  return frame;
}

// Frames of our type on the interface, in and out.
int packet_socket(const char* name) {
  const int socket = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kExperimental));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(kExperimental);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(name));
  if (::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
  return socket;
}

}  // namespace

TEST_GROUP(ExceptionTap){};

TEST(ExceptionTap, refuses_names_no_interface_can_have) {
  CHECK_FALSE(ExceptionTap::open({.name = "", .mac = kMac}).has_value());
  CHECK_FALSE(ExceptionTap::open({.name = "sixteen-is-longer", .mac = kMac}).has_value());
  CHECK_FALSE(ExceptionTap::open({.name = "a/b", .mac = kMac}).has_value());
}

TEST(ExceptionTap, carries_frames_both_ways) {
  bool arrived = false;
  bool came_back = false;
  bool is_set_up = false;
  const bool permitted = in_namespace([&] {
    auto tap = ExceptionTap::open({.name = "exception0", .mac = kMac, .mtu = 1400});
    if (!tap) return;
    const int socket = packet_socket("exception0");
    ifreq request{};
    std::strcpy(request.ifr_name, "exception0");
    is_set_up = ::ioctl(socket, SIOCGIFHWADDR, &request) == 0 &&
                std::memcmp(request.ifr_hwaddr.sa_data, kMac.bytes.data(), 6) == 0 &&
                ::ioctl(socket, SIOCGIFMTU, &request) == 0 && request.ifr_mtu == 1400 &&
                ::ioctl(socket, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;

    const auto frame = experimental_frame(1000);
    if (!(*tap)->to_kernel(frame)) return;
    std::array<std::byte, 2000> buffer;
    pollfd readable{.fd = socket, .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, 5000);
    const ssize_t length = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    arrived = length == 1000 && std::memcmp(buffer.data(), frame.data(), frame.size()) == 0;

    ::send(socket, frame.data(), frame.size(), 0);
    Collector collector;
    for (int i = 0; i < 50 && !came_back; ++i) {  // the kernel says hello too (IPv6)
      readable.fd = (*tap)->descriptor();
      ::poll(&readable, 1, 100);
      (*tap)->from_kernel(collector);
      for (const auto& received : collector.frames) came_back = came_back || received == frame;
    }
    ::close(socket);
  });
  if (!permitted) return;
  CHECK(is_set_up);
  CHECK(arrived);
  CHECK(came_back);
}

TEST(ExceptionTap, moves_a_bounded_number_a_turn_and_counts_what_is_lost) {
  std::size_t first = 0;
  ExceptionTapCounters counters;
  std::size_t collected = 0;
  const bool permitted = in_namespace([&] {
    auto tap = ExceptionTap::open({.name = "exception1", .mac = kMac, .mtu = 1500});
    if (!tap) return;
    const int socket = packet_socket("exception1");
    const auto frame = experimental_frame(100);
    for (int i = 0; i < 40; ++i) ::send(socket, frame.data(), frame.size(), 0);
    Collector collector;
    collector.room = 10;
    first = (*tap)->from_kernel(collector);
    while ((*tap)->from_kernel(collector) > 0) {
    }
    (*tap)->to_kernel(std::vector<std::byte>(3));  // no frame
    counters = (*tap)->counters();
    collected = collector.frames.size();
    ::close(socket);
  });
  if (!permitted) return;
  CHECK_EQUAL(ExceptionTap::kFramesPerTurn, first);
  CHECK_EQUAL(10U, collected);
  CHECK_EQUAL(10U, counters.from_kernel);
  CHECK(counters.from_kernel_lost >= 30);
  CHECK_EQUAL(1U, counters.to_kernel_lost);
}

TEST(ExceptionTap, gives_each_worker_a_queue_of_one_interface) {
  bool both = false;
  bool gone = false;
  const bool permitted = in_namespace([&] {
    {
      auto first = ExceptionTap::open({.name = "exception2", .mac = kMac});
      auto second = ExceptionTap::open({.name = "exception2", .mac = kMac});
      both = first.has_value() && second.has_value();
    }
    gone = ::if_nametoindex("exception2") == 0;
  });
  if (!permitted) return;
  CHECK(both);
  CHECK(gone);
}

}  // namespace nearfield::net::dpdk
