// Origins over https: who is trusted, what a failed handshake leads to, and that a body cut off is
// never taken for a whole one.
#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "dataplane/origin/pool.h"
#include "tests/unit/dataplane/origin/tls_origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(OriginTls) {
  TlsOriginFixture fixture;
  RecordingObserver observer;

  void fetch(std::string path = "/a") {
    observer = RecordingObserver();
    CHECK(fixture.fetch(OriginFixture::get(std::move(path)), observer));
  }
  // The failure of one call to a group that was changed so, with a server that has `options`.
  std::string failure_of(const std::function<void(OriginGroup&)>& change,
                         const std::function<void(tls::ServerOptions&)>& serve) {
    tls::ServerOptions options;
    options.certificates = {TlsOriginFixture::certificate_of("origin.example")};
    serve(options);
    TlsOrigin& origin = fixture.serve("192.0.2.1:443", options);
    origin.always(response_of("song"));
    OriginGroup group = TlsOriginFixture::secure_group();
    change(group);
    fixture.use(group);
    fetch();
    if (observer.complete) return "none";
    return observer.failure->message;
  }
  std::string failure_of(const std::function<void(OriginGroup&)>& change) {
    return failure_of(change, [](tls::ServerOptions&) {});
  }
};

TEST(OriginTls, FetchesAndKeepsTheConnection) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  const std::string song = body_of(300'000);
  origin.always(response_of(song));
  fixture.use(TlsOriginFixture::secure_group());
  for (int i = 0; i < 3; ++i) {
    fetch();
    CHECK(observer.complete);
    CHECK(observer.body == song);
  }
  CHECK_EQUAL(1u, origin.peers.size());
  STRCMP_EQUAL("origin.example", origin.asked_names[0].c_str());
  STRCMP_CONTAINS("Host: music.example\r\n", origin.requests[0].c_str());
  CHECK_EQUAL(1u, fixture.statistics().connections_opened.load());
  CHECK_EQUAL(0u, fixture.statistics().handshakes_failed.load());
}

TEST(OriginTls, WithoutAListenersHostTheUsualPortIsNotSaid) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  origin.always(response_of("song"));
  fixture.use(TlsOriginFixture::secure_group());
  OriginRequest request = OriginFixture::get();
  request.authority.clear();
  CHECK(fixture.fetch(request, observer));
  STRCMP_CONTAINS("Host: origin.example\r\n", origin.requests[0].c_str());
}

TEST(OriginTls, ThePathOfTheBodyMayPause) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  const std::string song = body_of(500'000);
  origin.always(response_of(song));
  fixture.use(TlsOriginFixture::secure_group());
  bool paused = false;
  observer.take = [&](std::size_t offered) {
    paused = !paused;
    return paused ? offered / 2 : offered;
  };
  const auto call = fixture.start(OriginFixture::get(), observer);
  while (!fixture.run_until([&] { return observer.ended(); }, 10ms)) call->resume();
  CHECK(observer.complete);
  CHECK(observer.body == song);
}

// --- who is trusted ---

TEST(OriginTls, ACertificateForAnotherNameIsRefused) {
  const std::string failure =
      failure_of([](OriginGroup&) {},
                 [](tls::ServerOptions& options) {
                   options.certificates = {TlsOriginFixture::certificate_of("other.example")};
                 });
  STRCMP_CONTAINS("origin g/origin.example:443: 192.0.2.1:443: TLS: ", failure.c_str());
  CHECK(observer.failure->kind == OriginFailureKind::unreachable);
}

TEST(OriginTls, TheNameMayBeSaidByTheGroup) {
  STRCMP_EQUAL(
      "none",
      failure_of([](OriginGroup& group) { group.tls.server_name = "other.example"; },
                 [](tls::ServerOptions& options) {
                   options.certificates = {TlsOriginFixture::certificate_of("other.example")};
                 })
          .c_str());
  STRCMP_EQUAL("other.example", fixture.origins[0]->asked_names[0].c_str());
}

TEST(OriginTls, TheHostHeaderDoesNotSayWhoIsVerified) {
  STRCMP_EQUAL("none",
               failure_of([](OriginGroup& group) { group.host_header = "other.example"; }).c_str());
  STRCMP_EQUAL("origin.example", fixture.origins[0]->asked_names[0].c_str());
  STRCMP_CONTAINS("Host: other.example\r\n", fixture.origins[0]->requests[0].c_str());
}

TEST(OriginTls, AnAuthorityNobodyTrustsIsRefused) {
  const std::string failure = failure_of(
      [](OriginGroup& group) { group.tls.ca_file = TlsOriginFixture::stranger().ca_file(); });
  STRCMP_CONTAINS("TLS: ", failure.c_str());
  CHECK_EQUAL(1u, fixture.statistics().handshakes_failed.load());
}

