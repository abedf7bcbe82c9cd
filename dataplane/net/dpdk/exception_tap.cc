// A TAP without packet information and without offloads: a read is a frame, a write is a frame, and
// the kernel makes its checksums before it hands a frame over. The kernel's queue towards us is
// bounded by the interface's txqueuelen, ours towards it by its backlog.
#include "dataplane/net/dpdk/exception_tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace nearfield::net::dpdk {
namespace {

std::string mend(int error_number) {
  switch (error_number) {
    case EPERM:
    case EACCES:
      return "give the process CAP_NET_ADMIN";
    case ENOENT:
    case ENODEV:
      return "load the kernel's tun module (modprobe tun)";
    case EBUSY:
    case EINVAL:
      return "the name belongs to another interface or to an older one of one queue, choose "
             "another";
    default:
      return "see whether 'ip tuntap add' works here";
  }
}

std::unexpected<Error> refused(const std::string& name, const char* step, int error_number) {
  return failure("exception interface " + name + ": cannot " + step + " (" +
                 std::strerror(error_number) + "): " + mend(error_number));
}

}  // namespace

Result<std::unique_ptr<ExceptionTap>> ExceptionTap::open(const ExceptionTapOptions& options) {
  ifreq request{};
  if (options.name.empty() || options.name.size() >= sizeof request.ifr_name ||
      options.name.find('/') != std::string::npos) {
    return failure("exception interface '" + options.name +
                   "': a name has 1 to 15 characters and no slash");
  }
  std::unique_ptr<ExceptionTap> tap(new ExceptionTap);
  tap->descriptor_ = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap->descriptor_ < 0) return refused(options.name, "open /dev/net/tun", errno);
  std::memcpy(request.ifr_name, options.name.c_str(), options.name.size() + 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
  if (::ioctl(tap->descriptor_, TUNSETIFF, &request) != 0)
    return refused(options.name, "make the interface", errno);

  // A second worker's queue finds all of this done; doing it again changes nothing.
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return refused(options.name, "open a socket", errno);
  const auto set = [&](unsigned long what) { return ::ioctl(socket, what, &request) == 0; };
  const char* failed = nullptr;
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::ranges::copy(options.mac.bytes, request.ifr_hwaddr.sa_data);
  if (!set(SIOCSIFHWADDR)) failed = "set the MAC address";
  request.ifr_mtu = options.mtu;
  if (failed == nullptr && !set(SIOCSIFMTU)) failed = "set the MTU";
  if (failed == nullptr && !set(SIOCGIFFLAGS)) failed = "read the flags";
  request.ifr_flags |= IFF_UP;
  if (failed == nullptr && !set(SIOCSIFFLAGS)) failed = "switch it on";
  const int error_number = errno;
  ::close(socket);
  if (failed != nullptr) return refused(options.name, failed, error_number);

  tap->frame_bytes_ = options.mtu + ip::kMaximumEthernetHeaderBytes;
  tap->buffer_ = std::make_unique<std::byte[]>(tap->frame_bytes_ + 1);
  return tap;
}

ExceptionTap::~ExceptionTap() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool ExceptionTap::to_kernel(std::span<const std::byte> frame) {
  const ssize_t written = ::write(descriptor_, frame.data(), frame.size());
  const bool is_taken = written == static_cast<ssize_t>(frame.size());
  ++(is_taken ? counters_.to_kernel : counters_.to_kernel_lost);
  return is_taken;
}

std::size_t ExceptionTap::from_kernel(ip::FrameSink& sink) {
  std::size_t frames = 0;
  while (frames < kFramesPerTurn) {
    // One byte more than the longest: a frame that fills it has been cut.
    const ssize_t length = ::read(descriptor_, buffer_.get(), frame_bytes_ + 1);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    ++frames;
    const auto bytes = static_cast<std::size_t>(length);
    const bool is_sent = bytes <= frame_bytes_ && sink.send_frame({buffer_.get(), bytes});
    ++(is_sent ? counters_.from_kernel : counters_.from_kernel_lost);
  }
  return frames;
}

}  // namespace nearfield::net::dpdk
