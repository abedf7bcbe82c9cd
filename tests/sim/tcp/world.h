// World: clients, their links and one server in virtual time. A run is a function of the seed and
// the server's behaviour alone; two runs with equal fingerprints did the same.
//
// The loop: deliver what arrives at the earliest moment, let the clients do what is due, then let
// the server run if it wants to or its deadline has come. The server is never called from within
// itself: what it sends enters the links at once and arrives later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "tests/sim/tcp/client.h"
#include "tests/sim/tcp/link.h"

namespace nearfield::sim::tcp {

// Packets begin with the IP header, IPv4 or IPv6, and may be anything, also ICMP. What the server
// sends goes to the function that its factory was given.
class ServerUnderTest {
 public:
  virtual ~ServerUnderTest() = default;
  virtual void receive(std::span<const std::byte> packet, MonotonicTime now) = 0;
  // Timers that are due, and transmission.
  virtual void run(MonotonicTime now) = 0;
  // When run() must be called at the latest though nothing arrives; none: never. A moment in the
  // past means now.
  virtual std::optional<MonotonicTime> next_deadline() = 0;
  // There is something to do now: call run() at the next opportunity.
  virtual bool wants_to_run() = 0;
};

using SendPacket = std::function<void(std::span<const std::byte> packet)>;
using MakeServer = std::function<std::unique_ptr<ServerUnderTest>(SendPacket send)>;

// The server's addresses and port in every run. It answers requests as exchange.h says.
Endpoint server_endpoint(bool is_v6);  // 192.0.2.1 or 2001:db8::1, port 80

struct ClientPlan {
  ClientProfile profile;
  bool is_v6 = false;
  LinkOptions to_server;
  LinkOptions to_client;
  Duration starts_after{};
  // Begins `starts_after` after that client (by index, a smaller one) finished, from the same
  // address and port, over the same links (its own are not used): TIME-WAIT met by a new
  // connection.
  std::optional<std::size_t> successor_of;
  // Finishing later than this after its start is a violation. 0: no limit.
  // Where the profile may be refused, one that got nothing by then has waited in vain and falls
  // silent; one that got something has the same time again.
  Duration limit{};
  // What a perfect transport would need; for the result only.
  Duration ideal{};
};

// The server does nothing for a while, as in a virtual machine that is suspended.
struct Stall {
  Duration from{};  // since the start of the run
  Duration length{};
  bool clock_stops = false;  // else the server's clock has gone on when it wakes
  // What arrives meanwhile is kept up to here, and given to it when it wakes; the rest is lost.
  std::size_t kept_packets = 256;
};

struct WorldOptions {
  std::uint64_t seed = 0;
  std::vector<ClientPlan> clients;
  // The server runs at most once in this time, as a busy worker's loop does.
  Duration server_turn = std::chrono::microseconds(1);
  // The server keeps nothing of a SYN (RFC 4987 3.6).
  bool cookies = false;
  std::vector<Stall> stalls;  // in order of time, not overlapping
  // The whole run ends here at the latest; clients not finished then are a violation.
  Duration time_limit = std::chrono::minutes(10);
  // After the last client finished the run goes on for so long, so that the server's farewells
  // come to rest (and a test may look whether it forgot everyone).
  Duration drain{};
  std::size_t trace_lines = 60;        // packet events kept for each connection
  std::size_t maximum_violations = 8;  // the run stops at so many
};

enum class Outcome {
  unfinished,
  complete,        // all answers, both FINs
  reset_by_us,     // as its profile said
  vanished,        // as its profile said
  reset_by_server  // always a violation
};
const char* name_of(Outcome outcome);

struct ClientResult {
  Outcome outcome = Outcome::unfinished;
  std::uint64_t expected_bytes = 0;
  std::uint64_t received_bytes = 0;       // in order
  std::uint64_t retransmitted_bytes = 0;  // by the server, seen at its door
  Duration took{};                        // from its start to its outcome
  Duration ideal{};
  Duration limit{};
  ClientCounters counters;
  LinkCounters to_server;
  LinkCounters to_client;
};

struct Violation {
  MonotonicTime at;
  std::size_t client = 0;
  std::string what;
  std::string trace;  // the connection's last packets, one a line
};

struct WorldResult {
  std::vector<ClientResult> clients;
  std::vector<Violation> violations;
  Duration took{};
  std::uint64_t events = 0;
  std::uint64_t server_packets = 0;
  std::uint64_t fingerprint = 0;  // of all the server sent and when

  bool good() const { return violations.empty(); }
  // Many lines: every violation with its trace, then every client's result.
  std::string describe() const;
};

// `make_server` is called once; the server is destroyed before run_world() returns, after
// `inspect`, if any, has looked at it.
WorldResult run_world(const WorldOptions& options, const MakeServer& make_server,
                      const std::function<void(ServerUnderTest&)>& inspect = {});

}  // namespace nearfield::sim::tcp
