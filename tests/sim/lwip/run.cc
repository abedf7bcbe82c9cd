// The loop of virtual time around lwIP; see run.h. It is the loop of tests/sim/tcp/world.cc with
// one machine of several connections in place of several clients, and the same Watch at the
// server's door.
#include "tests/sim/lwip/run.h"

#include <algorithm>
#include <format>
#include <map>
#include <memory>
#include <utility>

#include "tests/sim/lwip/host.h"
#include "tests/sim/tcp/trace.h"
#include "tests/sim/tcp/watch.h"

namespace nearfield::sim::lwip {
namespace {

constexpr MonotonicTime kStart{std::chrono::seconds(1000)};
constexpr std::size_t kMostViolations = 8;
constexpr std::byte kTcp{6};  // as the protocol of an IP packet

const char* name_of(tcp::Link::Drop drop) {
  switch (drop) {
    case tcp::Link::Drop::loss:
      return "lost";
    case tcp::Link::Drop::blackout:
      return "blacked out";
    case tcp::Link::Drop::overflow:
      return "overflowed";
    case tcp::Link::Drop::too_long:
      return "too long";
  }
  return "?";
}

const char* name_of(Caller::State state) {
  switch (state) {
    case Caller::State::waiting:
      return "not begun";
    case Caller::State::calling:
      return "unfinished";
    case Caller::State::complete:
      return "complete";
    case Caller::State::reset:
      return "reset by lwIP";
    case Caller::State::failed:
      return "failed";
  }
  return "?";
}

// What lwIP's SYN offers; what Debian's build never offers is an error of the server's to use.
tcp::ClientProfile profile_of(const CallPlan& plan, const tcp::Segment& syn) {
  tcp::ClientProfile profile;
  profile.answer_bytes = plan.answer_bytes;
  profile.closing = plan.closing;
  profile.maximum_segment_bytes = syn.maximum_segment_bytes;
  profile.window_scale = syn.window_scale;
  profile.sack = syn.sack_permitted;
  profile.timestamps = syn.timestamps.has_value();
  profile.ecn = syn.has(tcp::kEce);
  return profile;
}

class Run {
 public:
  Run(const Scenario& scenario, std::size_t trace_lines)
      : scenario_(scenario),
        random_(scenario.seed),
        host_({random_.next(), scenario.host_mtu, kStart},
              [this](tcp::Bytes packet) { from_host(std::move(packet)); }),
        to_server_(scenario.to_server, random_.next(), kStart, events_,
                   {[this](const tcp::Bytes& packet, MonotonicTime) { to_server(packet); },
                    {},
                    [this](std::span<const std::byte> packet, tcp::Link::Drop why, MonotonicTime) {
                      note(packet, name_of(why), false);
                    }}),
        to_client_(scenario.to_client, random_.next(), kStart, events_,
                   {[this](const tcp::Bytes& packet, MonotonicTime) { to_client(packet); },
                    [this](std::span<const std::byte> packet, std::size_t mtu, MonotonicTime) {
                      too_big(packet, mtu);
                    },
                    [this](std::span<const std::byte> packet, tcp::Link::Drop why, MonotonicTime) {
                      note(packet, name_of(why), true);
                    }}),
        server_(scenario.server,
                [this](std::span<const std::byte> packet) { from_server(packet); }) {
    for (std::size_t index = 0; index < scenario.calls.size(); ++index) {
      Call& call = calls_.emplace_back();
      call.caller = std::make_unique<Caller>(
          scenario.calls[index], static_cast<std::uint32_t>(random_.next()), random_.next(),
          [this, index](std::string what) { violation(index, std::move(what)); });
      call.trace = std::make_unique<tcp::Trace>(trace_lines);
    }
    for (std::size_t index = 0; index < calls_.size(); ++index)
      if (!scenario.calls[index].successor_of) start_later(index);
  }

  RunResult run() {
    std::optional<MonotonicTime> end;
    while (violations_ < kMostViolations) {
      if (over_ == calls_.size()) {
        if (!end) end = now_ + scenario_.drain;
        if (host_.is_quiet() && !server_has_connections()) break;
      }
      const MonotonicTime next = next_moment();
      if (end && next > *end) break;
      now_ = std::max(now_, next);
      host_.set_now(now_);
      for (Call& call : calls_) call.caller->set_now(now_);
      step();
    }
    if (violations_ == 0) look_at_the_rest();
    if (!server_.complaint().empty()) violation(0, "the server complains: " + server_.complaint());
    return finish();
  }

