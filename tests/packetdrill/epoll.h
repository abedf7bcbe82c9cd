// Epoll: the interest list behind one epoll descriptor of a script. What is ready is the caller's
// business; this remembers what was asked for and what was told already (edges, one-shots).
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <span>

namespace nearfield::packetdrill {

class Epoll {
 public:
  // What a descriptor has: events that are ready, and a number that changes whenever something
  // happened to it.
  struct Readiness {
    std::uint32_t events = 0;
    std::uint64_t happenings = 0;
  };
  using Ask = std::function<Readiness(int descriptor, std::uint32_t events)>;

  // As epoll_ctl(): 0 or a negative errno.
  int control(int operation, int descriptor, const epoll_event* event);
  void forget(int descriptor) { interests_.erase(descriptor); }
  // As epoll_wait() without waiting: how many of `events` were filled.
  int collect(std::span<epoll_event> events, const Ask& ask);

 private:
  struct Interest {
    epoll_event wanted{};
    bool spent = false;      // one-shot, told
    bool was_ready = false;  // at the last look
    std::uint64_t told = 0;  // happenings of the last edge
  };
  std::map<int, Interest> interests_;
};

}  // namespace nearfield::packetdrill
