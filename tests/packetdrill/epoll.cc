// See epoll.h.
#include "tests/packetdrill/epoll.h"

#include <cerrno>

namespace nearfield::packetdrill {

int Epoll::control(int operation, int descriptor, const epoll_event* event) {
  const auto found = interests_.find(descriptor);
  const bool known = found != interests_.end();
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (known) return -EEXIST;
      interests_[descriptor].wanted = *event;
      return 0;
    case EPOLL_CTL_MOD:
      if (!known) return -ENOENT;
      found->second = Interest{.wanted = *event};
      return 0;
    case EPOLL_CTL_DEL:
      if (!known) return -ENOENT;
      interests_.erase(found);
      return 0;
    default:
      return -EINVAL;
  }
}

int Epoll::collect(std::span<epoll_event> events, const Ask& ask) {
  std::size_t count = 0;
  for (auto& [descriptor, interest] : interests_) {
    if (count == events.size()) break;
    if (interest.spent) continue;
    const Readiness now = ask(descriptor, interest.wanted.events);
    const bool was_ready = interest.was_ready;
    interest.was_ready = now.events != 0;
    if (now.events == 0) continue;
    const bool edge = (interest.wanted.events & EPOLLET) != 0;
    if (edge && was_ready && interest.told == now.happenings) continue;
    interest.told = now.happenings;
    interest.spent = (interest.wanted.events & EPOLLONESHOT) != 0;
    events[count].events = now.events;
    events[count].data = interest.wanted.data;
    ++count;
  }
  return static_cast<int>(count);
}

}  // namespace nearfield::packetdrill
