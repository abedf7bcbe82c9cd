// SecureStream over the simulated network: our client and our server, through every way a
// connection can go. The network compares what it pulls twice, so records sealed again are proven
// equal all along.
#include "dataplane/tls/secure_stream.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/post_handshake.h"
#include "dataplane/tls/record_sealer.h"
#include "dataplane/tls/secure_acceptor.h"
#include "dataplane/tls/secure_connector.h"
#include "tests/sim/sim_peer.h"
#include "tests/sim/sim_reactor.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"
#include "tests/unit/dataplane/tls/secure_stream_test_support.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

namespace nearfield::tls {

using test::Above;
using test::Application;

namespace {

const net::Endpoint kServer = *net::Endpoint::parse("192.0.2.1:443");

// Made once: keys cost time.
struct Material {
  test::TestAuthority authority;
  CertificateFiles host = authority.host("node.example");
  std::shared_ptr<TicketKeys> tickets = TicketKeys::make(test::real_now());
};
Material& material() {
  static Material made;
  return made;
}

std::string text_of(std::uint64_t seed, std::size_t bytes) {
  test::Random random(seed);
  std::string text(bytes, ' ');
  for (char& letter : text) letter = static_cast<char>('a' + random.below(26));
  return text;
}

}  // namespace

TEST_GROUP(SecureStream) {
  // A world with both sides; gone in the right order.
  struct Stage {
    explicit Stage(std::uint64_t seed, const HandshakePoolOptions& helpers = {.threads = 0})
        : world(seed),
          server_reactor(world.add_reactor()),
          client_reactor(world.add_reactor()),
          pool(helpers),
          server(server_reactor, pool, test::engine()),
          client(client_reactor, pool, test::engine()) {
      world.set_wall_time(test::real_now());
      ServerOptions options;
      options.certificates = {material().host};
      options.ticket_keys = material().tickets;
      acceptor = std::make_unique<SecureAcceptor>(server, tally, above,
                                                  test::server_settings(options), limits);
      connector = std::make_unique<SecureConnector>(client);
      ClientOptions trusting;
      trusting.ca_file = material().authority.ca_file();
      trusting.protocols = {"http/1.1"};
      client_settings = test::client_settings(trusting);
      above.make = [this, seed] {
        return std::make_unique<Application>(server_reactor, seed + 7, moody);
      };
      world.serve(kServer, server_reactor, *acceptor);
    }
    ~Stage() {
      world.shutdown();
      connector.reset();
      acceptor.reset();
    }
    // Lives until the world has ended its connection.
    Application& make_client(std::uint64_t seed, bool is_moody) {
      clients.push_back(std::make_unique<Application>(client_reactor, seed, is_moody));
      return *clients.back();
    }
    void connect(Application& application, const std::string& name = "node.example") {
      application.is_client = true;
      const net::ConnectOptions patient{.timeout = std::chrono::minutes(5)};
      application.stream = connector->connect(kServer, patient, client_settings, name, application);
      CHECK(application.stream != nullptr);
    }
    std::uint64_t failures(HandshakeFailure reason) const {
      return pool.counts().failed[static_cast<std::size_t>(reason)];
    }
    std::uint64_t failures() const {
      return std::ranges::fold_left(pool.counts().failed, std::uint64_t{0}, std::plus<>());
    }
    bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::minutes(1)) {
      return world.run_until(
          [&] {
            while (pool.run_one()) {
            }
            return done();
          },
          limit);
    }

    sim::World world;
    std::vector<std::unique_ptr<Application>> clients;
    sim::SimReactor& server_reactor;
    sim::SimReactor& client_reactor;
    HandshakePool pool;
    HandshakeTally tally;
    HandshakeLimits limits;
    Above above;
    SecureContext server;
    SecureContext client;
    std::shared_ptr<const ClientSettings> client_settings;
    std::unique_ptr<SecureAcceptor> acceptor;
    std::unique_ptr<SecureConnector> connector;
    bool moody = false;
  };
};

