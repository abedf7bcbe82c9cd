// The loop of virtual time; see world.h. One Session is a client with its watch and trace; a
// session owns its links unless it is a successor's, which goes on using its predecessor's.
#include "tests/sim/tcp/world.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "tests/sim/tcp/trace.h"
#include "tests/sim/tcp/watch.h"

namespace nearfield::sim::tcp {
namespace {

constexpr MonotonicTime kStart{std::chrono::seconds(1000)};

const char* name_of(Link::Drop drop) {
  switch (drop) {
    case Link::Drop::loss:
      return "lost";
    case Link::Drop::blackout:
      return "blacked out";
    case Link::Drop::overflow:
      return "overflowed";
    case Link::Drop::too_long:
      return "too long";
  }
  return "?";
}

class Run {
 public:
  Run(const WorldOptions& options, const MakeServer& make_server)
      : options_(options), random_(options.seed) {
    result_.clients.resize(options.clients.size());
    sessions_.resize(options.clients.size());
    server_ = make_server([this](std::span<const std::byte> packet) { from_server(packet); });
    // Scheduled before anything else: at its moment the first thing to happen.
    for (const Stall& stall : options.stalls)
      events_.schedule(kStart + stall.from + stall.length,
                       [this](MonotonicTime now) { wake_server(now); });
    for (std::size_t index = 0; index < options.clients.size(); ++index)
      if (!options.clients[index].successor_of) start_later(index, kStart);
  }

  WorldResult run(const std::function<void(ServerUnderTest&)>& inspect) {
    const MonotonicTime end = kStart + options_.time_limit;
    std::optional<MonotonicTime> drain_end;
    while (result_.violations.size() < options_.maximum_violations) {
      if (over_ == sessions_.size() && !drain_end) drain_end = std::min(end, now_ + options_.drain);
      const std::optional<MonotonicTime> next = next_moment();
      if (!next) break;
      if (*next > drain_end.value_or(end)) break;
      now_ = std::max(now_, *next);
      step();
    }
    for (std::size_t index = 0; index < sessions_.size(); ++index)
      if (!sessions_[index].over && result_.violations.size() < options_.maximum_violations)
        violation(index, "not finished at the end of the run");
    for (std::size_t index = 0; index < sessions_.size(); ++index) collect(index);
    if (inspect) inspect(*server_);
    server_.reset();
    result_.took = now_ - kStart;
    return std::move(result_);
  }

 private:
  struct Session {
    std::unique_ptr<Client> client;
    std::unique_ptr<Watch> watch;
    std::unique_ptr<Trace> trace;
    std::unique_ptr<Link> to_server;
    std::unique_ptr<Link> to_client;
    std::size_t links_of = 0;
    Client::Identity identity;
    MonotonicTime started{};
    MonotonicTime finished{};
    bool over = false;
    bool served_late = false;
    bool replaced = false;  // a successor has taken the address and port
  };

  void start_later(std::size_t index, MonotonicTime from) {
    events_.schedule(from + options_.clients[index].starts_after,
                     [this, index](MonotonicTime now) { start(index, now); });
  }

  void make_links(std::size_t index, MonotonicTime now) {
    const ClientPlan& plan = options_.clients[index];
    Session& session = sessions_[index];
    const auto dropped = [this, index](std::span<const std::byte> packet, Link::Drop why,
                                       MonotonicTime at) {
      if (const auto segment = read(packet))
        current(index).trace->add(at, name_of(why), segment->source == server_of(index), *segment);
    };
    session.to_server = std::make_unique<Link>(
        plan.to_server, random_.next(), now, events_,
        Link::Ends{
            [this, index](const Bytes& packet, MonotonicTime at) { to_server(index, packet, at); },
            {},
            dropped});
    // The router's answer takes the way back without losses: lost answers are the black hole's
    // business.
    const auto too_big = [this, index](std::span<const std::byte> packet, std::size_t mtu,
                                       MonotonicTime at) {
      const Address router =
          options_.clients[index].is_v6 ? make_v6(0xfe) : make_v4(192, 0, 2, 254);
      events_.schedule(at + options_.clients[index].to_server.delay,
                       [this, index, mtu, answer = build_packet_too_big(packet, router, mtu)](
                           MonotonicTime then) { give_server(index, answer, mtu, then); });
    };
    session.to_client = std::make_unique<Link>(
        plan.to_client, random_.next(), now, events_,
        Link::Ends{
            [this, index](const Bytes& packet, MonotonicTime at) { to_client(index, packet, at); },
            too_big, dropped});
  }

