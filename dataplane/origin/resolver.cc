// One lock for everything shared; it is never held while a name is looked up, and always while an
// answer is posted.
#include "dataplane/origin/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <format>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

namespace nearfield::origin {
namespace {

std::optional<net::Address> address_of(const sockaddr* address) {
  net::Address result;
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    std::memcpy(result.bytes.data(), &v6->sin6_addr, 16);
    return result;
  }
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    result.bytes[10] = result.bytes[11] = 0xff;
    std::memcpy(result.bytes.data() + 12, &v4->sin_addr, 4);
    return result;
  }
  return std::nullopt;
}

}  // namespace

std::vector<net::Address> interleave_families(const std::vector<net::Address>& addresses) {
  std::vector<net::Address> result;
  if (addresses.empty()) return result;
  std::vector<net::Address> first_family;
  std::vector<net::Address> second_family;
  for (const net::Address& address : addresses) {
    auto& family = address.is_v4() == addresses.front().is_v4() ? first_family : second_family;
    if (std::ranges::find(family, address) == family.end()) family.push_back(address);
  }
  for (std::size_t i = 0;
       result.size() < kMaximumAddresses && (i < first_family.size() || i < second_family.size());
       ++i) {
    if (i < first_family.size()) result.push_back(first_family[i]);
    if (i < second_family.size() && result.size() < kMaximumAddresses) {
      result.push_back(second_family[i]);
    }
  }
  return result;
}

Resolution look_up_by_system(const std::string& host) {
  // No AI_ADDRCONFIG: it hides 127.0.0.1 and ::1 on a machine (or namespace) that has only a
  // loopback interface.
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) return {.addresses = {}, .failure = ::gai_strerror(error)};
  std::vector<net::Address> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (auto address = address_of(entry->ai_addr)) found.push_back(*address);
  }
  ::freeaddrinfo(list);
  if (found.empty()) return {.addresses = {}, .failure = "the name has no addresses"};
  return {.addresses = interleave_families(found), .failure = {}};
}

// Shared with the helper threads, which may outlive the resolver inside getaddrinfo.
struct SystemResolver::State {
  struct Asker {
    net::Reactor* reactor;
    std::weak_ptr<ResolveWaiter> waiter;
  };
  struct Name {
    Resolution good;  // the last that succeeded
    std::optional<MonotonicTime> good_since;
    std::string failure;  // of the last look-up, empty when it succeeded
    MonotonicTime failed_at{};
    MonotonicTime last_asked{};
    MonotonicTime look_up_began{};
    bool looking_up = false;
    std::vector<Asker> askers;
  };

  State(const ResolverLimits& chosen_limits, LookUp chosen_look_up)
      : limits(chosen_limits), look_up(std::move(chosen_look_up)) {}

  Name* name(const std::string& host, MonotonicTime now);
  bool begin_look_up(const std::string& host, Name& entry, MonotonicTime now);
  void finish_look_up(const std::string& host, Resolution&& resolution);
  static void answer(const Asker& asker, Resolution resolution);
  static void run(const std::shared_ptr<State>& state);

  const ResolverLimits limits;
  const LookUp look_up;
  std::mutex mutex;  // guards what follows, and every post: after stop() nothing is posted
  std::condition_variable wake;
  bool stopped = false;
  std::unordered_map<std::string, Name> names;
  std::deque<std::string> queue;
};

// The entry of `host`, made when there is room; null when every remembered name is being looked up.
SystemResolver::State::Name* SystemResolver::State::name(const std::string& host,
                                                         MonotonicTime now) {
  auto found = names.find(host);
  if (found == names.end()) {
    if (names.size() >= limits.names) {
      auto oldest = names.end();
      for (auto entry = names.begin(); entry != names.end(); ++entry) {
        if (entry->second.looking_up) continue;
        if (oldest == names.end() || entry->second.last_asked < oldest->second.last_asked) {
          oldest = entry;
        }
      }
      if (oldest == names.end()) return nullptr;
      names.erase(oldest);
    }
    found = names.try_emplace(host).first;
  }
  found->second.last_asked = now;
  return &found->second;
}