namespace {

// A client that says whatever it likes once the handshake is over.
class RawClient {
 public:
  RawClient(sim::SimReactor& reactor, const std::shared_ptr<const ClientSettings>& settings)
      : handshake_(Handshake::client(settings, "node.example")) {
    peer.on_data = [this](sim::SimPeer&) { hear(); };
    peer.connect(reactor, kServer);
    step();
  }
  bool is_done() const { return opener_ != nullptr; }
  void say(ContentType type, std::string_view text) {
    const iovec one = test::piece(std::as_bytes(std::span(text)));
    std::vector<std::byte> sealed(test::kMaximumRecordBytes);
    const std::size_t bytes =
        seal_record(test::engine(), secrets_.version, secrets_.aead, key_, secrets_.send.iv,
                    secrets_.send.next_sequence++, type, {&one, 1}, sealed.data());
    peer.send({reinterpret_cast<const char*>(sealed.data()), bytes});
  }

  sim::SimPeer peer;
  std::function<void()> says_at_once;  // right behind its Finished
  std::string heard;
  std::optional<AlertDescription> alert;

 private:
  void step() {
    const Handshake::Step step = handshake_->step(test::real_now());
    const std::vector<std::byte> output = handshake_->take_output();
    peer.send({reinterpret_cast<const char*>(output.data()), output.size()});
    CHECK(step != Handshake::Step::failed);
    if (step != Handshake::Step::finished) return;
    secrets_ = handshake_->take_secrets();
    test::engine().expand(secrets_.aead,
                          std::span(secrets_.send.key).first(key_bytes(secrets_.aead)), key_);
    opener_ = std::make_unique<RecordOpener>(workspace_, secrets_, false);
    if (says_at_once) says_at_once();
    open(handshake_->take_leftover());
  }
  void hear() {
    const std::string text = peer.take_received();
    const auto bytes = std::as_bytes(std::span(text));
    if (opener_) return open(bytes);
    if (handshake_->feed(bytes)) step();
  }
  void open(std::span<const std::byte> bytes) {
    while (true) {
      const RecordOpener::Step step = opener_->feed(bytes);
      bytes = bytes.subspan(step.consumed);
      if (step.event == RecordOpener::Event::need_more) return;
      if (step.event == RecordOpener::Event::application_data)
        heard.append(reinterpret_cast<const char*>(step.data.data()), step.data.size());
      if (step.event == RecordOpener::Event::alert) alert = step.alert;
      if (step.event == RecordOpener::Event::error) return;
    }
  }

  std::unique_ptr<Handshake> handshake_;
  ConnectionSecrets secrets_;
  ExpandedKey key_;
  RecordOpener::Workspace workspace_{test::engine()};
  std::unique_ptr<RecordOpener> opener_;
};

}  // namespace

// The worker once turned for ever over what an opener that had failed said again and again.
TEST(SecureStream, a_bad_record_ends_the_connection_with_an_alert) {
  for (const std::string& bad :
       {std::string(30, '\x15'), std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'),
        std::string("GET / HTTP/1.1\r\n")}) {
    Stage stage(1);
    RawClient client(stage.client_reactor, stage.client_settings);
    CHECK_TRUE(stage.run_until([&] { return client.is_done(); }));
    client.peer.send(bad);
    CHECK_TRUE(stage.run_until([&] { return client.alert.has_value(); }));
    CHECK_EQUAL(1, stage.server.counters.records_refused.load());
    client.peer.close();
    CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 0; }));
    CHECK(*stage.above.applications[0]->closed == net::CloseReason::peer_reset);
  }
}

TEST(SecureStream, close_notify_is_the_end_of_what_a_peer_says) {
  Stage stage(1);
  RawClient client(stage.client_reactor, stage.client_settings);
  CHECK_TRUE(stage.run_until([&] { return client.is_done(); }));
  client.say(ContentType::application_data, "question");
  client.say(ContentType::alert, std::string_view("\x01\x00", 2));
  CHECK_TRUE(stage.run_until(
      [&] { return !stage.above.applications.empty() && stage.above.applications[0]->has_ended; }));
  // And no more than that: it still listens.
  Application& server = *stage.above.applications[0];
  server.to_say = "answer";
  server.closes_when_said = true;
  server.stream->wake_sender();
  CHECK_TRUE(stage.run_until([&] { return client.heard == "answer" && client.alert; }));
  CHECK(*client.alert == AlertDescription::close_notify);
}

