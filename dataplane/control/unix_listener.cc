#include "dataplane/control/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <format>
#include <utility>

namespace nearfield::control {
namespace {

constexpr int kBacklog = 64;

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return failure(std::format("'{}' cannot be a socket's path: use 1 to {} bytes", path,
                               sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Error bind_error(const std::string& path, int number) {
  switch (number) {
    case ENOENT:
      return Error{std::format(
          "the socket {} cannot be made: there is no folder {}; make it, or choose another path "
          "(node.control, --control)",
          path, folder_of(path))};
    case EACCES:
    case EPERM:
    case EROFS:
      return Error{
          std::format("the socket {} cannot be made: this user may not write to {}; grant it, or "
                      "choose another "
                      "path (node.control, --control)",
                      path, folder_of(path))};
    default:
      return Error{std::format("the socket {} cannot be made: {}", path, std::strerror(number))};
  }
}

enum class Occupant { none, dead, alive, stranger };

Occupant look_at(const std::string& path, const sockaddr_un& address, int type) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return Occupant::none;
  if (!S_ISSOCK(status.st_mode)) return Occupant::stranger;
  const int probe = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return Occupant::alive;
  const int result = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int number = errno;
  ::close(probe);
  return result != 0 && number == ECONNREFUSED ? Occupant::dead : Occupant::alive;
}

}  // namespace

Result<UnixListener> UnixListener::open(const std::string& path, Kind kind, mode_t mode,
                                        IfAlive if_alive) {
  const int type = kind == Kind::stream ? SOCK_STREAM : SOCK_SEQPACKET;
  const auto final_address = socket_address(path);
  if (!final_address) return std::unexpected(final_address.error());
  switch (look_at(path, *final_address, type)) {
    case Occupant::none:
    case Occupant::dead:
      break;
    case Occupant::stranger:
      return failure(
          std::format("{} exists and is not a socket: remove it, or choose another path "
                      "(node.control, --control)",
                      path));
    case Occupant::alive:
      if (if_alive == IfAlive::replace) break;
      return failure(
          std::format("a running process answers on {}: stop it, choose another path "
                      "(node.control, --control), or replace it "
                      "without a gap with --takeover {}",
                      path, path));
  }

  // Bound and listening under another name first: whoever sees the path can connect.
  const std::string temporary = std::format("{}.{}.new", path, ::getpid());
  const auto temporary_address = socket_address(temporary);
  if (!temporary_address) return std::unexpected(temporary_address.error());
  UnixListener listener;
  listener.descriptor_ = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener.descriptor_ < 0) return std::unexpected(bind_error(path, errno));
  ::unlink(temporary.c_str());
  if (::bind(listener.descriptor_, reinterpret_cast<const sockaddr*>(&*temporary_address),
             sizeof(*temporary_address)) != 0) {
    return std::unexpected(bind_error(path, errno));
  }
  struct stat status{};
  if (::chmod(temporary.c_str(), mode) != 0 || ::listen(listener.descriptor_, kBacklog) != 0 ||
      ::stat(temporary.c_str(), &status) != 0 ||
      std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int number = errno;
    ::unlink(temporary.c_str());
    return std::unexpected(bind_error(path, number));
  }
  listener.path_ = path;
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  return listener;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
    descriptor_ = std::exchange(other.descriptor_, -1);
    device_ = other.device_;
    inode_ = other.inode_;
  }
  return *this;
}

UnixListener::~UnixListener() { remove(); }

int UnixListener::release_descriptor() { return std::exchange(descriptor_, -1); }

void UnixListener::remove() {
  if (descriptor_ >= 0) ::close(descriptor_);
  remove_path();
}

void UnixListener::remove_path() {
  if (path_.empty()) return;
  struct stat status{};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
  path_.clear();
}

}  // namespace nearfield::control
