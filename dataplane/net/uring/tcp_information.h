// What the kernel tells about a TCP connection. In a file of its own because <linux/tcp.h>, which
// has the newer fields, and <netinet/tcp.h> cannot be included together.
#pragma once

#include <cstdint>

namespace nearfield::net::uring {

// tcpi_bytes_acked (RFC 4898 tcpEStatsAppHCThruOctetsAcked); 0 when the socket cannot tell.
std::uint64_t acknowledged_bytes(int descriptor);

}  // namespace nearfield::net::uring