TEST(SecureStream, a_key_update_is_answered_before_the_next_data) {
  Stage stage(1);
  RawClient client(stage.client_reactor, stage.client_settings);
  CHECK_TRUE(stage.run_until([&] { return client.is_done(); }));
  const KeyUpdateMessage message = key_update_message(true);
  client.say(ContentType::handshake,
             {reinterpret_cast<const char*>(message.data()), message.size()});
  CHECK_TRUE(stage.run_until([&] { return stage.server.counters.key_updates_sent.load() == 1; }));
  Application& server = *stage.above.applications[0];
  server.to_say = text_of(1, 100'000);
  const std::string said = server.to_say;
  server.stream->wake_sender();
  CHECK_TRUE(stage.run_until([&] { return client.heard == said; }));
}

// An origin's end without close_notify once took along what the application had not yet read.
TEST(SecureStream, what_came_before_a_truncated_end_is_delivered_first) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Stage stage(seed);
    Application& client = stage.make_client(seed, true);
    client.to_say = "x";
    stage.connect(client);
    CHECK_TRUE(stage.run_until([&] { return !stage.above.applications.empty(); }));
    Application& server = *stage.above.applications[0];
    CHECK_TRUE(stage.run_until([&] { return server.heard == "x"; }));
    const std::string answer = text_of(seed, 30'000);
    server.to_say = answer;
    server.stream->wake_sender();
    CHECK_TRUE(stage.run_until([&] { return server.released_bytes == answer.size(); }));
    // The transport's own end, as a server does that leaves close_notify out.
    static_cast<SecureStream*>(server.stream)->transport()->close_after_send();
    CHECK_TRUE(stage.run_until([&] { return client.closed.has_value(); }));
    CHECK_TRUE(client.heard == answer);
    CHECK_FALSE(client.has_ended);
    CHECK(*client.closed == net::CloseReason::peer_reset);
  }
}

// It was counted once as truncated while close_notify waited behind what the application had not
// read.
TEST(SecureStream, an_end_that_waits_behind_data_is_no_truncated_one) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Stage stage(seed);
    stage.moody = true;
    RawClient client(stage.client_reactor, stage.client_settings);
    client.says_at_once = [&] {
      client.say(ContentType::application_data, std::string(2'000, 'q'));
      client.say(ContentType::alert, std::string_view("\x01\x00", 2));
      client.peer.close();
    };
    CHECK_TRUE(stage.run_until([&] {
      return !stage.above.applications.empty() && stage.above.applications[0]->has_ended;
    }));
    CHECK_EQUAL(2'000, stage.above.applications[0]->heard.size());
    CHECK_EQUAL(0, stage.server.counters.truncated.load());
  }
}

TEST(SecureStream, both_sides_hear_what_the_other_said) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Stage stage(seed);
    stage.moody = seed % 2 == 0;
    sim::LinkOptions link;
    link.to_client.maximum_segment_bytes = seed % 3 == 0 ? 100 : 20'000;
    link.to_server.maximum_segment_bytes = seed % 4 == 0 ? 3 : 2'000;
    stage.world.set_link(kServer, link);
    Application& client = stage.make_client(seed, stage.moody);
    const std::string question = text_of(seed, 1 + seed * 997 % 6'000);
    const std::string answer = text_of(seed + 1, 1 + seed * 27'919 % 200'000);
    client.to_say = question;
    stage.connect(client);
    CHECK_TRUE(stage.run_until([&] {
      return !stage.above.applications.empty() &&
             stage.above.applications[0]->heard.size() == question.size();
    }));
    Application& server = *stage.above.applications[0];
    CHECK_TRUE(client.is_connected);
    STRCMP_EQUAL("http/1.1", server.stream->security()->protocol.c_str());
    STRCMP_EQUAL("node.example", server.stream->security()->server_name.c_str());
    server.to_say = answer;
    server.closes_when_said = true;
    server.stream->wake_sender();
    CHECK_TRUE(stage.run_until([&] { return client.has_ended; }));
    CHECK_TRUE(server.heard == question);
    CHECK_TRUE(client.heard == answer);
    client.stream->close_after_send();
    CHECK_TRUE(stage.run_until([&] { return client.closed && server.closed; }));
    CHECK_EQUAL(answer.size(), server.released_bytes);
    CHECK_EQUAL(question.size(), client.released_bytes);
    CHECK(*server.closed == net::CloseReason::finished);
    CHECK(*client.closed == net::CloseReason::finished);
    CHECK_EQUAL(0, stage.acceptor->connections());
    CHECK_EQUAL(0, stage.tally.total.load());
  }
}

