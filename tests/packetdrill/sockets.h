// Sockets: the descriptors a script holds, and what the socket calls mean for a stack that knows
// listeners and streams: bytes written wait in the descriptor until the stream pulls them, bytes
// received stay with the stack, and in its window, until they are read.
//
// Every call returns what the system call would, or a negative errno; -EAGAIN when it would have to
// wait, whether the descriptor may wait or not (the adapter waits). One thread at a time.
#pragma once

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
  static constexpr int kFirstDescriptor = 1000;  // so that a real one is never meant
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

  bool may_wait(int descriptor);

 private:
  Socket* find(int descriptor);
  int add(std::unique_ptr<Socket> socket);
  void listen_again();
  void drop_closed();

  Node& node_;
  std::map<int, std::unique_ptr<Socket>> sockets_;
  // Closed by the script, not yet by the stream.
  std::deque<std::unique_ptr<Socket>> closing_;
  int next_descriptor_ = kFirstDescriptor;
};

}  // namespace nearfield::packetdrill
