// UnixListener: a listening Unix socket under a path: made so that the path never names a socket
// that does not listen, and removed at the end only if the path is still ours (a process that took
// over has put its own there).
#pragma once

#include <sys/types.h>

#include <string>

#include "cache/base/error.h"

namespace nearfield::control {

class UnixListener {
 public:
  enum class Kind { stream, sequenced_packets };
  enum class IfAlive {
    refuse,  // somebody answers there: fail, and say so
    replace  // put ours in its place in one step; who is connected to the old one stays so
  };

  // What is left of a dead process at `path` is replaced. `mode`: file permissions, e.g. 0660.
  // Non-blocking, close-on-exec.
  static Result<UnixListener> open(const std::string& path, Kind kind, mode_t mode,
                                   IfAlive if_alive);

  UnixListener() = default;
  UnixListener(UnixListener&& other) noexcept;
  UnixListener& operator=(UnixListener&& other) noexcept;
  ~UnixListener();

  int descriptor() const { return descriptor_; }
  // Gives the descriptor away; the path is still removed at the end.
  int release_descriptor();
  // Removes the path now, if it is still ours; whoever is connected stays so.
  void remove_path();

 private:
  void remove();

  std::string path_;
  int descriptor_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace nearfield::control