TEST(SecureStream, a_connection_may_break_after_any_byte) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Stage stage(seed);
    sim::LinkOptions link;
    (seed % 2 == 0 ? link.to_client : link.to_server).reset_after_bytes = seed * 53;
    stage.world.set_link(kServer, link);
    Application& client = stage.make_client(seed, false);
    client.to_say = text_of(seed, 2'000);
    stage.connect(client);
    // Where all of it fits before, nothing breaks.
    const auto is_whole = [&] {
      return !stage.above.applications.empty() &&
             stage.above.applications[0]->heard.size() == 2'000;
    };
    CHECK_TRUE(stage.run_until([&] { return is_whole() || client.closed; }));
    if (client.stream != nullptr) client.stream->abort();
    CHECK_TRUE(
        stage.run_until([&] { return client.closed && stage.acceptor->connections() == 0; }));
    CHECK_EQUAL(0, stage.tally.total.load());
  }
}

TEST(SecureStream, a_handshake_that_stands_still_expires) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Stage stage(seed);
    sim::LinkOptions link;
    (seed % 2 == 0 ? link.to_client : link.to_server).silent_after_bytes = seed * 20;
    stage.world.set_link(kServer, link);
    Application& client = stage.make_client(seed, false);
    stage.connect(client);
    CHECK_TRUE(stage.run_until([&] { return stage.acceptor->handshakes() == 1; }));
    CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 0; },
                               stage.limits.timeout + std::chrono::seconds(2)));
    CHECK_EQUAL(1, stage.server.counters.handshakes_expired.load());
    CHECK(stage.failures(HandshakeFailure::ended) >= 1);  // the client's may be another
    CHECK_EQUAL(0, stage.tally.total.load());
  }
}

TEST(SecureStream, half_done_handshakes_are_bounded_and_the_oldest_give_way) {
  Stage stage(1);
  HandshakeLimits few;
  few.total = 4;
  stage.acceptor->apply(test::server_settings([] {
                          ServerOptions options;
                          options.certificates = {material().host};
                          return options;
                        }()),
                        few);
  std::vector<std::unique_ptr<sim::SimPeer>> half;
  for (int i = 0; i < 6; ++i) {
    half.push_back(std::make_unique<sim::SimPeer>());
    half.back()->connect(stage.client_reactor, kServer);
    half.back()->send("\x16\x03\x01\x02");
  }
  CHECK_TRUE(stage.run_until([&] { return stage.server.counters.handshakes_evicted.load() == 2; }));
  CHECK_EQUAL(4, stage.acceptor->handshakes());
  CHECK_EQUAL(4, stage.tally.total.load());
  // A listener gets through all the same.
  Application& client = stage.make_client(1, false);
  client.to_say = "hello";
  stage.connect(client);
  CHECK_TRUE(stage.run_until([&] { return client.is_connected; }));
  CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 1; },
                             few.hello_timeout + std::chrono::seconds(2)));
}

