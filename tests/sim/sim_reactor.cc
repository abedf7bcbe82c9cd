#include "tests/sim/sim_reactor.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "tests/sim/sim_stream.h"

namespace nearfield::sim {
namespace {

// A wake-up from another thread takes a random while, so that workers interleave differently with
// every seed.
constexpr std::uint64_t kLongestWake = 50'000;  // nanoseconds

}  // namespace

// --- World::Impl ---

void World::Impl::schedule_at(MonotonicTime at, std::function<void()> run) {
  if (stopped) return;
  events.push(Event{std::max(at, now), next_sequence++, std::move(run)});
}

const LinkOptions& World::Impl::link_to(const net::Endpoint& server) const {
  const auto found = links.find(server);
  return found == links.end() ? default_link : found->second;
}

bool World::Impl::step(MonotonicTime limit) {
  if (stopped) return false;
  SimReactor* next_reactor = nullptr;
  MonotonicTime next_timer = MonotonicTime::max();
  for (const auto& reactor : reactors) {
    const std::optional<MonotonicTime> deadline = reactor->impl_->wheel.next_deadline();
    if (deadline && *deadline < next_timer) {
      next_timer = *deadline;
      next_reactor = reactor.get();
    }
  }
  const bool timer_first =
      next_reactor != nullptr && (events.empty() || next_timer <= events.top().at);
  if (!timer_first && events.empty()) return false;
  const MonotonicTime at = timer_first ? next_timer : events.top().at;
  if (at > limit) return false;
  now = std::max(now, at);
  ++events_run;
  if (timer_first) {
    next_reactor->impl_->wheel.advance(now, 1);
  } else {
    std::function<void()> run = std::move(const_cast<Event&>(events.top()).run);
    events.pop();
    run();
  }
  return true;
}

// --- World ---

World::World(std::uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}
World::~World() { shutdown(); }

SimReactor& World::add_reactor() {
  auto inside = std::make_unique<SimReactor::Impl>(*impl_, impl_->random.next());
  SimReactor::Impl* raw = inside.get();
  raw->inbox = make_ref<net::Inbox>([raw] {
    raw->world.schedule(std::chrono::nanoseconds(raw->world.random.between(0, kLongestWake)),
                        [raw] { raw->run_inbox(); });
  });
  NEARFIELD_ASSERT(raw->inbox->prepare_sleep());
  // 10.77.x.y for the workers' own outgoing connections.
  const std::size_t number = impl_->reactors.size() + 1;
  raw->address = *net::Address::parse("10.77.0." + std::to_string(number % 250));
  impl_->reactors.push_back(std::unique_ptr<SimReactor>(new SimReactor(std::move(inside))));
  return *impl_->reactors.back();
}

MonotonicTime World::now() const { return impl_->now; }

void World::set_wall_time(WallTime time) {
  impl_->wall = time;
  impl_->wall_set_at = impl_->now;
}

WallTime World::wall_now() const {
  return impl_->wall +
         std::chrono::duration_cast<std::chrono::seconds>(impl_->now - impl_->wall_set_at);
}

std::uint64_t World::random() { return impl_->random.next(); }

void World::serve(const net::Endpoint& at, SimReactor& worker, net::Acceptor& acceptor) {
  impl_->services[at].workers.push_back({&worker, &acceptor});
}

void World::stop_serving(const net::Endpoint& at, SimReactor& worker) {
  const auto found = impl_->services.find(at);
  if (found == impl_->services.end()) return;
  std::erase_if(found->second.workers,
                [&worker](const Impl::Service::Worker& one) { return one.reactor == &worker; });
}

void World::set_link(const net::Endpoint& server, const LinkOptions& options) {
  impl_->links[server] = options;
}

void World::set_default_link(const LinkOptions& options) { impl_->default_link = options; }

void World::reset_connections_to(const net::Endpoint& server) {
  std::vector<std::shared_ptr<SimEnd>> affected;
  for (const auto& [number, end] : impl_->open_ends) {
    if (end->peer() == server) affected.push_back(end);
  }
  for (const auto& end : affected) {
    impl_->schedule({}, [end] { end->reset_by_network(); });
  }
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  const MonotonicTime end = impl_->now + limit;
  while (!done()) {
    if (impl_->step(end)) continue;
    if (!impl_->stopped) impl_->now = end;
    return done();
  }
  return true;
}

void World::run_for(Duration duration) {
  run_until([] { return false; }, duration);
}

bool World::settle(Duration limit) {
  const MonotonicTime end = impl_->now + limit;
  while (!impl_->events.empty()) {
    if (!impl_->step(end)) return false;
  }
  return true;
}

std::uint64_t World::event_count() const { return impl_->events_run; }

void World::shutdown() {
  if (impl_->stopped) return;
  impl_->stopped = true;
  while (!impl_->open_ends.empty()) {
    const std::shared_ptr<SimEnd> end = impl_->open_ends.begin()->second;
    end->close_now(net::CloseReason::aborted);
  }
  for (const auto& reactor : impl_->reactors) reactor->impl_->inbox->close();
  // What is scheduled holds ends, and through signals whatever callbacks hold.
  while (!impl_->events.empty()) impl_->events.pop();
}

// --- SimReactor ---

void SimReactor::Impl::run_inbox() {
  const bool more = inbox->run(1);
  if (more || !inbox->prepare_sleep()) world.schedule({}, [this] { run_inbox(); });
}

SimReactor::SimReactor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SimReactor::~SimReactor() = default;

MonotonicTime SimReactor::now() const { return impl_->world.now; }

WallTime SimReactor::wall_now() const {
  return WallTime(std::chrono::floor<std::chrono::seconds>(wall_now_ms()));
}

std::chrono::milliseconds SimReactor::wall_now_ms() const {
  const World::Impl& world = impl_->world;
  return world.wall.time_since_epoch() +
         std::chrono::duration_cast<std::chrono::milliseconds>(world.now - world.wall_set_at);
}

std::uint64_t SimReactor::random() { return impl_->random.next(); }

void SimReactor::arm(net::Timer& timer, MonotonicTime deadline) {
  impl_->wheel.arm(timer, deadline);
}
void SimReactor::cancel(net::Timer& timer) { impl_->wheel.cancel(timer); }

Ref<Signal> SimReactor::make_signal(std::function<void()> callback) {
  return impl_->inbox->make_signal(std::move(callback));
}
void SimReactor::cancel_signal(const Ref<Signal>& signal) { net::Inbox::cancel_signal(signal); }
void SimReactor::post(std::function<void()> task) { impl_->inbox->post(std::move(task)); }

net::Stream* SimReactor::connect(const net::Endpoint& peer, const net::ConnectOptions& options,
                                 net::StreamHandler& handler) {
  return connect_from({impl_->address, impl_->world.next_port++}, peer, options, handler);
}

net::Stream* SimReactor::connect_from(const net::Endpoint& local, const net::Endpoint& peer,
                                      const net::ConnectOptions& options,
                                      net::StreamHandler& handler) {
  World::Impl& world = impl_->world;
  if (world.stopped) return nullptr;
  if (impl_->connects_to_fail > 0) {
    --impl_->connects_to_fail;
    return nullptr;
  }
  const LinkOptions link = world.link_to(peer);
  const auto client = std::make_shared<SimEnd>(world, *impl_, local, peer, link.to_server);
  client->set_handler(&handler);
  client->open();
  world.schedule(options.timeout, [client] {
    if (!client->is_connected()) client->close_now(net::CloseReason::timed_out);
  });
  const auto fail_later = [&world, client, &link](net::CloseReason reason) {
    world.schedule(link.to_server.latency + link.to_client.latency,
                   [client, reason] { client->close_now(reason); });
  };
  switch (link.outcome) {
    case ConnectOutcome::silent:
      return client.get();
    case ConnectOutcome::unreachable:
      fail_later(net::CloseReason::connect_failed);
      return client.get();
    case ConnectOutcome::refused:
      fail_later(net::CloseReason::connect_refused);
      return client.get();
    case ConnectOutcome::accepted:
      break;
  }
  world.schedule(link.to_server.latency, [&world, client, link] {
    const auto found = world.services.find(client->peer());
    if (found == world.services.end() || found->second.workers.empty()) {
      world.schedule(link.to_client.latency,
                     [client] { client->close_now(net::CloseReason::connect_refused); });
      return;
    }
    World::Impl::Service& service = found->second;
    const World::Impl::Service::Worker worker =
        service.workers[service.next++ % service.workers.size()];
    const auto server = std::make_shared<SimEnd>(world, *worker.reactor->impl_, client->peer(),
                                                 client->local(), link.to_client);
    client->join(server);
    server->join(client);
    world.schedule(link.to_client.latency, [client] {
      if (client->is_open()) client->connected(true);
    });
    server->open();
    net::StreamHandler* accepted = worker.acceptor->on_accept(*server);
    server->set_handler(accepted);
    if (accepted == nullptr) {
      server->abandon();
    } else {
      server->connected(false);
    }
  });
  return client.get();
}

void SimReactor::listen(const net::ListenPlace& place, net::Acceptor& acceptor) {
  impl_->world.services[place.local].workers.push_back({this, &acceptor});
}

void SimReactor::stop_listening() {
  for (auto& [at, service] : impl_->world.services) {
    std::erase_if(service.workers, [this](const auto& worker) { return worker.reactor == this; });
  }
}

void SimReactor::fail_next_connects(int count) { impl_->connects_to_fail = count; }
std::size_t SimReactor::stream_count() const { return impl_->streams; }

}  // namespace nearfield::sim