 private:
  struct Call {
    std::unique_ptr<Caller> caller;
    std::unique_ptr<tcp::Trace> trace;
    std::unique_ptr<tcp::Watch> watch;  // from the first SYN on
    std::uint16_t port = 0;
    MonotonicTime started{};
    MonotonicTime finished{};
    bool over = false;
  };

  void start_later(std::size_t index) {
    events_.schedule(now_ + scenario_.calls[index].starts_after,
                     [this, index](MonotonicTime) { start(index); });
  }

  void start(std::size_t index) {
    Call& call = calls_[index];
    const CallPlan& plan = scenario_.calls[index];
    call.started = now_;
    call.port = plan.successor_of ? calls_[*plan.successor_of].port
                                  : static_cast<std::uint16_t>(random_.between(1024, 65535));
    starting_ = index;
    call.port = call.caller->start(call.port, now_);
    starting_.reset();
    events_.schedule(now_ + plan.limit, [this, index](MonotonicTime) {
      if (calls_[index].over) return;
      violation(index, "late: not finished within its limit");
      end_of(index);
    });
  }

  void end_of(std::size_t index) {
    calls_[index].over = true;
    calls_[index].finished = now_;
    ++over_;
    for (std::size_t next = 0; next < calls_.size(); ++next)
      if (scenario_.calls[next].successor_of == index) start_later(next);
  }

  // The call that a packet belongs to: whoever used the endpoint last.
  Call* call_of(const tcp::Endpoint& local) {
    const auto found = by_endpoint_.find(local);
    return found == by_endpoint_.end() ? nullptr : &calls_[found->second];
  }

  void note(std::span<const std::byte> packet, const char* where, bool from_server) {
    const auto segment = tcp::read(packet);
    if (!segment) return;
    if (Call* call = call_of(from_server ? segment->destination : segment->source))
      call->trace->add(now_, where, from_server, *segment);
  }

