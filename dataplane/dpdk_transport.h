// The DPDK transport as the node runs it: ports and memory of the node, a queue a worker. Only in
// builds that have DPDK (NEARFIELD_HAS_DPDK).
#pragma once

#include "dataplane/control/config_dpdk.h"
#include "dataplane/control/transport.h"
#include "dataplane/net/dpdk/packet_io.h"

namespace nearfield {

// `config` as it came out of a checked Config with transport dpdk. `wrap` stands before the queues
// of every port: nothing, but in tests.
control::TransportKind dpdk_transport(const control::DpdkConfig& config,
                                      net::dpdk::PacketIoWrapper wrap = {});

}  // namespace nearfield
