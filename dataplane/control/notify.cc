#include "dataplane/control/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace nearfield::control {

void notify_service_manager(std::string_view state) {
  const char* path =
      std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): nothing here sets it
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr) return;
  const std::size_t length = std::strlen(path);
  if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
    return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return;
  // A manager that does not listen is no reason to stop.
  [[maybe_unused]] const ssize_t sent =
      ::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  ::close(descriptor);
}

}  // namespace nearfield::control