  void count(std::span<const std::byte> packet) {
    for (const std::byte byte : packet.first(std::min<std::size_t>(packet.size(), 80)))
      fingerprint_ = (fingerprint_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
    fingerprint_ ^= static_cast<std::uint64_t>(now_.time_since_epoch().count());
  }

  void from_host(tcp::Bytes packet) {
    // What it says to routers and groups ends here.
    const bool is_v6 = std::to_integer<unsigned>(packet[0]) >> 4 == 6;
    if (packet[is_v6 ? 6 : 9] != kTcp) return;
    const auto segment = tcp::read(packet);
    if (!segment) return violation(0, "lwIP sends a bad packet");
    if (segment->has(tcp::kSyn) && starting_) {
      Call& call = calls_[*starting_];
      tcp::Client::Identity identity;
      identity.local = segment->source;
      identity.server = segment->destination;
      identity.connection = call.caller->connection();
      identity.initial_sequence = segment->sequence;
      const Call* before = call_of(segment->source);  // a predecessor on the same port
      call.watch = std::make_unique<tcp::Watch>(
          profile_of(call.caller->plan(), *segment), identity,
          scenario_.server.stack.always_cookies, before ? before->watch.get() : nullptr,
          [this, index = *starting_](std::string what) { violation(index, std::move(what)); });
      by_endpoint_[segment->source] = *starting_;
    }
    count(packet);
    note(packet, "lwIP sends", false);
    to_server_.offer(std::move(packet), now_);
  }

  void to_server(const tcp::Bytes& packet) {
    note(packet, "server gets", false);
    if (const auto segment = tcp::read(packet)) {
      if (Call* call = call_of(segment->source)) call->watch->delivered(*segment);
    }
    server_.receive(packet, now_);
  }

  void to_client(const tcp::Bytes& packet) {
    note(packet, "lwIP gets", true);
    host_.receive(packet);
  }

  void from_server(std::span<const std::byte> packet) {
    count(packet);
    const auto segment = tcp::read(packet);
    if (!segment) return violation(0, "the server sends a bad packet");
    Call* call = call_of(segment->destination);
    if (call == nullptr) return violation(0, "the server sends a packet to nobody");
    note(packet, "server sends", true);
    // A reset that lwIP has decided on may not have arrived yet.
    if (call->caller->state() == Caller::State::reset) call->watch->client_left();
    call->watch->emitted(*segment);
    to_client_.offer(tcp::Bytes(packet.begin(), packet.end()), now_);
  }

  void too_big(std::span<const std::byte> packet, std::size_t mtu) {
    const bool is_v6 = std::to_integer<unsigned>(packet[0]) >> 4 == 6;
    const tcp::Address router = is_v6 ? tcp::make_v6(0xfe) : tcp::make_v4(192, 0, 2, 254);
    events_.schedule(now_ + scenario_.to_server.delay,
                     [this, answer = tcp::build_packet_too_big(packet, router, mtu)](
                         MonotonicTime) { server_.receive(answer, now_); });
  }

  MonotonicTime next_moment() {
    MonotonicTime next = host_.next_deadline();
    const auto consider = [&next](const std::optional<MonotonicTime>& at) {
      if (at) next = std::min(next, *at);
    };
    consider(events_.next_at());
    for (const Call& call : calls_) consider(call.caller->next_deadline());
    consider(server_run_at());
    return next;
  }

  std::optional<MonotonicTime> server_run_at() {
    std::optional<MonotonicTime> at =
        server_.wants_to_run() ? std::optional(now_) : server_.next_deadline();
    if (at) at = std::max(*at, server_free_at_);
    return at;
  }

  void step() {
    while (violations_ < kMostViolations && events_.next_at() && *events_.next_at() <= now_)
      events_.run_next();
    host_.run();
    for (std::size_t index = 0; index < calls_.size(); ++index) {
      calls_[index].caller->run();
      if (!calls_[index].over && calls_[index].caller->is_over()) end_of(index);
    }
    const auto server_at = server_run_at();
    if (!server_at || *server_at > now_) return;
    // Strictly later: a server that always wants to run must not stop the clock.
    server_free_at_ = now_ + std::max(scenario_.server_turn, Duration(1));
    server_.run(now_);
  }

  bool server_has_connections() const { return has_stack() && server_.stack().connections() > 0; }
  // It is made with the first packet.
  bool has_stack() const { return to_server_.counters().delivered > 0; }

  void look_at_the_rest() {
    if (!host_.is_quiet()) violation(0, "lwIP does not come to rest");
    // The one reset that lwIP sends may be lost, and a server that waits never asks.
    const auto resets = static_cast<std::size_t>(std::ranges::count_if(
        calls_, [](const Call& call) { return call.caller->state() == Caller::State::reset; }));
    if (has_stack() && server_.stack().connections() > resets)
      violation(0,
                std::format("the server still has {} connections", server_.stack().connections()));
  }

  void violation(std::size_t index, std::string what) {
    if (++violations_ > kMostViolations) return;
    const Call& call = calls_[index];
    report_ += std::format("VIOLATION at {:.6f} s, call {}: {}\n",
                           static_cast<double>((now_ - kStart).count()) / 1e9, index, what);
    if (call.watch)
      report_ +=
          call.trace->print(kStart, call.watch->client_initial(), call.watch->server_initial());
  }

  RunResult finish() {
    RunResult result;
    for (std::size_t index = 0; index < calls_.size(); ++index) {
      const Call& call = calls_[index];
      const CallPlan& plan = call.caller->plan();
      const Duration took = (call.over ? call.finished : now_) - call.started;
      result.largest_share =
          std::max(result.largest_share,
                   static_cast<double>(took.count()) / static_cast<double>(plan.limit.count()));
      report_ += std::format(
          "call {}: {}, {} of {} bytes in {:.1f} ms (limit {:.0f}), {} retransmitted\n", index,
          name_of(call.caller->state()), call.caller->received_bytes(), plan.expected_bytes(),
          static_cast<double>(took.count()) / 1e6, static_cast<double>(plan.limit.count()) / 1e6,
          call.watch ? call.watch->retransmitted_bytes() : 0);
    }
    result.good = violations_ == 0;
    result.report = std::move(report_);
    result.fingerprint = fingerprint_;
    return result;
  }

  const Scenario& scenario_;
  Random random_;
  MonotonicTime now_ = kStart;
  tcp::EventQueue events_;
  std::vector<Call> calls_;
  std::map<tcp::Endpoint, std::size_t> by_endpoint_;
  std::optional<std::size_t> starting_;  // the call whose SYN lwIP sends next
  MonotonicTime server_free_at_ = kStart;
  std::size_t over_ = 0;
  std::size_t violations_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::string report_;
  // They may send while they are made: last.
  Host host_;
  tcp::Link to_server_;
  tcp::Link to_client_;
  tcp::StackServer server_;
};

}  // namespace

RunResult run(const Scenario& scenario, std::size_t trace_lines) {
  return Run(scenario, trace_lines).run();
}

}  // namespace nearfield::sim::lwip
