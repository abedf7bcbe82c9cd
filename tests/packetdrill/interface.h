// The table that packetdrill, Google's script driver for TCP stacks, asks a shared object to fill
// when it is started with --so_filename: declared in our own words, in the order and with the types
// its binary interface has on 64-bit Linux.
//
// What is known of its behaviour, and what the adapter therefore does:
// - packetdrill_interface_init() is called once, before the script's first event, with the text of
//   --so_flags (null without it). The library is opened with its own symbols bound first
//   (RTLD_DEEPBIND), which the address sanitizer does not survive.
// - A failed call is -1 with errno, as of the system call it stands for.
// - Time is ours: usleep() waits, gettimeofday() tells. The driver sleeps until 20 us before an
//   event and then asks for the time until it has come, so a clock must move by being read.
// - netdev_send() carries one whole IP packet from the script to us, checksums filled in. Addresses
//   and ports are the driver's choice (--local_ip, --remote_ip and a fresh port a connection), the
//   local one is that of the script's bind().
// - netdev_receive() is asked for the next packet we send as soon as the script comes to one it
//   expects, not at the time it expects it: it waits, in our time, for the packet, and says when it
//   left. Refusing (-1) is asked again for ever; a length of 0 fails the script.
// - Payload is compared; what a script writes is zeros, and so must be what is sent. Options are
//   compared in their order, with their padding; flags exactly, PSH too; the window and the IP
//   header only where the script names them. Packets that follow each other are one where the
//   script expects one as long as they are together (unless --strict_segments).
// - A call with a time span ("0.1...0.3 accept(...)") is made on a second thread, which the driver
//   watches in /proc until it sleeps; every other call on the first. When such a call returns, the
//   thread asks for the time at once, and that is when the call ended.
// - At the end it closes what is open, in some versions with close(2) itself, injects a RST for
// each
//   connection, in some versions also a UDP packet that it waits to see again, and calls free().
// - "%{ code }%" never reaches us: the driver asks the kernel for TCP_INFO of the descriptor.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <type_traits>

namespace nearfield::packetdrill {

struct Interface {
  void* self;  // handed back as the first argument of every call
  void (*free)(void* self);
  int (*socket)(void* self, int domain, int type, int protocol);
  int (*bind)(void* self, int descriptor, const sockaddr* address, socklen_t address_bytes);
  int (*listen)(void* self, int descriptor, int backlog);
  int (*accept)(void* self, int descriptor, sockaddr* address, socklen_t* address_bytes);
  int (*connect)(void* self, int descriptor, const sockaddr* address, socklen_t address_bytes);
  ssize_t (*read)(void* self, int descriptor, void* bytes, std::size_t count);
  ssize_t (*readv)(void* self, int descriptor, const iovec* vectors, int count);
  ssize_t (*recv)(void* self, int descriptor, void* bytes, std::size_t count, int flags);
  ssize_t (*recvfrom)(void* self, int descriptor, void* bytes, std::size_t count, int flags,
                      sockaddr* address, socklen_t* address_bytes);
  ssize_t (*recvmsg)(void* self, int descriptor, msghdr* message, int flags);
  ssize_t (*write)(void* self, int descriptor, const void* bytes, std::size_t count);
  ssize_t (*writev)(void* self, int descriptor, const iovec* vectors, int count);
  ssize_t (*send)(void* self, int descriptor, const void* bytes, std::size_t count, int flags);
  ssize_t (*sendto)(void* self, int descriptor, const void* bytes, std::size_t count, int flags,
                    const sockaddr* address, socklen_t address_bytes);
  ssize_t (*sendmsg)(void* self, int descriptor, const msghdr* message, int flags);
  int (*fcntl)(void* self, int descriptor, int command, ...);
  int (*ioctl)(void* self, int descriptor, unsigned long request, ...);
  int (*close)(void* self, int descriptor);
  int (*shutdown)(void* self, int descriptor, int how);
  int (*getsockopt)(void* self, int descriptor, int level, int name, void* value,
                    socklen_t* value_bytes);
  int (*setsockopt)(void* self, int descriptor, int level, int name, const void* value,
                    socklen_t value_bytes);
  int (*poll)(void* self, pollfd* descriptors, nfds_t count, int timeout_ms);
  int (*netdev_send)(void* self, const void* packet, std::size_t count);
  // `*count`: in, the room; out, the packet's length. `*time_us`: when it left, by gettimeofday().
  int (*netdev_receive)(void* self, void* packet, std::size_t* count, long long* time_us);
  int (*usleep)(void* self, useconds_t microseconds);
  int (*gettimeofday)(void* self, timeval* time, struct timezone* zone);
  int (*epoll_create)(void* self, int size);
  int (*epoll_ctl)(void* self, int epoll, int operation, int descriptor, epoll_event* event);
  int (*epoll_wait)(void* self, int epoll, epoll_event* events, int most, int timeout_ms);
  int (*pipe)(void* self, int descriptors[2]);
  ssize_t (*splice)(void* self, int from, loff_t* from_offset, int to, loff_t* to_offset,
                    std::size_t count, unsigned int flags);
};

static_assert(std::is_standard_layout_v<Interface>);
static_assert(sizeof(Interface) == 33 * sizeof(void*));

}  // namespace nearfield::packetdrill

extern "C" void packetdrill_interface_init(const char* flags,
                                           nearfield::packetdrill::Interface* interface);
