// Listener: a listening TCP socket for one worker, made here or taken over from another process.
//
// With SO_REUSEPORT every worker has its own socket and queue at the same address, and a new
// process can listen beside the one it replaces. The awkward part is that SO_REUSEPORT hides a
// stranger only of another user: a socket of ours that some other program made without it still
// answers "address in use", and the message must say which address and how to look.
#pragma once

#include "cache/base/error.h"
#include "dataplane/net/endpoint.h"

namespace nearfield::net {

enum class AddressFamilies {
  as_given,  // [::] (and :80, *:80) listens for both families, any other address for its own
  v6_only    // [::] without the mapped IPv4 addresses
};

struct ListenerOptions {
  int backlog = 4096;  // the kernel cuts it to net.core.somaxconn
  AddressFamilies families = AddressFamilies::as_given;
};

// Owns a listening descriptor. Move-only; closes on destruction.
class Listener {
 public:
  // Binds and listens, with SO_REUSEPORT, SO_REUSEADDR and TCP_NODELAY (which accepted connections
  // inherit). Falls back from [::] to 0.0.0.0 on a machine without IPv6. Port 0 takes a free one;
  // local() tells which.
  static Result<Listener> open(const Endpoint& endpoint, const ListenerOptions& options = {});
  // Takes over a descriptor passed by another process (socket activation, restart) after checking
  // that it is a listening TCP socket. Closes it when it is not.
  static Result<Listener> adopt(int descriptor);

  Listener() = default;
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  int descriptor() const { return descriptor_; }
  const Endpoint& local() const { return local_; }
  // Gives the descriptor away.
  int release();

 private:
  Listener(int descriptor, const Endpoint& local) : descriptor_(descriptor), local_(local) {}
  int descriptor_ = -1;
  Endpoint local_;
};

}  // namespace nearfield::net
