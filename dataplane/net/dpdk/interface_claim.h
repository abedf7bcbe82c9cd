// InterfaceClaim: that this process, and no other of ours, has packets of its own on an interface
// of the kernel's.
//
// A NIC bound to VFIO has one owner by itself. A kernel's interface has not: two nodes on one each
// get a copy of every packet, and each resets the other's connections. The claim is a name in the
// kernel's abstract socket space (unix(7)): it is of one network namespace, as interfaces are, it
// leaves no file behind, and it ends with the process however that ends. Invariant: whoever holds
// one is alone with it among processes that ask.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/base/error.h"

namespace nearfield::net::dpdk {

class InterfaceClaim {
 public:
  // `devargs`: of a virtual device ("net_af_packet0,iface=eth1"). Nothing for drivers that have an
  // interface to themselves. Errors: another process has it, no descriptors left.
  static Result<std::optional<InterfaceClaim>> take(std::string_view devargs);
  InterfaceClaim(InterfaceClaim&& other) noexcept;
  InterfaceClaim& operator=(InterfaceClaim&&) = delete;
  ~InterfaceClaim();

 private:
  explicit InterfaceClaim(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace nearfield::net::dpdk
