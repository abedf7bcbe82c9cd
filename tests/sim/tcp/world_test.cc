// A client, two links and the reference server together: every way to begin, behave and end comes
// to its right outcome, equal seeds give equal runs.
#include "tests/sim/tcp/world.h"

#include "CppUTest/TestHarness.h"
#include "tests/sim/tcp/reference_server.h"

using namespace nearfield;
using namespace nearfield::sim::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

MakeServer reference(Fault fault = Fault::none) {
  return [fault](SendPacket send) {
    return std::make_unique<ReferenceServer>(std::move(send), fault);
  };
}

WorldOptions one_client(std::vector<std::uint64_t> answers) {
  WorldOptions options;
  options.seed = 7;
  options.drain = seconds(10);
  ClientPlan plan;
  plan.profile.answer_bytes = std::move(answers);
  plan.limit = seconds(200);
  options.clients.push_back(plan);
  options.time_limit = seconds(500);
  return options;
}

void check_complete(const WorldOptions& options) {
  std::size_t left = 1;
  const WorldResult result = run_world(options, reference(), [&left](ServerUnderTest& server) {
    left = static_cast<ReferenceServer&>(server).connection_count();
  });
  for (const ClientResult& client : result.clients) {
    CHECK_TEXT(client.outcome == Outcome::complete, result.describe().c_str());
    CHECK(client.received_bytes == client.expected_bytes);
  }
  CHECK_TEXT(result.good(), result.describe().c_str());
  UNSIGNED_LONGS_EQUAL(0, left);
}

}  // namespace

TEST_GROUP(SimTcpWorld){};

