// The old process's side runs on the control loop and never blocks it: its packets are small and
// the peer reads.
#include "dataplane/control/handover.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <utility>

#include "dataplane/control/handover_message.h"
#include "dataplane/control/log.h"

namespace nearfield::control {
namespace {

constexpr std::chrono::seconds kRefusalPatience{2};

void set_time_out(int descriptor, std::chrono::seconds patience) {
  const timeval time{.tv_sec = patience.count(), .tv_usec = 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
  ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

void close_all(const std::vector<int>& descriptors) {
  for (const int descriptor : descriptors) ::close(descriptor);
}

// The peer is this user or root.
bool is_trusted(int socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

}  // namespace

std::string handover_path(const std::string& control_path) { return control_path + ".handover"; }

HandoverClient::HandoverClient(HandoverClient&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), listeners_(std::move(other.listeners_)) {}

HandoverClient::~HandoverClient() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<HandoverClient> HandoverClient::connect(const std::string& control_path) {
  const std::string path = handover_path(control_path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return failure(std::format("--takeover {}: the path is too long for a socket", control_path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  HandoverClient client(descriptor);
  if (descriptor < 0 ||
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return failure(
        std::format("--takeover {}: nobody hands over at {} ({}); give the control path of the "
                    "running process, or start without "
                    "--takeover",
                    control_path, path, std::strerror(errno)));
  }
  set_time_out(descriptor, kHandoverPatience);
  const auto wrap = [&](const Error& error) {
    return failure(std::format("--takeover {}: {}", control_path, error.message));
  };
  HandoverMessage want;
  want.want_listeners = true;
  if (auto sent = send_handover(descriptor, want); !sent) return wrap(sent.error());
  for (;;) {
    std::vector<int> descriptors;
    const auto message = receive_handover(descriptor, descriptors);
    if (!message) {
      close_all(descriptors);
      return wrap(message.error());
    }
    if (descriptors.size() != message->listeners.size() ||
        client.listeners_.size() + descriptors.size() > kMaximumHandedListeners) {
      close_all(descriptors);
      return wrap(Error{"the other process sent a wrong number of sockets"});
    }
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      auto listener = net::Listener::adopt(descriptors[i]);
      if (!listener) {
        close_all({descriptors.begin() + static_cast<std::ptrdiff_t>(i) + 1, descriptors.end()});
        return wrap(listener.error());
      }
      client.listeners_.push_back(
          {.configured = message->listeners[i].configured,
           .kind = message->listeners[i].tls ? ListenKind::tls : ListenKind::clear,
           .listener = *std::move(listener)});
    }
    if (!message->more) return client;
  }
}

Result<void> HandoverClient::confirm() {
  HandoverMessage ready;
  ready.ready = true;
  if (auto sent = send_handover(descriptor_, ready); !sent) return sent;
  std::vector<int> descriptors;
  const auto answer = receive_handover(descriptor_, descriptors);
  close_all(descriptors);
  if (!answer) return std::unexpected(answer.error());
  if (!answer->draining) return failure("the other process does not drain");
  return {};
}

struct HandoverServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(EventLoop& event_loop, UnixListener unix_listener,
       std::function<std::vector<Offer>()> make_offers, std::function<void()> ready)
      : loop(event_loop),
        listener(std::move(unix_listener)),
        offers(std::move(make_offers)),
        on_ready(std::move(ready)) {}
  ~Impl() {
    if (peer >= 0) ::close(peer);
  }

  bool accept();
  bool read();
  void refuse(int descriptor, std::string why);
  Result<void> offer();
  void part(std::string_view why);
  void let_go();

  EventLoop& loop;
  UnixListener listener;
  std::function<std::vector<Offer>()> offers;
  std::function<void()> on_ready;
  bool closed = false;
  int peer = -1;
  std::uint64_t visit = 0;  // tells one peer's deadline from the next one's
};

// The new process went away or misbehaved: everything is as before.
void HandoverServer::Impl::part(std::string_view why) {
  log(LogLevel::warn,
      "a handover ended before the new process was ready ({}): serving goes on here", why);
  let_go();
}

// Closes the peer's socket once the loop no longer watches it.
void HandoverServer::Impl::let_go() {
  loop.post([descriptor = std::exchange(peer, -1)] { ::close(descriptor); });
}

bool HandoverServer::Impl::accept() {
  if (closed) return false;
  const int descriptor = ::accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
  if (descriptor < 0) return true;
  set_time_out(descriptor,
               std::chrono::seconds(2));  // for sends, of which the peer reads every one
  if (!is_trusted(descriptor) || peer >= 0) {
    refuse(descriptor,
           peer >= 0 ? "another handover is under way" : "only the same user may take over");
    return true;
  }
  peer = descriptor;
  loop.watch_readable(peer, [self = shared_from_this()] { return self->read(); });
  loop.after(kHandoverPatience, [weak = weak_from_this(), mine = ++visit] {
    const auto self = weak.lock();
    // Shutting down makes the descriptor readable: read() then ends the watch and closes.
    if (self && self->peer >= 0 && self->visit == mine) ::shutdown(self->peer, SHUT_RDWR);
  });
  return true;
}

// After its first message: closing a socket with something unread would destroy our answer.
void HandoverServer::Impl::refuse(int descriptor, std::string why) {
  const auto guest = std::make_shared<int>(descriptor);
  loop.watch_readable(descriptor, [self = shared_from_this(), guest, why = std::move(why)] {
    std::vector<int> descriptors;
    (void)receive_handover(*guest, descriptors);  // whatever it asked, the answer is the same
    close_all(descriptors);
    HandoverMessage refusal;
    refusal.error = why;
    (void)send_handover(*guest, refusal);  // a guest that is gone needs no answer
    self->loop.post([open = std::exchange(*guest, -1)] { ::close(open); });
    return false;
  });
  loop.after(kRefusalPatience, [guest] {
    if (*guest >= 0) ::shutdown(*guest, SHUT_RDWR);
  });
}

bool HandoverServer::Impl::read() {
  std::vector<int> descriptors;
  const auto message = receive_handover(peer, descriptors);
  close_all(descriptors);
  if (!message) {
    part(message.error().message);
    return false;
  }
  if (message->want_listeners) {
    if (const auto sent = offer(); !sent) {
      part(sent.error().message);
      return false;
    }
    return true;
  }
  if (!message->ready) {
    part("it sent something else than the protocol says");
    return false;
  }
  log(LogLevel::info, "a new process has taken over: draining");
  // A copy: what is called may end this server.
  const std::function<void()> ready = on_ready;
  ready();
  HandoverMessage draining;
  draining.draining = true;
  (void)send_handover(peer, draining);  // it serves already, told or not
  let_go();
  return false;
}

Result<void> HandoverServer::Impl::offer() {
  const std::vector<Offer> all = offers();
  std::size_t sent = 0;
  do {
    HandoverMessage message;
    std::vector<int> descriptors;
    while (sent < all.size() && descriptors.size() < kListenersPerMessage) {
      message.listeners.push_back({.configured = all[sent].configured,
                                   .local = all[sent].local.text(),
                                   .tls = all[sent].kind == ListenKind::tls});
      descriptors.push_back(all[sent].descriptor);
      ++sent;
    }
    message.more = sent < all.size();
    if (auto result = send_handover(peer, message, descriptors); !result) return result;
  } while (sent < all.size());
  return {};
}

HandoverServer::HandoverServer(EventLoop& loop, UnixListener listener,
                               std::function<std::vector<Offer>()> offers,
                               std::function<void()> on_ready)
    : impl_(std::make_shared<Impl>(loop, std::move(listener), std::move(offers),
                                   std::move(on_ready))) {
  loop.watch_readable(impl_->listener.descriptor(), [impl = impl_] { return impl->accept(); });
}

HandoverServer::~HandoverServer() {
  impl_->closed = true;
  impl_->on_ready = [] {};
  impl_->listener.remove_path();
  // Wakes the watch, which sees `closed` and lets go.
  ::shutdown(impl_->listener.descriptor(), SHUT_RDWR);
}

}  // namespace nearfield::control