  Endpoint server_of(std::size_t index) const {
    return server_endpoint(options_.clients[index].is_v6);
  }

  // The session that uses the links of `index` now.
  Session& current(std::size_t index) { return sessions_[users_.at(index)]; }

  void start(std::size_t index, MonotonicTime now) {
    const ClientPlan& plan = options_.clients[index];
    Session& session = sessions_[index];
    Client::Identity& identity = session.identity;
    identity.seed = random_.next();
    identity.connection = static_cast<std::uint32_t>(random_.next());
    if (plan.successor_of) {
      Session& before = sessions_[*plan.successor_of];
      session.links_of = before.links_of;
      identity.local = before.identity.local;
      identity.initial_sequence = before.client->next_initial_sequence();
      identity.timestamp_offset = before.identity.timestamp_offset;
      before.replaced = true;
    } else {
      session.links_of = index;
      const auto host = static_cast<std::uint8_t>(index + 1);
      identity.local.address = plan.is_v6 ? make_v6(static_cast<std::uint16_t>(0x100 + host))
                                          : make_v4(198, 51, 100, host);
      identity.local.port = static_cast<std::uint16_t>(random_.between(1024, 65535));
      identity.initial_sequence = static_cast<std::uint32_t>(random_.next());
      // One in four begins a little before a wrap.
      if (random_.between(0, 3) == 0)
        identity.initial_sequence = static_cast<std::uint32_t>(-random_.between(1, 300));
      identity.timestamp_offset = static_cast<std::uint32_t>(random_.next());
      by_endpoint_[identity.local] = index;
      make_links(index, now);
    }
    identity.server = server_of(session.links_of);
    users_[session.links_of] = index;
    const auto violates = [this, index](std::string what) { violation(index, std::move(what)); };
    session.trace = std::make_unique<Trace>(options_.trace_lines);
    ClientProfile profile = plan.profile;
    const ClientPlan& path = options_.clients[session.links_of];
    profile.may_lose_timestamps = path.to_server.middlebox.touches_timestamps() ||
                                  path.to_client.middlebox.touches_timestamps();
    session.watch = std::make_unique<Watch>(
        as_offered(profile, path.to_server.middlebox), identity, options_.cookies,
        plan.successor_of ? sessions_[*plan.successor_of].watch.get() : nullptr, violates);
    session.client = std::make_unique<Client>(
        profile, identity,
        [this, index](Bytes packet) {
          Session& sender = sessions_[index];
          if (const auto segment = read(packet))
            sender.trace->add(now_, "client sends", false, *segment);
          sessions_[sender.links_of].to_server->offer(std::move(packet), now_);
        },
        violates);
    session.started = now;
    session.client->start(now);
    if (plan.limit.count() > 0)
      events_.schedule(now + plan.limit, [this, index](MonotonicTime) { give_up(index); });
  }

  // What arrives of a client's offer, which is all the server can keep to.
  static ClientProfile as_offered(ClientProfile profile, const MiddleboxOptions& middlebox) {
    if (middlebox.strips_sack) profile.sack = false;
    if (middlebox.strips_window_scale) profile.window_scale.reset();
    if (middlebox.strips_timestamps) profile.timestamps = false;
    auto& size = profile.maximum_segment_bytes;
    if (middlebox.strips_segment_size)
      size.reset();
    else if (middlebox.clamps_segment_size && size > middlebox.clamps_segment_size)
      size = middlebox.clamps_segment_size;
    return profile;
  }

  void to_server(std::size_t links, const Bytes& packet, MonotonicTime now) {
    give_server(links, packet, 0, now);
  }

  // `mtu`: what the packet says when it is ICMP's, else 0.
  void give_server(std::size_t links, const Bytes& packet, std::size_t mtu, MonotonicTime now) {
    if (const Stall* stall = stall_at(now)) {
      if (waiting_.size() < stall->kept_packets)
        waiting_.push_back({links, packet, mtu});
      else
        current(links).trace->add(now, "server sleeps", "and misses a packet");
      return;
    }
    Session& session = current(links);
    if (mtu > 0) {
      session.trace->add(now, "server gets", "ICMP too big, mtu " + std::to_string(mtu));
    } else if (const auto segment = read(packet)) {
      session.trace->add(now, "server gets", false, *segment);
      session.watch->delivered(*segment);
    }
    server_->receive(packet, now - lag_at(now));
  }

  // --- the server's sleep ---

