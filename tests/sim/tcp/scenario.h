// Scenario: everything about one run, drawn from its seed; and how long each client may take.
//
// What is drawn, and how often, stands beside each draw in scenario.cc; in short:
// - 1 to 12 clients (half the runs have one to three), a third of them over IPv6; in one run of
//   eight a client has a successor on its address and port.
// - Links of 256 kbit/s to 1 Gbit/s or unlimited, 0 to 150 ms one way, queues from four packets to
//   four bandwidth-delay products; half the links are clean, the others lose up to 5 % at random
//   or in bursts, duplicate, damage and reorder up to 5 %; one in ten changes its MTU or is a black
//   hole; one in twelve goes dark for up to 3 s, once; one in twelve loses up to 10 % more of
//   the acknowledgments, one in ten delivers every 1 to 60 ms what came meanwhile, one in eight
//   bleaches ECN.
// - Objects: four in five below 64 KiB, one in forty up to 4 MiB; cut down where rate, window or
//   reading speed would make a run long. One client in six that asks more than once waits up to a
//   minute in between.
// - One client in thirty uploads bodies of up to 1 MiB, and the server's application may read them
//   slowly or with pauses; one path in twenty-five has a middlebox that takes options away or
//   lowers the segment size.
// - In one run of eighty the server has hardly any memory and a crowd of clients; in one of forty
// it
//   is suspended for 1 to 20 s.
// - Any mix of options offered; acknowledgments at once, delayed or stretched; windows of 1 to 100
//   bytes, held, shrunk; slow readers; pieces, overlaps, urgent data, keep-alive, junk; one client
//   in fourteen resets, one in twenty vanishes.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/tcp/world.h"

namespace nearfield::sim::tcp {

// What the server is to be short of, and how its application reads.
struct ServerStrain {
  // Room for a few connections and a few of everything else only, far fewer than there are clients.
  // Then nothing may be left of anyone at the end of the run, and the server's waits for peers that
  // are not there any more are to be shorter than WorldOptions::drain.
  bool is_scarce = false;
  // The application takes so many bytes of a body at once, then pauses; 0: all, without pause.
  std::size_t body_bytes_at_once = 0;
  Duration body_pause{};
};

struct Scenario {
  WorldOptions options;
  ServerStrain strain;
  std::string summary;  // one line for each client, for people
};

// `patience` multiplies every client's limit: 1 for a TCP with modern recovery. Without
// `with_strain` the server is spared crowds and suspension, and the application reads at once.
Scenario make_scenario(std::uint64_t seed, double patience = 1, bool with_strain = true);

// What a sender without losses, with ten segments at first and twice as many each round trip, needs
// at least: round trips, serialisation, windows, reading, pauses.
Duration ideal_time(const ClientPlan& plan);
// kFactor times the ideal, and allowances: what loss costs a loss-limited sender (Mathis, Semke,
// Mahdavi and Ott 1997) and a shallow queue one that does not pace itself, both slower with
// acknowledgments that come late, time-outs for losses that only time-outs mend, twice each
// blackout and hold (back-off doubles), and a fixed 5 s.
inline constexpr double kLivenessFactor = 4;
Duration time_limit(const ClientPlan& plan);
// What a client may wait for a server that sleeps, for a place, for an application that pauses.
Duration allowed_for_strain(const Scenario& scenario, const ClientPlan& plan);

}  // namespace nearfield::sim::tcp