TEST(OriginTls, AnExpiredCertificateIsRefused) {
  const std::string failure =
      failure_of([](OriginGroup&) {},
                 [](tls::ServerOptions& options) {
                   options.certificates = {TlsOriginFixture::authority().issue(
                       {.names = {"origin.example"}, .not_after = "20210101000000"})};
                 });
  STRCMP_CONTAINS("expired", failure.c_str());
}

TEST(OriginTls, WithoutVerificationAnybodyServesAndTheLogSaysSo) {
  STRCMP_EQUAL("none",
               failure_of(
                   [](OriginGroup& group) {
                     group.tls = {};
                     group.tls.verify = false;
                   },
                   [](tls::ServerOptions& options) {
                     options.certificates = {TlsOriginFixture::stranger().host("x.example")};
                   })
                   .c_str());
  CHECK_EQUAL(1u, fixture.directory->warnings().size());
  STRCMP_CONTAINS("origin group 'g': ", fixture.directory->warnings()[0].c_str());
  STRCMP_CONTAINS("not verified", fixture.directory->warnings()[0].c_str());
}

TEST(OriginTls, APinThatIsNotTheServersIsRefused) {
  const std::string failure =
      failure_of([](OriginGroup& group) { group.tls.pins = {std::string(64, 'a')}; });
  STRCMP_CONTAINS("pinned", failure.c_str());
}

TEST(OriginTls, AnOriginMayWantToKnowWhoAsks) {
  const auto strict = [](tls::ServerOptions& options) {
    options.client_certificates = tls::ClientCertificates::required;
    options.client_ca_file = TlsOriginFixture::authority().ca_file();
  };
  STRCMP_EQUAL("none", failure_of(
                           [](OriginGroup& group) {
                             const auto own = TlsOriginFixture::certificate_of("node.example");
                             group.tls.certificate_file = own.chain;
                             group.tls.key_file = own.key;
                           },
                           strict)
                           .c_str());
  CHECK_EQUAL(1u, fixture.directory->expiries().size());
}

TEST(OriginTls, OneVersionInCommonIsNeeded) {
  // A server with certificates for TLS 1.3 alone is no trouble; a group that wants it alone
  // neither.
  STRCMP_EQUAL("none", failure_of([](OriginGroup& group) { group.tls.minimum_version = "1.3"; },
                                  [](tls::ServerOptions& options) { options.tls12 = false; })
                           .c_str());
}

// --- what a failed handshake leads to ---

TEST(OriginTls, AServerThatIsNotTrustedIsAskedOnceACall) {
  failure_of(
      [](OriginGroup& group) { group.tls.ca_file = TlsOriginFixture::stranger().ca_file(); });
  CHECK_EQUAL(1u, fixture.statistics().handshakes_failed.load());
  CHECK_EQUAL(0u, fixture.statistics().retries.load());
  // In the end it is set aside: no handshakes at all.
  for (int i = 0; i < 4; ++i) fetch();
  CHECK_EQUAL(5u, fixture.statistics().handshakes_failed.load());
  CHECK(fixture.health().state() == HealthState::ejected);
  STRCMP_CONTAINS("TLS: ", fixture.health().snapshot().last_failure.c_str());
  fetch();
  CHECK_EQUAL(5u, fixture.statistics().handshakes_failed.load());
  STRCMP_CONTAINS("TLS: ", observer.failure->message.c_str());
}

TEST(OriginTls, AnotherServerTakesOverAtOnce) {
  tls::ServerOptions wrong;
  wrong.certificates = {TlsOriginFixture::stranger().host("origin.example")};
  fixture.serve("192.0.2.1:443", wrong);
  fixture.serve("192.0.2.2:443").always(response_of("song"));
  fixture.resolver->table["origin2.example"] = {"192.0.2.2"};
  OriginGroup group =
      TlsOriginFixture::secure_group({"https://origin.example", "https://origin2.example"});
  group.servers[1].priority = 2;
  group.tls.server_name = "origin.example";
  fixture.use(group);
  const MonotonicTime begin = fixture.world.now();
  fetch();
  STRCMP_EQUAL("song", observer.body.c_str());
  CHECK(fixture.world.now() - begin < 100ms);
}

TEST(OriginTls, AnAddressWithTheWrongCertificateLosesToTheNext) {
  tls::ServerOptions wrong;
  wrong.certificates = {TlsOriginFixture::stranger().host("origin.example")};
  fixture.serve("192.0.2.1:443", wrong);
  fixture.serve("192.0.2.2:443").always(response_of("song"));
  fixture.resolver->table["origin.example"] = {"192.0.2.1", "192.0.2.2"};
  fixture.use(TlsOriginFixture::secure_group());
  fetch();
  STRCMP_EQUAL("song", observer.body.c_str());
}