  const Stall* stall_at(MonotonicTime now) const {
    for (const Stall& stall : options_.stalls)
      if (now >= kStart + stall.from && now < kStart + stall.from + stall.length) return &stall;
    return nullptr;
  }
  // How far the server's clock is behind.
  Duration lag_at(MonotonicTime now) const {
    Duration lag{};
    for (const Stall& stall : options_.stalls)
      if (stall.clock_stops) lag += std::clamp(now - kStart - stall.from, Duration{}, stall.length);
    return lag;
  }
  void wake_server(MonotonicTime now) {
    for (const Waiting& one : std::exchange(waiting_, {}))
      give_server(one.links, one.packet, one.mtu, now);
  }

  void to_client(std::size_t links, const Bytes& packet, MonotonicTime now) {
    Session& session = current(links);
    if (const auto segment = read(packet))
      session.trace->add(now, "client gets", true, *segment);
    else
      session.trace->add(now, "client gets", "a damaged packet");
    session.client->receive(packet, now);
    note_state(users_.at(links));
  }

  void from_server(std::span<const std::byte> packet) {
    ++result_.server_packets;
    for (const std::byte byte : packet.first(std::min<std::size_t>(packet.size(), 80)))
      result_.fingerprint =
          (result_.fingerprint ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
    result_.fingerprint ^= static_cast<std::uint64_t>(now_.time_since_epoch().count());
    const auto segment = read(packet);
    if (!segment) {
      if (segment.error() == Flaw::not_tcp) return;  // ICMP to whoever sent nonsense
      return violation(0,
                       std::string("the server sends a bad packet: ") + name_of(segment.error()));
    }
    const auto found = by_endpoint_.find(segment->destination);
    if (found == by_endpoint_.end()) return violation(0, "the server sends a packet to nobody");
    Session& session = current(found->second);
    session.trace->add(now_, "server sends", true, *segment);
    session.watch->emitted(*segment);
    if (segment->source != session.identity.server)
      violation(found->second, "the server sends from a wrong address or port");
    sessions_[found->second].to_client->offer(Bytes(packet.begin(), packet.end()), now_);
  }

  void note_state(std::size_t index) {
    Session& session = sessions_[index];
    if (session.over || !session.client->is_over()) return;
    session.over = true;
    session.finished = now_;
    ++over_;
    if (session.client->state() != Client::State::finished) session.watch->client_left();
    start_successors(index);
  }

  void give_up(std::size_t index) {
    Session& session = sessions_[index];
    if (session.over) return;
    const ClientPlan& plan = options_.clients[index];
    if (plan.profile.may_be_refused && session.client->received_bytes() > 0 &&
        !std::exchange(session.served_late, true)) {
      events_.schedule(now_ + plan.limit, [this, index](MonotonicTime) { give_up(index); });
      return;
    }
    session.over = true;
    session.finished = now_;
    ++over_;
    if (plan.profile.may_be_refused && session.client->received_bytes() == 0) {
      session.client->give_up();
      session.watch->client_left();
      return start_successors(index);
    }
    violation(index, "late: not finished within its limit");
    start_successors(index);
  }

  void start_successors(std::size_t index) {
    for (std::size_t next = 0; next < sessions_.size(); ++next)
      if (options_.clients[next].successor_of == index) start_later(next, now_);
  }

  std::optional<MonotonicTime> next_moment() {
    std::optional<MonotonicTime> next = events_.next_at();
    const auto consider = [&next](const std::optional<MonotonicTime>& at) {
      if (at && (!next || *at < *next)) next = at;
    };
    for (const Session& session : sessions_)
      if (session.client && !session.replaced) consider(session.client->next_deadline());
    consider(server_run_at());
    return next;
  }

  std::optional<MonotonicTime> server_run_at() {
    std::optional<MonotonicTime> at = server_->next_deadline();
    if (server_->wants_to_run())
      at = now_;
    else if (at)
      at = *at + lag_at(now_);
    if (!at) return at;
    at = std::max({*at, server_free_at_, now_});
    if (const Stall* stall = stall_at(*at)) at = kStart + stall->from + stall->length;
    return at;
  }

  void step() {
    ++result_.events;
    while (events_.next_at() && *events_.next_at() <= now_) events_.run_next();
    for (std::size_t index = 0; index < sessions_.size(); ++index) {
      Session& session = sessions_[index];
      if (!session.client || session.replaced) continue;
      const auto deadline = session.client->next_deadline();
      if (!deadline || *deadline > now_) continue;
      session.client->run(now_);
      note_state(index);
    }
    const auto server_at = server_run_at();
    if (!server_at || *server_at > now_) return;
    // Strictly later: a server that always wants to run must not stop the clock.
    server_free_at_ = now_ + std::max(options_.server_turn, Duration(1));
    server_->run(now_ - lag_at(now_));
  }

  void violation(std::size_t index, std::string what) {
    if (result_.violations.size() >= options_.maximum_violations) return;
    Violation entry{now_, index, std::move(what), {}};
    const Session& session = sessions_[index];
    if (session.trace)
      entry.trace = session.trace->print(kStart, session.watch->client_initial(),
                                         session.watch->server_initial());
    result_.violations.push_back(std::move(entry));
  }

  void collect(std::size_t index) {
    const ClientPlan& plan = options_.clients[index];
    const Session& session = sessions_[index];
    ClientResult& result = result_.clients[index];
    result.expected_bytes = plan.profile.expected_bytes();
    result.ideal = plan.ideal;
    result.limit = plan.limit;
    if (!session.client) return;
    switch (session.client->state()) {
      case Client::State::waiting:
      case Client::State::opening:
      case Client::State::established:
        break;
      case Client::State::finished:
        result.outcome = Outcome::complete;
        break;
      case Client::State::reset:
        result.outcome = Outcome::reset_by_us;
        break;
      case Client::State::vanished:
        result.outcome = Outcome::vanished;
        break;
      case Client::State::reset_by_server:
        result.outcome = Outcome::reset_by_server;
        break;
    }
    result.received_bytes = session.client->received_bytes();
    result.retransmitted_bytes = session.watch->retransmitted_bytes();
    result.took = (session.over ? session.finished : now_) - session.started;
    result.counters = session.client->counters();
    result.to_server = sessions_[session.links_of].to_server->counters();
    result.to_client = sessions_[session.links_of].to_client->counters();
  }

  struct Waiting {
    std::size_t links;
    Bytes packet;
    std::size_t mtu;
  };

  const WorldOptions& options_;
  Random random_;
  MonotonicTime now_ = kStart;
  EventQueue events_;
  std::vector<Session> sessions_;
  std::map<Endpoint, std::size_t> by_endpoint_;  // to the owner of the links
  std::map<std::size_t, std::size_t> users_;     // from there to who uses them
  std::unique_ptr<ServerUnderTest> server_;
  MonotonicTime server_free_at_ = kStart;
  std::vector<Waiting> waiting_;  // for the server to wake
  std::size_t over_ = 0;
  WorldResult result_;
};

}  // namespace

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::unfinished:
      return "unfinished";
    case Outcome::complete:
      return "complete";
    case Outcome::reset_by_us:
      return "reset by the client";
    case Outcome::vanished:
      return "vanished";
    case Outcome::reset_by_server:
      return "reset by the server";
  }
  return "?";
}

