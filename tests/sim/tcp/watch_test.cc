// What a server that answers SYNs with cookies may do and others may not: it keeps nothing of a
// SYN, so a stray one is answered, and a late duplicate begins a connection once more. The other
// checks are proved in faults_test.cc.
#include "tests/sim/tcp/watch.h"

#include "CppUTest/TestHarness.h"
#include "tests/sim/tcp/world.h"

using namespace nearfield;
using namespace nearfield::sim::tcp;

TEST_GROUP(SimTcpWatch) {
  static constexpr std::uint32_t kTheirs = 1000;  // initial numbers
  static constexpr std::uint32_t kOurs = 70'000;
  ClientProfile profile;
  Client::Identity identity;
  std::vector<std::string> said;
  Bytes request;
  Bytes answer;

  void setup() override {
    profile.answer_bytes = {100};
    profile.ecn = true;
    profile.timestamps = false;
    identity.server = server_endpoint(false);
    identity.initial_sequence = kTheirs;
    Request first;
    first.connection = identity.connection;
    first.answer_bytes = 100;
    const auto bytes = encode_request(first);
    request.assign(bytes.begin(), bytes.end());
    const auto pattern = pattern_at(identity.connection, 0, 100);
    answer.assign(pattern.begin(), pattern.end());
  }
  Watch make(bool cookies, const Watch* before = nullptr) {
    return {profile, identity, cookies, before, [this](std::string what) { said.push_back(what); }};
  }
  static Segment segment(std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    Segment segment;
    segment.flags = flags;
    segment.sequence = sequence;
    segment.acknowledgment = acknowledgment;
    segment.window = 8000;
    return segment;
  }
  static Segment syn_ack(std::uint32_t acknowledgment) {
    Segment answered = segment(kSyn | kAck, kOurs, acknowledgment);
    answered.maximum_segment_bytes = 1460;
    return answered;
  }
  // Handshake, request and answer.
  void exchange(Watch & watch) {
    watch.delivered(segment(kSyn | kEce | kCwr, kTheirs, 0));
    Segment accepted = syn_ack(kTheirs + 1);
    accepted.flags |= kEce;
    watch.emitted(accepted);
    ask(watch);
  }
  void ask(Watch & watch) {
    Segment asks = segment(kAck, kTheirs + 1, kOurs + 1);
    asks.payload = request;
    watch.delivered(asks);
    Segment answers = segment(kAck, kOurs + 1, kTheirs + 1 + kRequestBytes);
    answers.payload = answer;
    answers.ecn = Ecn::ect0;
    watch.emitted(answers);
  }
  void check_said(const char* what) {
    CHECK_TEXT(!said.empty(), what);
    STRCMP_CONTAINS(what, said.front().c_str());
  }
};

TEST(SimTcpWatch, AStraySynMayBeAnsweredWhileTheServerListens) {
  Watch watch = make(true);
  watch.delivered(segment(kSyn, kTheirs, 0));
  watch.emitted(syn_ack(kTheirs + 1));
  watch.delivered(segment(kSyn, kTheirs + 900, 0));
  watch.emitted(syn_ack(kTheirs + 901));
  CHECK(said.empty());
  watch.emitted(syn_ack(kTheirs + 555));
  check_said("answers none of ours");
}

TEST(SimTcpWatch, AStraySynIsNotAnsweredInAConnectionThatStands) {
  Watch watch = make(true);
  exchange(watch);
  watch.delivered(segment(kSyn, kTheirs + 900, 0));
  CHECK(said.empty());
  watch.emitted(syn_ack(kTheirs + 901));
  check_said("in a connection that stands");
}

// RFC 9293 3.5.2: the client will say RST.
TEST(SimTcpWatch, ASynOfTheConnectionBeforeMayBeAnswered) {
  Watch before = make(false);
  before.delivered(segment(kSyn, kTheirs, 0));
  identity.initial_sequence += 64'000;
  Watch watch = make(false, &before);
  watch.emitted(syn_ack(kTheirs + 1));
  CHECK(said.empty());
}

TEST(SimTcpWatch, ALateDuplicateBeginsTheConnectionAgainByItsCookie) {
  Watch watch = make(true);
  exchange(watch);
  watch.delivered(segment(kRst, kTheirs + 1 + kRequestBytes, 0));
  ask(watch);
  CHECK(said.empty());
}

TEST(SimTcpWatch, NotWhileTheConnectionStands) {
  Watch watch = make(true);
  exchange(watch);
  ask(watch);
  check_said("a retransmission is sent as ECN-capable");
}

TEST(SimTcpWatch, NotWithoutCookies) {
  Watch watch = make(false);
  exchange(watch);
  watch.delivered(segment(kRst, kTheirs + 1 + kRequestBytes, 0));
  ask(watch);
  check_said("a retransmission is sent as ECN-capable");
}

TEST(SimTcpWatch, ASecondLifeIsWatchedLikeTheFirst) {
  Watch watch = make(true);
  exchange(watch);
  watch.delivered(segment(kRst, kTheirs + 1 + kRequestBytes, 0));
  ask(watch);
  CHECK(said.empty());
  Segment again = segment(kAck, kOurs + 1, kTheirs + 1 + kRequestBytes);
  again.payload = answer;
  again.ecn = Ecn::ect0;
  watch.emitted(again);
  check_said("a retransmission is sent as ECN-capable");
}
