// What of a connection the kernel's struct tcp_info has a field for, in the kernel's units (packets
// and microseconds). Fields the stack knows nothing of stay 0.
#pragma once

#include <linux/tcp.h>

#include <cstdint>

#include "dataplane/net/tcp/connection.h"

namespace nearfield::packetdrill {

tcp_info tcp_information(const net::tcp::ConnectionView& view);
tcp_info closed_tcp_information();
// Sent, and neither acknowledged cumulatively nor released.
std::uint64_t unacknowledged_bytes(const net::tcp::ConnectionView& view);

}  // namespace nearfield::packetdrill