// Others were once reset for somebody who was then refused all the same.
TEST(SecureStream, whom_its_own_prefix_keeps_out_takes_nobodys_place) {
  Stage stage(1);
  HandshakeLimits few;
  few.total = 4;
  few.per_prefix = 2;
  ServerOptions options;
  options.certificates = {material().host};
  stage.acceptor->apply(test::server_settings(options), few);
  std::vector<std::unique_ptr<sim::SimPeer>> half;
  for (const char* const from :
       {"198.51.100.1:1", "198.51.100.1:2", "203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:3"}) {
    half.push_back(std::make_unique<sim::SimPeer>());
    half.back()->connect_from(stage.client_reactor, *net::Endpoint::parse(from), kServer);
  }
  CHECK_TRUE(
      stage.run_until([&] { return stage.server.counters.handshakes_refused_prefix.load() == 1; }));
  CHECK_EQUAL(4, stage.acceptor->handshakes());
  CHECK_EQUAL(4, stage.tally.total.load());
  CHECK_EQUAL(0, stage.server.counters.handshakes_evicted.load());
}

TEST(SecureStream, handshakes_are_never_counted_beyond_their_bound) {
  HandshakeTally tally;
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> workers;
  workers.reserve(4);
  for (int worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&] {
      for (int turn = 0; turn < 20'000; ++turn) {
        if (!tally.take(2)) continue;
        if (tally.total.load() > 2) exceeded = true;
        tally.total.fetch_sub(1);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  CHECK_FALSE(exceeded.load());
  CHECK_EQUAL(0, tally.total.load());
}

// It was counted once as one of listeners.
TEST(SecureStream, an_origins_handshake_that_finds_the_queue_full_is_no_listeners) {
  Stage stage(1, {.threads = 0, .maximum_jobs_per_prefix = 1});
  auto other = std::make_unique<HandshakeJob>();
  HandshakeJob* const first = other.get();
  other->handshake = Handshake::client(stage.client_settings, "node.example");
  other->client = kServer.address;
  other->mailbox = stage.client.mailbox();
  CHECK(stage.pool.submit(other) == HandshakePool::Submitted::yes);
  Application& client = stage.make_client(1, false);
  stage.connect(client);
  CHECK_TRUE(
      stage.world.run_until([&] { return client.closed.has_value(); }, std::chrono::seconds(10)));
  CHECK_TRUE(client.problem.contains("wait for the helpers"));
  CHECK_EQUAL(0, stage.client.counters.handshakes_refused_queue.load());
  CHECK_EQUAL(1, stage.client.counters.origin_handshakes_failed.load());
  CHECK_EQUAL(0, stage.failures());  // it has a count of its own
  stage.pool.cancel(first);
}

TEST(SecureStream, clear_http_is_told_so) {
  Stage stage(1);
  sim::SimPeer peer;
  peer.connect(stage.client_reactor, kServer);
  peer.send("GET / HTTP/1.1\r\nHost: node.example\r\n\r\n");
  CHECK_TRUE(stage.run_until([&] { return peer.ended(); }));
  CHECK_TRUE(peer.received().starts_with("HTTP/1.1 400 "));
  peer.close();
  CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 0; }));
  CHECK_EQUAL(1, stage.server.counters.handshakes_failed.load());
  CHECK_EQUAL(1, stage.failures(HandshakeFailure::not_tls));
  CHECK_EQUAL(1, stage.failures());
}

// Junk once took places among those who wait for a helper.
TEST(SecureStream, a_refused_hello_is_answered_without_a_helper) {
  struct Case {
    std::string_view hello;
    std::string_view answer;
    HandshakeFailure reason;
  };
  const Case cases[] = {
      // A ServerHello, a record that is too long, SSL 2.0, and what is no TLS.
      {{"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9},
       {"\x15\x03\x03\x00\x02\x02\x0a", 7},
       HandshakeFailure::malformed},
      {{"\x16\x03\x03\xff\xff\x01", 6},
       {"\x15\x03\x03\x00\x02\x02\x16", 7},
       HandshakeFailure::malformed},
      {{"\x80\x2e\x01\x00\x02", 5}, {"\x15\x03\x03\x00\x02\x02\x46", 7}, HandshakeFailure::version},
      {"hello?", "", HandshakeFailure::not_tls},
  };
  for (const Case& one : cases) {
    Stage stage(1);
    sim::SimPeer peer;
    peer.connect(stage.client_reactor, kServer);
    peer.send(one.hello);
    CHECK_TRUE(stage.run_until([&] { return peer.ended() || peer.closed(); }));
    CHECK(peer.received() == one.answer);
    if (!peer.closed()) peer.close();
    CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 0; }));
    CHECK_EQUAL(0, stage.pool.counts().submitted);
    CHECK_EQUAL(1, stage.failures(one.reason));
    CHECK_EQUAL(1, stage.failures());
    CHECK_EQUAL(1, stage.server.counters.handshakes_failed.load());
  }
}