bool SystemResolver::State::begin_look_up(const std::string& host, Name& entry, MonotonicTime now) {
  if (entry.looking_up) return true;
  if (queue.size() >= limits.queued_names) return false;
  entry.looking_up = true;
  entry.look_up_began = now;
  queue.push_back(host);
  wake.notify_one();
  return true;
}

void SystemResolver::State::answer(const Asker& asker, Resolution resolution) {
  asker.reactor->post([waiter = asker.waiter, found = std::move(resolution)] {
    if (auto alive = waiter.lock()) alive->on_resolved(found);
  });
}

void SystemResolver::State::finish_look_up(const std::string& host, Resolution&& resolution) {
  const auto found = names.find(host);  // stays while looking_up
  Name& entry = found->second;
  entry.looking_up = false;
  if (resolution.addresses.empty()) {
    entry.failure = resolution.failure.empty() ? "no addresses" : std::move(resolution.failure);
    entry.failed_at = entry.look_up_began;
  } else {
    entry.failure.clear();
    entry.good = std::move(resolution);
    entry.good.failure.clear();
    entry.good_since = entry.look_up_began;
  }
  const Resolution result = entry.good_since.has_value()
                                ? entry.good
                                : Resolution{.addresses = {}, .failure = entry.failure};
  for (const Asker& asker : std::exchange(entry.askers, {})) answer(asker, result);
}

void SystemResolver::State::run(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (true) {
    state->wake.wait(lock, [&] { return state->stopped || !state->queue.empty(); });
    if (state->stopped) return;
    const std::string host = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    Resolution resolution;
    try {
      resolution = state->look_up(host);
    } catch (const std::exception& error) {
      resolution = {.addresses = {}, .failure = error.what()};
    }
    lock.lock();
    if (state->stopped) return;
    state->finish_look_up(host, std::move(resolution));
  }
}

SystemResolver::SystemResolver(const ResolverLimits& limits, LookUp look_up)
    : state_(std::make_shared<State>(limits, std::move(look_up))) {
  for (std::size_t i = 0; i < limits.threads; ++i) {
    // Detached: a look-up that hangs in a dead name server must not hold up the end of the process.
    std::thread([state = state_] { State::run(state); }).detach();
  }
}

SystemResolver::~SystemResolver() { stop(); }

void SystemResolver::stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = true;
  state_->queue.clear();
  state_->names.clear();
  state_->wake.notify_all();
}

std::optional<Resolution> SystemResolver::known(const std::string& host, MonotonicTime now) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->names.find(host);
  if (found == state_->names.end()) return std::nullopt;
  State::Name& entry = found->second;
  entry.last_asked = now;
  const bool failed_just_now =
      !entry.failure.empty() && now - entry.failed_at < state_->limits.failure_kept;
  if (!entry.good_since.has_value()) {
    if (failed_just_now) return Resolution{.addresses = {}, .failure = entry.failure};
    return std::nullopt;
  }
  const Duration age = now - *entry.good_since;
  if (age < state_->limits.fresh || failed_just_now) return entry.good;
  if (age < state_->limits.usable_while_refreshing) {
    state_->begin_look_up(host, entry, now);  // a full queue: the next who asks tries again
    return entry.good;
  }
  return std::nullopt;
}

void SystemResolver::resolve(const std::string& host, MonotonicTime now, net::Reactor& reactor,
                             std::weak_ptr<ResolveWaiter> waiter) {
  const std::lock_guard lock(state_->mutex);
  const State::Asker asker{&reactor, std::move(waiter)};
  if (state_->stopped) return;
  State::Name* entry = state_->name(host, now);
  if (entry != nullptr && entry->askers.size() < state_->limits.waiters_per_name &&
      state_->begin_look_up(host, *entry, now)) {
    entry->askers.push_back(asker);
    return;
  }
  if (entry != nullptr && entry->good_since.has_value()) {
    State::answer(asker, entry->good);
  } else {
    State::answer(asker, {.addresses = {}, .failure = "too many names wait to be looked up"});
  }
}

}  // namespace nearfield::origin
