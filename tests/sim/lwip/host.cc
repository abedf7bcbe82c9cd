// lwIP brought to virtual time; see host.h.
#include "tests/sim/lwip/host.h"

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/ip6_addr.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "cache/base/assert.h"
#include "tests/sim/sim_random.h"

namespace nearfield::sim::lwip {
namespace {

// What lwIP calls has no argument for us: the one host of this process.
struct World {
  netif interface{};
  Host::Send send;
  Random random{0};
  std::uint64_t milliseconds = 0;  // since the run began
  std::uint32_t clock_offset = 0;
  std::uint64_t clock_reads = 0;
  std::uint32_t initial_sequence = 0;
  bool exists = false;
};
World world;

std::uint64_t to_milliseconds(MonotonicTime now) {
  return static_cast<std::uint64_t>(now.time_since_epoch() / std::chrono::milliseconds(1));
}

err_t send_packet(pbuf* packet) {
  tcp::Bytes bytes(packet->tot_len);
  pbuf_copy_partial(packet, bytes.data(), packet->tot_len, 0);
  world.send(std::move(bytes));
  return ERR_OK;
}

err_t make_interface(netif* interface) {
  interface->name[0] = 's';
  interface->name[1] = 'm';
  interface->mtu = static_cast<std::uint16_t>(reinterpret_cast<std::uintptr_t>(interface->state));
  interface->output = [](netif*, pbuf* packet, const ip4_addr_t*) { return send_packet(packet); };
  interface->output_ip6 = [](netif*, pbuf* packet, const ip6_addr_t*) {
    return send_packet(packet);
  };
  return ERR_OK;
}

}  // namespace

tcp::Address host_address(bool is_v6) {
  return is_v6 ? tcp::make_v6(0x101) : tcp::make_v4(198, 51, 100, 1);
}

void to_lwip(const tcp::Address& address, ip_addr& result) {
  result = {};
  if (address.is_v6) {
    std::memcpy(&ip_2_ip6(&result)->addr, address.octets.data(), 16);
    IP_SET_TYPE_VAL(result, IPADDR_TYPE_V6);
  } else {
    std::memcpy(&ip_2_ip4(&result)->addr, address.octets.data(), 4);
    IP_SET_TYPE_VAL(result, IPADDR_TYPE_V4);
  }
}

Host::Host(const HostOptions& options, Send send) : now_(options.start) {
  NEARFIELD_ASSERT(!world.exists);
  world.exists = true;
  world.send = std::move(send);
  world.random = Random(options.seed);
  // One run in four sees lwIP's clock wrap, one in four its sequence numbers.
  world.clock_offset = world.random.between(0, 3) == 0
                           ? static_cast<std::uint32_t>(-world.random.between(0, 20'000))
                           : static_cast<std::uint32_t>(world.random.next());
  world.clock_offset -= static_cast<std::uint32_t>(to_milliseconds(options.start));
  world.initial_sequence = world.random.between(0, 3) == 0
                               ? static_cast<std::uint32_t>(-world.random.between(1, 300'000))
                               : static_cast<std::uint32_t>(world.random.next());
  set_now(options.start);
  lwip_init();
  // Its timers were begun by our clock, or else the run would be one of real time.
  NEARFIELD_ASSERT(world.clock_reads > 0);

  ip_addr_t v4;
  to_lwip(host_address(false), v4);
  ip4_addr_t mask;
  ip4_addr_t gateway;
  IP4_ADDR(&mask, 255, 255, 255, 0);
  IP4_ADDR(&gateway, 198, 51, 100, 254);
  netif* added = netif_add(&world.interface, ip_2_ip4(&v4), &mask, &gateway,
                           reinterpret_cast<void*>(options.mtu), make_interface, ip_input);
  NEARFIELD_ASSERT(added != nullptr);
  netif_set_default(added);
  netif_set_link_up(added);
  netif_set_up(added);
  ip_addr_t v6;
  to_lwip(host_address(true), v6);
  netif_ip6_addr_set(added, 0, ip_2_ip6(&v6));
  netif_ip6_addr_set_state(added, 0, IP6_ADDR_PREFERRED);
}

void Host::set_now(MonotonicTime now) {
  NEARFIELD_ASSERT(now >= now_);
  now_ = now;
  world.milliseconds = to_milliseconds(now);
}

void Host::receive(std::span<const std::byte> packet) {
  if (packet.empty()) return;
  const auto size = static_cast<std::uint16_t>(packet.size());
  // Not from the pool: in Debian's build of lwIP 2.2.1 its elements have 616 bytes, while
  // pbuf_alloc() fills 1,560 of them.
  pbuf* buffer = pbuf_alloc(PBUF_RAW, size, PBUF_RAM);
  NEARFIELD_ASSERT(buffer != nullptr);
  pbuf_take(buffer, packet.data(), size);
  if (world.interface.input(buffer, &world.interface) != ERR_OK) pbuf_free(buffer);
}

void Host::run() { sys_check_timeouts(); }

MonotonicTime Host::next_deadline() const {
  const auto at = to_milliseconds(now_) + sys_timeouts_sleeptime();
  return std::max(now_, MonotonicTime(std::chrono::milliseconds(at)));
}

bool Host::is_quiet() const { return tcp_active_pcbs == nullptr; }

}  // namespace nearfield::sim::lwip

// In place of the library's own functions of these names.
extern "C" {

std::uint32_t sys_now() {
  using nearfield::sim::lwip::world;
  ++world.clock_reads;
  return static_cast<std::uint32_t>(world.milliseconds) + world.clock_offset;
}

unsigned int lwip_port_rand() {
  return static_cast<unsigned int>(nearfield::sim::lwip::world.random.next());
}

// lwIP counts from a constant; this is a clock as RFC 9293 3.4.1 has it (one step in 4
// microseconds), and a stretch for each connection, so that one never begins within the bytes of
// the one before.
std::uint32_t tcp_next_iss(tcp_pcb* /*pcb*/) {
  using nearfield::sim::lwip::world;
  world.initial_sequence += 200'000;
  return world.initial_sequence + static_cast<std::uint32_t>(world.milliseconds * 250);
}

}  // extern "C"
