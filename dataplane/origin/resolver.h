// Resolver: host names to addresses, without a worker ever waiting for it.
//
// getaddrinfo blocks for as long as the name servers like (seconds), so SystemResolver runs it on
// helper threads of its own and posts what it found to the worker that asked. Answers are kept:
// fresh for 30 s; then for five minutes they are still given at once while a new look-up runs
// behind; after that the caller waits for the new look-up and gets the old answer only when it
// fails. A name server that is away thus stops nobody who resolved before.
//
// Bounds: names remembered, names queued, askers waiting for one name, addresses of one name.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/reactor.h"

namespace nearfield::origin {

struct Resolution {
  std::vector<net::Address> addresses;  // in the order to try; empty when it failed
  std::string failure;                  // why, for the log: "name not known"
};

// Hears one answer, on the worker that asked. Whoever no longer wants it lets go of it: only a weak
// reference is kept.
class ResolveWaiter {
 public:
  virtual ~ResolveWaiter() = default;
  virtual void on_resolved(const Resolution& resolution) = 0;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // What is known now, good enough to connect to; may start a refresh behind. Any thread; never
  // blocks on the network.
  virtual std::optional<Resolution> known(const std::string& host, MonotonicTime now) = 0;
  // Looks `host` up and posts the answer to `reactor`, never within this call. Any thread. The
  // reactor must outlive stop().
  virtual void resolve(const std::string& host, MonotonicTime now, net::Reactor& reactor,
                       std::weak_ptr<ResolveWaiter> waiter) = 0;
};

// Addresses in the order to try them: the system's own order (RFC 6724), families taking turns so
// that the second attempt is on the other one (RFC 8305 section 4), doubles removed, at most
// kMaximumAddresses.
inline constexpr std::size_t kMaximumAddresses = 16;
std::vector<net::Address> interleave_families(const std::vector<net::Address>& addresses);

// One blocking look-up through getaddrinfo.
Resolution look_up_by_system(const std::string& host);

struct ResolverLimits {
  std::size_t threads = 2;   // a second one, so that one dead zone does not hold up all others
  std::size_t names = 4096;  // remembered; the one not asked for longest goes
  std::size_t queued_names = 256;
  std::size_t waiters_per_name = 4096;
  Duration fresh = std::chrono::seconds(30);
  Duration usable_while_refreshing = std::chrono::minutes(5);
  Duration failure_kept =
      std::chrono::seconds(1);  // a failing name is looked up at most this often
};

class SystemResolver final : public Resolver {
 public:
  using LookUp =
      std::function<Resolution(const std::string& host)>;  // blocking, on a helper thread

  explicit SystemResolver(const ResolverLimits& limits = {}, LookUp look_up = look_up_by_system);
  ~SystemResolver() override;  // as stop()
  SystemResolver(const SystemResolver&) = delete;
  SystemResolver& operator=(const SystemResolver&) = delete;

  std::optional<Resolution> known(const std::string& host, MonotonicTime now) override;
  void resolve(const std::string& host, MonotonicTime now, net::Reactor& reactor,
               std::weak_ptr<ResolveWaiter> waiter) override;

  // Nothing is posted to any reactor after this returned; call it before the reactors go. Does not
  // wait for look-ups in progress: their threads end by themselves.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nearfield::origin