Endpoint server_endpoint(bool is_v6) { return {is_v6 ? make_v6(1) : make_v4(192, 0, 2, 1), 80}; }

std::string WorldResult::describe() const {
  std::string text;
  char line[256];
  const auto milliseconds = [](Duration time) { return static_cast<double>(time.count()) / 1e6; };
  for (const Violation& one : violations) {
    std::snprintf(line, sizeof line, "VIOLATION at %.6f s, client %zu: ",
                  static_cast<double>((one.at - kStart).count()) / 1e9, one.client);
    text += line + one.what + "\n" + one.trace;
  }
  for (std::size_t index = 0; index < clients.size(); ++index) {
    const ClientResult& one = clients[index];
    std::snprintf(line, sizeof line,
                  "client %zu: %s, %llu of %llu bytes in %.1f ms (ideal %.1f, limit %.1f), "
                  "%llu retransmitted, link lost %llu+%llu of %llu\n",
                  index, name_of(one.outcome), static_cast<unsigned long long>(one.received_bytes),
                  static_cast<unsigned long long>(one.expected_bytes), milliseconds(one.took),
                  milliseconds(one.ideal), milliseconds(one.limit),
                  static_cast<unsigned long long>(one.retransmitted_bytes),
                  static_cast<unsigned long long>(one.to_client.lost),
                  static_cast<unsigned long long>(one.to_client.overflowed),
                  static_cast<unsigned long long>(one.to_client.offered));
    text += line;
  }
  return text;
}

WorldResult run_world(const WorldOptions& options, const MakeServer& make_server,
                      const std::function<void(ServerUnderTest&)>& inspect) {
  return Run(options, make_server).run(inspect);
}

}  // namespace nearfield::sim::tcp
