// Anything at all, in any order: segments with numbers around those that matter, calls of the
// application, a device that is full or slow, routers that complain, time. No invariant breaks, and
// at the end everything is given back.
#include <random>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackMonkey){};

namespace {

class Monkey {
 public:
  explicit Monkey(std::uint32_t seed) : random_(seed), script_(options(seed), seed % 5 == 0) {
    script_.title = "seed " + std::to_string(seed) + ": ";
  }

  void live() {
    static const char* const kOffers[] = {"mss=1000", "mss=1000 sackok ws=4",
                                          "mss=1460 sackok ts ws=2 ecn", "mss=88 ts",
                                          "mss=536 ws=14"};
    script_.connect(kOffers[up_to(4)], 1.0 + static_cast<double>(up_to(200)),
                    static_cast<std::uint32_t>(up_to(1) ? 65535 : up_to(3000)));
    script_.check_window =
        false;  // stray acknowledgments, which the stack drops, open the script's
    for (int step = 0; step < 250; ++step) act();
    script_.refuse = nullptr;
    script_.hold_tickets = false;
    script_.run();
    script_.at(ms_ += 5000);
    if (!script_.app().closed) script_.abort();
    script_.at(ms_ += 400'000);
    if (!script_.app().closed) script_.fail("never closed");
    if (script_.stack.connections() != 0) script_.fail("a connection is left");
    // Each slot serves again.
    for (std::uint16_t port = 1; port <= 8; ++port) script_.connect("mss=1000", 1, 1000, port);
    if (script_.stack.connections() != 8) script_.fail("a slot is lost");
  }

 private:
  static StackOptions options(std::uint32_t seed) {
    StackOptions options = Script::usual();
    options.pacing = seed % 2 == 0;
    options.shared_transmissions = seed % 3 == 0 ? 1 : 64;
    options.receive_chunks = seed % 3 == 1 ? 2 : 64;
    if (seed % 4 == 0) options.keep_alive = std::chrono::seconds(30);
    options.give_up_after = std::chrono::seconds(100);
    return options;
  }

  std::uint64_t up_to(std::uint64_t bound) { return random_() % (bound + 1); }
  // Mostly in [0, bound], now and then a little before or beyond.
  std::uint32_t about(std::uint64_t bound) {
    const std::uint64_t kind = up_to(9);
    if (kind == 0) return static_cast<std::uint32_t>(bound + up_to(3000));
    if (kind == 1) return static_cast<std::uint32_t>(0 - up_to(3000));
    if (kind < 5) return static_cast<std::uint32_t>(bound);
    return static_cast<std::uint32_t>(up_to(bound));
  }

  void act() {
    const bool alive = !script_.app().closed;
    switch (up_to(13)) {
      case 0:
        if (alive) script_.send(up_to(30'000));
        break;
      case 1:
        if (alive) script_.app().take(up_to(2) == 0 ? UINT64_MAX : up_to(3000)), script_.run();
        break;
      case 2:
        if (alive && up_to(15) == 0) script_.close();
        break;
      case 3:
        if (alive && up_to(40) == 0) script_.abort();
        break;
      case 4:
        script_.refuse = nullptr;
        if (up_to(1) == 0) {
          script_.refuse = [this](const OutgoingSegment&) { return up_to(2) == 0; };
        }
        script_.run();
        break;
      case 5:
        script_.hold_tickets = up_to(2) == 0;
        script_.complete_tickets(script_.last_ticket() -
                                 std::min(up_to(20), script_.last_ticket()));
        break;
      case 6:
        script_.too_big(about(script_.view().acknowledged_bytes + 5000),
                        static_cast<std::uint32_t>(up_to(1600)));
        break;
      case 7:
      case 8:
        script_.at(ms_ =
                       script_.now_ms() + static_cast<double>(up_to(up_to(8) == 0 ? 70'000 : 150)));
        break;
      default:
        segment();
        break;
    }
    ms_ = script_.now_ms();
  }

  void segment() {
    const ConnectionView view = script_.view();
    const std::uint64_t sent =
        view.acknowledged_bytes + view.in_flight_bytes + view.lost_bytes + view.sacked_bytes + 1;
    static const char* const kFlags[] = {".", ".", ".", "P.", "P.", ".E", ".W", "F.", "S", "R", ""};
    std::string flags = kFlags[up_to(10)];
    if ((flags == "F." || flags == "R") && up_to(6) != 0) flags = ".";
    if (flags.empty()) flags = "U";
    if (flags == "S" && !script_.connected()) flags = ".";  // one connection is enough
    const std::uint32_t begin = about(view.received_bytes + 1);
    std::string line = flags + " " + std::to_string(begin);
    if (up_to(2) == 0) {
      const auto bytes = static_cast<std::uint32_t>(up_to(2500));
      line += ":" + std::to_string(begin + bytes) + "(" + std::to_string(bytes) + ")";
    }
    line +=
        " ack=" +
        std::to_string(up_to(3) == 0
                           ? about(sent)
                           : static_cast<std::uint32_t>(view.acknowledged_bytes + 1 +
                                                        up_to(sent - view.acknowledged_bytes - 1)));
    if (up_to(3) == 0) line += " win=" + std::to_string(up_to(1) == 0 ? 0 : up_to(5000));
    if (up_to(2) == 0) {
      line += " sack=";
      for (std::uint64_t block = 0; block <= up_to(2); ++block) {
        const std::uint32_t from = about(sent);
        if (block > 0) line += ",";
        line += std::to_string(from) + "-" + std::to_string(from + up_to(4000));
      }
    }
    if (up_to(20) == 0) line += " val=" + std::to_string(random_());
    if (up_to(10) == 0) line += " ecr=" + std::to_string(script_.last_value() - up_to(3000));
    if (up_to(20) == 0) line += " nots";
    if (up_to(10) == 0) line += " ce";
    script_.in(line);
  }

  std::mt19937 random_;
  Script script_;
  double ms_ = 0;
};

}  // namespace

TEST(StackMonkey, BreaksNothing) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) Monkey(seed).live();
}
