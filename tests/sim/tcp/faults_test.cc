// The checks themselves: each way in which a server can be wrong is seen, by the check meant for
// it. A check that never fires proves nothing.
#include "CppUTest/TestHarness.h"
#include "tests/sim/tcp/reference_server.h"

using namespace nearfield;
using namespace nearfield::sim::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

WorldOptions plain_options() {
  WorldOptions options;
  options.seed = 3;
  options.time_limit = seconds(100);
  ClientPlan plan;
  plan.profile.answer_bytes = {40'000};
  plan.profile.closing = Closing::after_server;
  plan.limit = seconds(60);
  options.clients.push_back(plan);
  return options;
}

WorldResult run_with(Fault fault, const WorldOptions& options) {
  return run_world(options, [fault](SendPacket send) {
    return std::make_unique<ReferenceServer>(std::move(send), fault);
  });
}

// The fault is found under a violation that says `what`, with a trace to read; without the fault
// the same run is good.
void check_found(Fault fault, const char* what, const WorldOptions& options = plain_options()) {
  const WorldResult sound = run_with(Fault::none, options);
  CHECK_TEXT(sound.good(), sound.describe().c_str());
  const WorldResult result = run_with(fault, options);
  bool found = false;
  for (const Violation& violation : result.violations) {
    const bool says_it = violation.what.find(what) != std::string::npos;
    found = found || says_it;
    if (says_it) CHECK(!violation.trace.empty());
  }
  CHECK_TEXT(found, (std::string("nobody said: ") + what + "\n" + result.describe()).c_str());
}

}  // namespace

TEST_GROUP(SimTcpFaults){};

TEST(SimTcpFaults, SendingBeyondTheWindow) {
  auto options = plain_options();
  options.clients[0].profile.receive_buffer_bytes = 5000;
  options.clients[0].profile.window_scale = 0;
  check_found(Fault::sends_beyond_window, "beyond the window's edge", options);
}

TEST(SimTcpFaults, AWrongByte) {
  check_found(Fault::sends_wrong_byte, "sends a wrong byte at position 3000");
  check_found(Fault::sends_wrong_byte, "received a wrong byte at position 3000");
}

TEST(SimTcpFaults, AForgottenRetransmission) {
  auto options = plain_options();
  options.clients[0].to_client.loss = 0.1;
  check_found(Fault::forgets_retransmission, "late: not finished", options);
}

TEST(SimTcpFaults, AnAcknowledgmentOfWhatDidNotCome) {
  auto options = plain_options();
  options.clients[0].profile.smallest_split_bytes = 4;
  options.clients[0].profile.largest_split_bytes = 4;
  options.clients[0].profile.split_pause = milliseconds(5);
  check_found(Fault::acknowledges_too_much, "acknowledges position", options);
}

TEST(SimTcpFaults, SegmentsAboveTheSizeTold) {
  check_found(Fault::sends_too_long_segments, "of options in one segment");
}

TEST(SimTcpFaults, AnEarlyFin) {
  check_found(Fault::ends_too_early, "sends its FIN at position 39999");
}

TEST(SimTcpFaults, BytesBehindTheFin) {
  check_found(Fault::sends_after_fin, "bytes behind its FIN");
}

TEST(SimTcpFaults, AReset) { check_found(Fault::resets, "the server sends a RST"); }

TEST(SimTcpFaults, Sleep) { check_found(Fault::goes_to_sleep, "late: not finished"); }

TEST(SimTcpFaults, AWrongChecksum) {
  check_found(Fault::breaks_checksum, "bad packet: wrong TCP checksum");
}

TEST(SimTcpFaults, ATimestampClockThatRunsBackwards) {
  check_found(Fault::clock_goes_back, "timestamp goes back");
}

TEST(SimTcpFaults, AnswersNobodyAskedFor) {
  check_found(Fault::answers_before_asked, "was asked for");
}

TEST(SimTcpFaults, OptionsThatWereNotOffered) {
  auto options = plain_options();
  options.clients[0].profile.window_scale.reset();
  options.clients[0].profile.sack = false;
  check_found(Fault::agrees_to_everything, "scales windows, which was not offered", options);
  check_found(Fault::agrees_to_everything, "permits SACK, which was not offered", options);
}

TEST(SimTcpFaults, AZeroWindowThatIsNotProbed) {
  auto options = plain_options();
  ClientPlan& plan = options.clients[0];
  plan.profile.receive_buffer_bytes = 10'000;
  plan.profile.window_scale = 0;
  plan.profile.hold = ClientProfile::Hold{1000, seconds(2), false};
  // The news that the window is open again is lost.
  plan.to_server.blackouts = {{milliseconds(1500), milliseconds(3500)}};
  check_found(Fault::refuses_to_probe, "late: not finished", options);
}

TEST(SimTcpFaults, ABurstBeforeTheFirstAcknowledgment) {
  check_found(Fault::bursts, "bytes before any acknowledgment");
}