TEST(OriginTls, AHandshakeThatStandsStillLosesToTheNextAddress) {
  fixture.serve("192.0.2.1:443").always(response_of("slow"));
  fixture.serve("192.0.2.2:443").always(response_of("song"));
  sim::LinkOptions black_hole;
  black_hole.to_client.silent_after_bytes = 500;
  fixture.world.set_link(net::Endpoint::parse("192.0.2.1:443").value(), black_hole);
  fixture.resolver->table["origin.example"] = {"192.0.2.1", "192.0.2.2"};
  fixture.use(TlsOriginFixture::secure_group());
  const MonotonicTime begin = fixture.world.now();
  fetch();
  STRCMP_EQUAL("song", observer.body.c_str());
  CHECK(fixture.world.now() - begin < 400ms);
}

TEST(OriginTls, HandshakesThatStandStillMakeRoomForOtherAddresses) {
  sim::LinkOptions black_hole;
  black_hole.to_client.silent_after_bytes = 0;
  std::vector<std::string>& addresses = fixture.resolver->table["origin.example"];
  addresses.clear();
  for (int i = 1; i <= 4; ++i) {
    addresses.push_back("192.0.2." + std::to_string(i));
    fixture.serve(addresses.back() + ":443").always(response_of("song"));
    if (i == 4) break;
    fixture.world.set_link(net::Endpoint::parse(addresses.back() + ":443").value(), black_hole);
  }
  fixture.use(TlsOriginFixture::secure_group());
  const auto call = fixture.start(OriginFixture::get(), observer);
  std::size_t most = 0;
  CHECK(fixture.run_until([&] {
    most = std::max(most, fixture.worker.stream_count());
    return observer.ended();
  }));
  STRCMP_EQUAL("song", observer.body.c_str());
  CHECK(most <= 3);  // one more may be closing
}

TEST(OriginTls, TheConnectTimeIsForTheHandshakeToo) {
  fixture.serve("192.0.2.1:443");
  sim::LinkOptions black_hole;
  black_hole.to_client.silent_after_bytes = 500;
  fixture.world.set_link(net::Endpoint::parse("192.0.2.1:443").value(), black_hole);
  OriginGroup group = TlsOriginFixture::secure_group();
  group.retries = 0;
  fixture.use(group);
  const MonotonicTime begin = fixture.world.now();
  fetch();
  const Duration took = fixture.world.now() - begin;
  CHECK(took >= 5s && took < 5100ms);
  CHECK(observer.failure->kind == OriginFailureKind::timed_out);
  STRCMP_CONTAINS("TLS: the handshake was not finished in 5000ms",
                  observer.failure->message.c_str());
  CHECK_EQUAL(1u, fixture.statistics().handshakes_failed.load());
}

TEST(OriginTls, AServerWithoutTlsIsNamedAsSuch) {
  TestOrigin plain(fixture.world, fixture.machine, "192.0.2.1:443");
  plain.server.on_connection = [](sim::SimPeer& peer) {
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  };
  fixture.use(TlsOriginFixture::secure_group());
  fetch();
  STRCMP_CONTAINS("TLS: ", observer.failure->message.c_str());
  fixture.client.reset();
  fixture.run_until([] { return false; }, 2s);
}

TEST(OriginTls, ACrowdsHandshakesAreBounded) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  origin.always(response_of("song"));
  fixture.use(TlsOriginFixture::secure_group());
  std::vector<std::unique_ptr<RecordingObserver>> observers;
  std::vector<std::unique_ptr<OriginCall>> calls;
  for (int i = 0; i < 40; ++i) {
    observers.push_back(std::make_unique<RecordingObserver>());
    calls.push_back(fixture.start(OriginFixture::get(), *observers.back()));
  }
  CHECK(fixture.worker.stream_count() <= OriginPool::kDialsAtOnce);
  CHECK(fixture.run_until([&] {
    return std::ranges::all_of(observers, [](const auto& one) { return one->complete; });
  }));
}

// --- endings ---

TEST(OriginTls, ABodyThatEndsWithTheConnectionIsWholeOnlyWithItsNotice) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  const std::string song = body_of(100'000);
  bool in_order = true;
  origin.answer = [&](TlsPeer& peer, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + song);
    if (in_order) {
      peer.close();
    } else {
      peer.close_without_notice();
    }
  };
  fixture.use(TlsOriginFixture::secure_group());
  fetch();
  CHECK(observer.complete);
  CHECK(observer.body == song);
  in_order = false;
  fetch();
  CHECK(!observer.complete);
  CHECK(observer.failure->kind == OriginFailureKind::broken);
}

