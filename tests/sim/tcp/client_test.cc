// A client alone, told every segment: what it acknowledges, when, and with which blocks.
#include "tests/sim/tcp/client.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::sim::tcp;
using std::chrono::milliseconds;

TEST_GROUP(SimTcpClient) {
  static constexpr std::uint32_t kOurs = 1000;
  static constexpr std::uint32_t kTheirs = 0xfffffff0;  // wraps in the first segment
  const Endpoint local{make_v4(198, 51, 100, 1), 5000};
  const Endpoint server{make_v4(192, 0, 2, 1), 80};
  ClientProfile profile;
  std::unique_ptr<Client> client;
  std::vector<Bytes> packets;
  std::vector<std::string> violations;
  MonotonicTime now{std::chrono::seconds(50)};

  void setup() override {
    profile.answer_bytes = {10'000};
    profile.timestamps = false;
    profile.acknowledge_delay = milliseconds(40);
  }
  // Through the handshake; the request is acknowledged.
  void open() {
    Client::Identity identity;
    identity.local = local;
    identity.server = server;
    identity.connection = 9;
    identity.initial_sequence = kOurs;
    client = std::make_unique<Client>(
        profile, identity, [this](Bytes packet) { packets.push_back(std::move(packet)); },
        [this](std::string what) { violations.push_back(std::move(what)); });
    client->start(now);
    Segment answer = blank();
    answer.sequence = kTheirs;
    answer.acknowledgment = kOurs + 1;
    answer.flags = kSyn | kAck;
    answer.maximum_segment_bytes = 1460;
    answer.sack_permitted = profile.sack;
    if (profile.window_scale) answer.window_scale = 0;
    client->receive(build(answer), now);
    CHECK(client->state() == Client::State::established);
    packets.clear();
  }
  Segment blank() const {
    Segment segment;
    segment.source = server;
    segment.destination = local;
    segment.acknowledgment = kOurs + 17;
    segment.flags = kAck;
    segment.window = 8000;
    return segment;
  }
  void data(std::uint64_t begin, std::uint64_t end, std::uint8_t more_flags = 0) {
    Segment segment = blank();
    segment.sequence = kTheirs + 1 + static_cast<std::uint32_t>(begin);
    segment.payload = pattern_at(9, begin, end - begin);
    segment.flags |= more_flags;
    client->receive(build(segment), now);
  }
  // The last thing sent, as text: "ack N a-b c-d", or nothing if nothing was sent since.
  std::string said() {
    if (packets.empty()) return "";
    const auto segment = read(packets.back());
    packets.clear();
    const auto position = [](std::uint32_t sequence) {
      return std::to_string(static_cast<std::int32_t>(sequence - kTheirs - 1));
    };
    std::string text = (segment->has(kRst) ? "rst " : "ack ") + position(segment->acknowledgment);
    for (std::size_t index = 0; index < segment->sack_block_count; ++index)
      text += " " + position(segment->sack_blocks[index].begin) + "-" +
              position(segment->sack_blocks[index].end);
    return text;
  }
  void says(const char* text) { STRCMP_EQUAL(text, said().c_str()); }
};

TEST(SimTcpClient, AcknowledgesEverySecondSegmentOrAfterTheDelay) {
  open();
  data(0, 100);
  says("");
  data(100, 200);
  says("ack 200");
  data(200, 300);
  says("");
  now += milliseconds(40);
  CHECK(client->next_deadline() <= now);
  client->run(now);
  says("ack 300");
}

TEST(SimTcpClient, ReportsBlocksTheLatestFirst) {
  open();
  data(100, 200);
  says("ack 0 100-200");
  data(300, 400);
  says("ack 0 300-400 100-200");
  data(500, 600);
  says("ack 0 500-600 300-400 100-200");
  data(200, 300);  // joins two
  says("ack 0 100-400 500-600");
  data(0, 100);
  says("ack 400 500-600");
  data(400, 500);
  says("ack 600");
}

TEST(SimTcpClient, ReportsDuplicatesFirst) {
  open();
  data(0, 100);
  data(100, 200);
  says("ack 200");
  data(50, 150);
  says("ack 200 50-150");
  data(300, 500);
  says("ack 200 300-500");
  data(300, 400);  // RFC 2883 4.2: within the block that follows
  says("ack 200 300-400 300-500");
  data(600, 700);
  says("ack 200 600-700 300-500");
}

TEST(SimTcpClient, SaysNoBlocksWhereNoneWereAgreedOn) {
  profile.sack = false;
  open();
  data(100, 200);
  says("ack 0");
  data(100, 200);
  says("ack 0");
}

TEST(SimTcpClient, RenegesOnce) {
  profile.reneges_after_bytes = 100;
  open();
  data(200, 300);
  says("ack 0 200-300");
  data(0, 100);
  says("ack 100 200-300");  // and forgets
  data(100, 200);
  data(400, 500);
  says("ack 200 400-500");
}

TEST(SimTcpClient, KeepsItsPromisedWindowAndTakesNothingBeyond) {
  profile.receive_buffer_bytes = 150;
  profile.window_scale = 0;
  profile.hold = ClientProfile::Hold{1, milliseconds(500), false};
  open();
  data(0, 100);
  data(100, 200);  // 50 fit
  says("ack 150");
  data(150, 151);  // a probe of the closed window
  says("ack 150");
  now += milliseconds(500);
  client->run(now);
  says("ack 150");
  data(150, 250);
  says("ack 250");  // the news that there is room again
  data(250, 300);
  says("");
  CHECK(violations.empty());
}

TEST(SimTcpClient, SeesWrongBytesAndBytesBehindTheFin) {
  open();
  Segment wrong = blank();
  wrong.sequence = kTheirs + 1;
  const Bytes zeros(10, std::byte{0});
  wrong.payload = zeros;
  client->receive(build(wrong), now);
  UNSIGNED_LONGS_EQUAL(1, violations.size());
  data(10, 20, kFin);
  data(20, 30);
  CHECK(violations.size() >= 2);
}

TEST(SimTcpClient, IgnoresInexactResetsObeysExactOnes) {
  open();
  Segment reset = blank();
  reset.flags = kRst | kAck;
  reset.sequence = kTheirs + 1 + 5;
  client->receive(build(reset), now);
  says("ack 0");
  CHECK(client->state() == Client::State::established);
  reset.sequence = kTheirs + 1;
  client->receive(build(reset), now);
  CHECK(client->state() == Client::State::reset_by_server);
  UNSIGNED_LONGS_EQUAL(1, violations.size());
}

TEST(SimTcpClient, ResetsWhatBelongsToAnEarlierConnection) {
  Client::Identity identity;
  identity.local = local;
  identity.server = server;
  identity.initial_sequence = kOurs;
  client = std::make_unique<Client>(
      profile, identity, [this](Bytes packet) { packets.push_back(std::move(packet)); },
      [this](std::string what) { violations.push_back(std::move(what)); });
  client->start(now);
  packets.clear();
  Segment challenge = blank();
  challenge.acknowledgment = 77;
  client->receive(build(challenge), now);
  CHECK(read(packets.back())->flags == kRst);
  UNSIGNED_LONGS_EQUAL(77, read(packets.back())->sequence);
  CHECK(client->state() == Client::State::opening);
  now += std::chrono::seconds(1);
  client->run(now);
  CHECK(read(packets.back())->flags == kSyn);
}
