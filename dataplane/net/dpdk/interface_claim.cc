#include "dataplane/net/dpdk/interface_claim.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace nearfield::net::dpdk {
namespace {

// The interface that these drivers share with the kernel and with whoever else opens it.
std::string_view shared_interface(std::string_view devargs) {
  constexpr std::string_view kArgument = ",iface=";
  if (!devargs.starts_with("net_af_packet") && !devargs.starts_with("net_af_xdp")) return {};
  const std::size_t at = devargs.find(kArgument);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = devargs.substr(at + kArgument.size());
  return rest.substr(0, rest.find(','));
}

}  // namespace

Result<std::optional<InterfaceClaim>> InterfaceClaim::take(std::string_view devargs) {
  const std::string interface(shared_interface(devargs));
  if (interface.empty()) return std::nullopt;
  // The first byte is zero: no file.
  const std::string name = std::string(1, '\0') + "nearfield/port/" + interface;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::min(name.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, name.data(), length);
  InterfaceClaim claim(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (claim.descriptor_ < 0)
    return failure("no socket to claim interface " + interface + " with: " + std::strerror(errno));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (::bind(claim.descriptor_, reinterpret_cast<const sockaddr*>(&address), size) == 0)
    return claim;
  if (errno == EADDRINUSE) {
    return failure("another port, of this node or of another process, has interface " + interface +
                   ": end that one first, or give this one an interface of its own");
  }
  return failure("interface " + interface + " cannot be claimed: " + std::strerror(errno));
}

InterfaceClaim::InterfaceClaim(InterfaceClaim&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

InterfaceClaim::~InterfaceClaim() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace nearfield::net::dpdk