TEST(OriginTls, AKeptConnectionThatBreaksIsNobodysFailure) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  origin.always(response_of("song"));
  fixture.use(TlsOriginFixture::secure_group());
  for (int i = 0; i < 3; ++i) {
    fetch();
    STRCMP_EQUAL("song", observer.body.c_str());
    origin.peers.back()->close_without_notice();
    fixture.run_until([] { return false; }, 1s);
    CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
  }
  CHECK(fixture.health().snapshot().last_failure.empty());
  CHECK_EQUAL(3u, origin.peers.size());
}

TEST(OriginTls, AConnectionThatDiesInTheMiddleOfABodyIsBroken) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  origin.answer = [&](TlsPeer& peer, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body_of(50'000));
    peer.close();
  };
  fixture.use(TlsOriginFixture::secure_group());
  fetch();
  CHECK(observer.failure->kind == OriginFailureKind::broken);
  STRCMP_CONTAINS("in the middle of the body", observer.failure->message.c_str());
}

TEST(OriginTls, AnyByteMayBeTheLast) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  const std::string song = body_of(30'000);
  origin.always("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + song);
  OriginGroup group = TlsOriginFixture::secure_group();
  group.retries = 0;
  group.health.failures_to_eject = 1000;
  fixture.use(group);
  for (std::uint64_t bytes = 1; bytes < 30'000; bytes += 1'499) {
    sim::LinkOptions link;
    link.to_client.reset_after_bytes = bytes;
    fixture.world.set_link(net::Endpoint::parse("192.0.2.1:443").value(), link);
    fetch();
    CHECK(!observer.complete);
    CHECK(song.starts_with(observer.body));
  }
}

// --- health checks and the directory ---

TEST(OriginTls, ActiveChecksGoOverTlsToo) {
  TlsOrigin& origin = fixture.serve("192.0.2.1:443");
  origin.always(response_of("fine"));
  fixture.options.runs_health_checks = true;
  OriginGroup group = TlsOriginFixture::secure_group();
  group.health.path = "/check";
  fixture.use(group);
  CHECK(fixture.run_until([&] { return origin.requests.size() >= 2; }));
  CHECK(fixture.health().state() == HealthState::healthy);
  STRCMP_CONTAINS("GET /check HTTP/1.1\r\nHost: origin.example\r\n", origin.requests[0].c_str());
  group.tls.ca_file = TlsOriginFixture::stranger().ca_file();
  fixture.use(group);
  CHECK(fixture.run_until([&] { return fixture.health().state() == HealthState::unhealthy; }));
  STRCMP_CONTAINS("TLS: ", fixture.health().snapshot().reason.c_str());
}

TEST(OriginTls, WithoutTlsInTheNodeTheConfigurationIsRefused) {
  const auto made =
      OriginDirectory::create({TlsOriginFixture::secure_group()}, fixture.resolver, {});
  CHECK(!made.has_value());
  STRCMP_CONTAINS("origin group 'g': servers has a url that begins with https",
                  made.error().message.c_str());
}

TEST(OriginTls, FilesThatCannotBeUsedAreNamed) {
  OriginGroup group = TlsOriginFixture::secure_group();
  group.tls.ca_file = TlsOriginFixture::authority().file("missing.pem");
  const auto made = OriginDirectory::create({group}, fixture.resolver, {}, nullptr, fixture.tls);
  CHECK(!made.has_value());
  STRCMP_CONTAINS("origin group 'g': ", made.error().message.c_str());
  STRCMP_CONTAINS("missing.pem", made.error().message.c_str());
}

TEST(OriginTls, AReloadReadsFilesThatChangedAndKeepsWhatDidNot) {
  const std::string own_ca = TlsOriginFixture::authority().write(
      "bundle.pem", tls::test::TestAuthority::read(TlsOriginFixture::authority().ca_file()));
  fixture.serve("192.0.2.1:443").always(response_of("song"));
  OriginGroup group = TlsOriginFixture::secure_group();
  group.tls.ca_file = own_ca;
  fixture.use(group);
  const auto first = fixture.directory->groups()[0];
  fixture.use(group);
  CHECK(fixture.directory->groups()[0] == first);
  fetch();
  STRCMP_EQUAL("song", observer.body.c_str());
  // Replaced by another authority's: as small or large, with a new name's inode.
  TlsOriginFixture::authority().write(
      "bundle.pem", tls::test::TestAuthority::read(TlsOriginFixture::stranger().ca_file()) + "\n");
  fixture.use(group);
  CHECK(fixture.directory->groups()[0] != first);
  CHECK(fixture.directory->groups()[0]->origins[0].health == first->origins[0].health);
  fetch();
  STRCMP_CONTAINS("TLS: ", observer.failure->message.c_str());
}