TEST(SecureStream, an_end_within_the_handshake_is_counted) {
  // Before a word, in the middle of the hello, by a FIN and by a reset.
  for (const bool is_reset : {false, true}) {
    for (const char* const said : {"", "\x16\x03\x01\x02"}) {
      Stage stage(1);
      sim::SimPeer peer;
      peer.connect(stage.client_reactor, kServer);
      peer.send(said);
      CHECK_TRUE(stage.run_until([&] { return stage.acceptor->handshakes() == 1; }));
      if (is_reset)
        peer.abort();
      else
        peer.close();
      CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 0; }));
      CHECK_EQUAL(1, stage.failures(HandshakeFailure::ended));
      CHECK_EQUAL(1, stage.failures());
    }
  }
}

TEST(SecureStream, no_connection_is_no_failed_handshake) {
  Stage stage(1);
  sim::LinkOptions link;
  link.outcome = sim::ConnectOutcome::refused;
  stage.world.set_link(kServer, link);
  Application& client = stage.make_client(1, false);
  stage.connect(client);
  CHECK_TRUE(stage.run_until([&] { return client.closed.has_value(); }));
  CHECK_EQUAL(0, stage.failures());
}

TEST(SecureStream, a_server_with_another_name_is_not_believed) {
  Stage stage(1);
  Application& client = stage.make_client(1, false);
  stage.connect(client, "other.example");
  CHECK_TRUE(stage.run_until([&] { return client.closed.has_value(); }));
  CHECK_FALSE(client.is_connected);
  CHECK(*client.closed == net::CloseReason::connect_failed);
  CHECK_TRUE(client.problem.contains("certificate"));
  CHECK_TRUE(stage.run_until([&] { return stage.acceptor->connections() == 0; }));
  CHECK_EQUAL(1, stage.failures(HandshakeFailure::peer_certificate));
  CHECK_EQUAL(1, stage.failures(HandshakeFailure::peer_alert));
  CHECK_EQUAL(2, stage.failures());
}

TEST(SecureStream, refused_above_is_reset) {
  Stage stage(1);
  stage.above.refuses = true;
  Application& client = stage.make_client(1, false);
  stage.connect(client);
  CHECK_TRUE(stage.run_until([&] { return client.closed && stage.acceptor->connections() == 0; }));
  CHECK_EQUAL(0, stage.tally.total.load());
}

TEST(SecureStream, an_end_without_close_notify_is_no_end_to_a_client) {
  Stage stage(1);
  Application& client = stage.make_client(1, false);
  client.to_say = "hello";
  stage.connect(client);
  CHECK_TRUE(stage.run_until([&] {
    return !stage.above.applications.empty() && stage.above.applications[0]->heard == "hello";
  }));
  stage.above.applications[0]->stream->abort();
  CHECK_TRUE(stage.run_until([&] { return client.closed.has_value(); }));
  CHECK(*client.closed == net::CloseReason::peer_reset);
  CHECK_FALSE(client.has_ended);
}

TEST(SecureStream, an_idle_connection_holds_little) {
  Stage stage(1);
  Application& client = stage.make_client(1, false);
  client.to_say = "hello";
  stage.connect(client);
  CHECK_TRUE(stage.run_until([&] {
    return !stage.above.applications.empty() && stage.above.applications[0]->heard == "hello";
  }));
  CHECK_TRUE(stage.run_until([&] { return client.released_bytes == 5; }));
  auto& server = static_cast<SecureStream&>(*stage.above.applications[0]->stream);
  CHECK(sizeof(SecureStream) + server.memory_bytes() <= 1536);
}

}  // namespace nearfield::tls
