// Host: lwIP as a machine in virtual time. Debian's library is made for threads and the real clock;
// here no thread of it is ever started. Where there is no such thread its core lock is nobody's, so
// the raw interface may be called from ours, and lwIP's time and luck are functions that this
// program defines itself: the dynamic linker prefers them to the library's own (host.cc).
//
// lwIP keeps its state in globals that cannot be put back to their beginning: one Host a process,
// one process a run. Everything of lwIP happens within the calls below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "cache/base/clock.h"
#include "tests/sim/tcp/packet.h"

// lwIP's own, in their headers, which only sources include.
struct ip_addr;

namespace nearfield::sim::lwip {

struct HostOptions {
  std::uint64_t seed = 1;
  std::size_t mtu = 1500;  // told to the server as a maximum segment size
  MonotonicTime start{};
};

class Host {
 public:
  using Send = std::function<void(tcp::Bytes packet)>;

  // `send` gets every packet of lwIP, also those to nobody (router solicitations, reports).
  Host(const HostOptions& options, Send send);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // The clock goes forward only; each of the functions below sees it as it was set last.
  void set_now(MonotonicTime now);
  void receive(std::span<const std::byte> packet);
  void run();                           // lwIP's timers that are due
  MonotonicTime next_deadline() const;  // there is always one: some timers are periodic
  // No connection is left but in TIME-WAIT.
  bool is_quiet() const;

 private:
  MonotonicTime now_;
};

// Where the callers' machine is.
tcp::Address host_address(bool is_v6);  // 198.51.100.1 or 2001:db8::101
void to_lwip(const tcp::Address& address, ip_addr& result);

}  // namespace nearfield::sim::lwip
