#include "dataplane/net/uring/tcp_information.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace nearfield::net::uring {

std::uint64_t acknowledged_bytes(int descriptor) {
  tcp_info information{};
  socklen_t length = sizeof(information);
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &information, &length) != 0) return 0;
  return information.tcpi_bytes_acked;
}

}  // namespace nearfield::net::uring
