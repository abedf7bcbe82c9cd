// Nic: one port with everything its workers need of it: packet pools, a queue and a Station each,
// and the order in which those come and go.
//
// Invariant: the port is closed before a Station goes, and pools go last: a driver may hold packets
// until then. Control thread; a Station belongs to its worker from open() on until that has ended.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/base/error.h"
#include "cache/base/siphash.h"
#include "dataplane/net/dpdk/external_memory.h"
#include "dataplane/net/dpdk/packet_io.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "dataplane/net/dpdk/port.h"
#include "dataplane/net/dpdk/station.h"
#include "dataplane/net/ip/routes.h"

namespace nearfield::net::dpdk {

struct NicOptions {
  std::string name;   // as PortOptions::name
  std::string label;  // of its pools; unique in the process, at most 8 characters
  std::uint16_t workers = 1;
  std::uint16_t mtu = 1500;
  std::optional<std::uint16_t> vlan_id;
  // An IPv6 link-local address is made of the MAC address when there are IPv6 ones and none is
  // link-local.
  std::vector<ip::LocalAddress> addresses;
  std::vector<ip::Route> routes;
  std::string exception_tap;  // interface; empty: none
  SipHashKey key;             // secret
  bool interrupts = false;    // workers may wait for packets, where the port can wake them
  PacketIoWrapper wrap;       // of tests: stands before every queue; empty: nothing does
};

class Nic {
 public:
  // `memory` may be null (all payload is copied); else it outlives the Nic. Errors: the port's, the
  // pools', the TAP's, addresses and routes that do not fit.
  static Result<std::unique_ptr<Nic>> open(const NicOptions& options, ExternalMemory* memory);
  ~Nic();
  Nic(const Nic&) = delete;
  Nic& operator=(const Nic&) = delete;

  // Packets come from here on.
  Result<void> start();

  const Port& port() const { return *port_; }
  Station& station(std::uint16_t worker) { return *stations_[worker]; }
  std::uint64_t messages_lost() const;

 private:
  Nic() = default;
  Result<void> make_stations(const NicOptions& options, const ExternalMemory* memory);

  std::vector<std::unique_ptr<PacketPool>> pools_;  // receiving ones, then sending ones
  std::vector<std::unique_ptr<PacketIo>> wrappers_;
  std::vector<std::unique_ptr<Station>> stations_;
  std::unique_ptr<Port> port_;
  ExternalMemory* memory_ = nullptr;  // mapped for the port
};

}  // namespace nearfield::net::dpdk