TEST(SimTcpWorld, OneObjectOverACleanLinkTakesItsTime) {
  auto options = one_client({100'000});
  const WorldResult result = run_world(options, reference());
  CHECK_TEXT(result.good(), result.describe().c_str());
  UNSIGNED_LONGS_EQUAL(100'000, result.clients[0].received_bytes);
  UNSIGNED_LONGS_EQUAL(0, result.clients[0].retransmitted_bytes);
  CHECK(result.clients[0].took > milliseconds(100));  // 20 ms a turn, 8 segments each
  CHECK(result.clients[0].took < milliseconds(400));
}

TEST(SimTcpWorld, EveryWayOfClosingEnds) {
  for (const Closing closing : {Closing::after_requests, Closing::after_answers,
                                Closing::after_server, Closing::crossing}) {
    for (const bool pipelined : {true, false}) {
      auto options = one_client({5000, 0, 1, 20'000});
      options.clients[0].profile.closing = closing;
      options.clients[0].profile.pipelined = pipelined;
      options.clients[0].profile.think = milliseconds(30);
      check_complete(options);
    }
  }
}

TEST(SimTcpWorld, BodiesGoUpWhileAnswersComeDown) {
  for (const Closing closing : {Closing::after_requests, Closing::after_answers,
                                Closing::after_server, Closing::crossing}) {
    for (const bool pipelined : {true, false}) {
      auto options = one_client({50'000, 0, 20'000});
      options.clients[0].profile.body_bytes = {100'000, 1};
      options.clients[0].profile.closing = closing;
      options.clients[0].profile.pipelined = pipelined;
      check_complete(options);
      options.clients[0].to_server.loss = 0.02;
      check_complete(options);
    }
  }
}

TEST(SimTcpWorld, AServerThatSleepsGoesOnWhereItWas) {
  for (const bool clock_stops : {true, false}) {
    for (const std::size_t kept : {0, 256}) {
      auto options = one_client({300'000});
      options.stalls = {{milliseconds(50), seconds(5), clock_stops, kept},
                        {seconds(6), seconds(1), clock_stops, kept}};
      check_complete(options);
      const WorldResult result = run_world(options, reference());
      CHECK(result.clients[0].took > seconds(5));
    }
  }
}

TEST(SimTcpWorld, AMiddleboxChangesWhatTheServerMayDo) {
  auto options = one_client({50'000});
  ClientPlan& plan = options.clients[0];
  plan.to_server.middlebox.strips_window_scale = true;
  plan.to_server.middlebox.strips_sack = true;
  plan.to_server.middlebox.clamps_segment_size = 700;
  check_complete(options);
  plan.to_server.middlebox.strips_timestamps = true;
  check_complete(options);
  plan.to_server.middlebox = {};
  plan.to_server.middlebox.strips_all_timestamps_after = milliseconds(60);
  plan.to_client.middlebox.strips_all_timestamps_after = milliseconds(90);
  check_complete(options);
}

TEST(SimTcpWorld, EveryMixOfOptionsWorksOverBothProtocols) {
  for (unsigned mix = 0; mix < 64; ++mix) {
    auto options = one_client({30'000});
    ClientProfile& profile = options.clients[0].profile;
    options.clients[0].is_v6 = (mix & 1) != 0;
    profile.timestamps = (mix & 2) != 0;
    profile.sack = (mix & 4) != 0;
    if ((mix & 8) != 0) profile.window_scale.reset();
    if ((mix & 16) != 0) profile.maximum_segment_bytes.reset();
    profile.ecn = (mix & 32) != 0;
    options.clients[0].to_client.loss = 0.02;
    check_complete(options);
  }
}

TEST(SimTcpWorld, AHostileLinkDelaysButLosesNothing) {
  auto options = one_client({200'000, 50'000});
  for (LinkOptions* link : {&options.clients[0].to_server, &options.clients[0].to_client}) {
    link->loss = 0.03;
    link->burst_begins = 0.005;
    link->burst_ends = 0.3;
    link->duplication = 0.05;
    link->corruption = 0.03;
    link->reordering = 0.05;
    link->jitter = milliseconds(5);
    link->jitter_reorders = true;
  }
  const WorldResult result = run_world(options, reference());
  CHECK_TEXT(result.good(), result.describe().c_str());
  CHECK(result.clients[0].retransmitted_bytes > 0);
  CHECK(result.clients[0].counters.damaged > 0);
  CHECK(result.clients[0].counters.out_of_order > 0);
  CHECK(result.clients[0].counters.duplicate_bytes > 0);
}

TEST(SimTcpWorld, TinyWindowsHoldsShrinkingAndSlowReaders) {
  for (const std::size_t buffer : {1u, 7u, 100u}) {
    auto options = one_client({40 * buffer});
    options.clients[0].profile.receive_buffer_bytes = buffer;
    options.clients[0].profile.window_scale = 0;
    check_complete(options);
  }
  for (const bool shrinks : {false, true}) {
    auto options = one_client({60'000});
    options.clients[0].profile.receive_buffer_bytes = 20'000;
    options.clients[0].profile.hold = ClientProfile::Hold{15'000, seconds(3), shrinks};
    check_complete(options);
  }
  auto options = one_client({60'000});
  options.clients[0].profile.receive_buffer_bytes = 10'000;
  options.clients[0].profile.read_bytes_per_second = 20'000;
  check_complete(options);
}

TEST(SimTcpWorld, PiecesOverlapsUrgentDataKeepAlivesAndJunkDoNoHarm) {
  auto options = one_client({1000, 2000, 3000, 50'000});
  ClientProfile& profile = options.clients[0].profile;
  profile.smallest_split_bytes = 1;
  profile.largest_split_bytes = 9;
  profile.split_pause = milliseconds(5);
  profile.overlaps = profile.urgent = true;
  profile.keep_alive = milliseconds(150);
  profile.pipelined = false;
  profile.think = milliseconds(700);
  profile.junk_segments = 60;
  profile.junk_pause = milliseconds(13);
  check_complete(options);
  const WorldResult result = run_world(options, reference());
  CHECK(result.clients[0].counters.keep_alives > 3);
  CHECK(result.clients[0].counters.keep_alives_answered > 3);
  UNSIGNED_LONGS_EQUAL(60, result.clients[0].counters.junk);
}

TEST(SimTcpWorld, CongestionIsMarkedEchoedAndAnswered) {
  auto options = one_client({300'000});
  options.clients[0].profile.ecn = true;
  options.clients[0].to_client.bits_per_second = 5'000'000;
  options.clients[0].to_client.delay = milliseconds(1);
  options.clients[0].to_client.ecn_threshold_bytes = 3000;
  check_complete(options);
  const WorldResult result = run_world(options, reference());
  CHECK(result.clients[0].counters.congestion_marks > 10);
  UNSIGNED_LONGS_EQUAL(result.clients[0].to_client.marked,
                       result.clients[0].counters.congestion_marks);
  UNSIGNED_LONGS_EQUAL(0, result.clients[0].retransmitted_bytes);
}

TEST(SimTcpWorld, AMtuThatShrinksIsLearnedOrGuessed) {
  for (const TooLong too_long : {TooLong::answered, TooLong::dropped}) {
    for (const bool is_v6 : {false, true}) {
      auto options = one_client({100'000});
      options.clients[0].is_v6 = is_v6;
      options.clients[0].to_client.too_long = too_long;
      options.clients[0].to_client.mtu_changes = {{milliseconds(90), is_v6 ? 1280u : 600u}};
      check_complete(options);
      const WorldResult result = run_world(options, reference());
      CHECK(result.clients[0].to_client.too_long > 0);
    }
  }
}

TEST(SimTcpWorld, EarlyEndsAreWhatTheProfileSays) {
  auto options = one_client({100'000});
  options.clients[0].profile.reset_after_bytes = 30'000;
  WorldResult result = run_world(options, reference());
  CHECK_TEXT(result.good(), result.describe().c_str());
  CHECK(result.clients[0].outcome == Outcome::reset_by_us);
  options.clients[0].profile.reset_after_bytes.reset();
  options.clients[0].profile.vanish_after_bytes = 30'000;
  result = run_world(options, reference());
  CHECK_TEXT(result.good(), result.describe().c_str());
  CHECK(result.clients[0].outcome == Outcome::vanished);
}

TEST(SimTcpWorld, ASuccessorFollowsOnTheSamePort) {
  for (const Closing closing : {Closing::after_answers, Closing::after_server}) {
    auto options = one_client({10'000});
    options.clients[0].profile.closing = closing;
    options.clients.push_back(options.clients[0]);
    options.clients[1].successor_of = 0;
    options.clients[1].starts_after = milliseconds(100);
    check_complete(options);
  }
}

TEST(SimTcpWorld, EqualSeedsAreEqualRunsOtherSeedsAreNot) {
  auto options = one_client({50'000});
  options.clients[0].to_client.loss = 0.05;
  const std::uint64_t once = run_world(options, reference()).fingerprint;
  CHECK(once == run_world(options, reference()).fingerprint);
  options.seed = 8;
  CHECK(once != run_world(options, reference()).fingerprint);
}
