// Sockets: the descriptors a script holds, and what the socket calls mean for a stack that knows
// listeners and streams: bytes written wait in the descriptor until the stream pulls them, bytes
// received stay with the stack, and in its window, until they are read.
//
// A descriptor is a real one, of /dev/null: no other file has its number, and drivers that close
// with close(2) what a script leaves open find something to close.
//
// Every call returns what the system call would, or a negative errno; -EAGAIN when it would have to
// wait, whether the descriptor may wait or not (the adapter waits). One thread at a time.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>

#include "dataplane/net/reactor.h"
#include "tests/packetdrill/node.h"

namespace nearfield::packetdrill {

class Socket;

class Sockets {
 public:
  static constexpr std::size_t kMaximumSockets = 1024;
  // What a descriptor takes before a write has to wait.
  static constexpr std::size_t kSendBufferBytes = 16 * 1024 * 1024;

  explicit Sockets(Node& node);
  ~Sockets();

  int socket(int domain, int type, int protocol);
  int bind(int descriptor, const sockaddr* address, socklen_t bytes);
  int listen(int descriptor, int backlog);
  int accept(int descriptor, sockaddr* address, socklen_t* bytes);
  ssize_t read(int descriptor, std::span<std::byte> into, bool peek);
  ssize_t write(int descriptor, std::span<const std::byte> bytes);
  int shutdown(int descriptor, int how);
  int close(int descriptor);
  int fcntl(int descriptor, int command, long argument);
  int ioctl(int descriptor, unsigned long request, int* value);
  int getsockopt(int descriptor, int level, int name, void* value, socklen_t* bytes);
  int setsockopt(int descriptor, int level, int name, const void* value, socklen_t bytes);
  short poll(int descriptor, short events);
  int epoll_create();
  int epoll_control(int epoll, int operation, int descriptor, const epoll_event* event);
  // Does not wait: 0 when nothing is ready.
  int epoll_collect(int epoll, epoll_event* events, int most);

  bool may_wait(int descriptor);

 private:
  Socket* find(int descriptor);
  int add(std::unique_ptr<Socket> socket);
  void release(int descriptor);
  bool end_with_reset(const Socket& socket);
  void listen_again();
  void drop_closed();

  Node& node_;
  std::map<int, std::unique_ptr<Socket>> sockets_;
  // Closed by the script, not yet by the stream.
  std::deque<std::unique_ptr<Socket>> closing_;
};

}  // namespace nearfield::packetdrill
