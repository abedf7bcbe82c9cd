// Times, licences and territories, with a clock that can be trusted and one that cannot.
#include <CppUTest/TestHarness.h>

#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
using std::chrono::seconds;
namespace v = nearfield::access::vectors;

TEST_GROUP(Clock) {
  AccessOptions options = signed_options();
  RuleOptions& rule = options.rules[0];
  TestRequest untrusted(std::string_view token, seconds offset = seconds(0)) {
    TestRequest request = with_jwt(token);
    request.clock_trusted = false;
    request.now = kNow + offset;
    return request;
  }
};

TEST(Clock, UntrustedItGivesExpiryATolerance) {
  Gate gate(options);
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kPlain)));
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kPlain, seconds(7199))));
  CHECK_REASON(kClockNotSane, gate.reason(untrusted(v::kPlain, seconds(7200))));
}

TEST(Clock, BehindTheBuildDateItIsNotTrustedWhateverItSays) {
  Gate gate(options);
  TestRequest request = with_jwt(v::kNotBefore);
  request.now = WallTime(seconds(1000));
  CHECK_REASON(kClockNotSane, gate.reason(request));
  request = with_jwt(v::kPlain);
  request.now = WallTime(seconds(1000));
  CHECK_REASON(kTokenHolds, gate.reason(request));
}

TEST(Clock, UntrustedItBeginsNothingThatIsNotProvenToHaveBegun) {
  Gate gate(options);
  CHECK_REASON(kClockNotSane, gate.reason(untrusted(v::kNotBefore, seconds(500))));
  // Another token of the same issuer was made at kNow + 500.
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kIssued, seconds(500))));
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kNotBefore, seconds(500))));
  // Its own time of issue proves a token's beginning.
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kIssuedNotBefore, seconds(0))));
}

TEST(Clock, WhatATrustedClockSaidStaysProven) {
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow + seconds(200);
  gate.check(request);
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kNotBefore, seconds(-100000))));
  request.now = kNow + seconds(3601);
  gate.check(request);
  CHECK_REASON(kExpired, gate.reason(untrusted(v::kPlain)));
}

TEST(Clock, SetBackWhileTrustedItMakesNoTokenGoodAgain) {
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.now = kNow + seconds(3600);
  CHECK_REASON(kExpired, gate.reason(request));
  request.now = kNow;
  CHECK_REASON(kExpired, gate.reason(request));
  // What has not expired by then goes on, and time passes by the monotonic clock.
  TestRequest other = with_jwt(v::kIssued);
  other.now = kNow;
  CHECK_REASON(kTokenHolds, gate.reason(other));
  other.monotonic_now += seconds(399);
  CHECK_REASON(kTokenHolds, gate.reason(other));
  other.monotonic_now += seconds(1);
  CHECK_REASON(kExpired, gate.reason(other));
  // Nor does it help that it is not trusted any more.
  request.clock_trusted = false;
  CHECK_REASON(kExpired, gate.reason(request));
}

TEST(Clock, SetRightAfterItWasAheadItIsBelievedInAnHour) {
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow + std::chrono::hours(24 * 365);
  CHECK_REASON(kExpired, gate.reason(request));
  request.now = kNow - seconds(600);
  CHECK_REASON(kExpired, gate.reason(request));
  request.now += seconds(3600);
  request.monotonic_now += seconds(3600);
  CHECK_REASON(kTokenHolds, gate.reason(request));
}

// One worker saw the clock ahead, another did not: listeners hear the same of both, and so does the
// operator.
TEST(Clock, SetBackItIsBehindForAllWorkersAndInExplanations) {
  const auto policy = policy_of(options);
  const auto floor = std::make_shared<TimeFloor>();
  AccessCheck here({}, policy, nullptr, {1, 2}, floor);
  AccessCheck there({}, policy, nullptr, {3, 4}, floor);
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow + std::chrono::hours(24 * 365);
  CHECK_REASON(kExpired, here.check(request.get()).reason);
  request.now = kNow;
  CHECK_REASON(kExpired, there.check(request.get()).reason);
  CHECK_REASON(kExpired, here.check(request.get()).reason);
  const Explanation explanation = explain(*policy, request.get(), nullptr, floor.get());
  CHECK_REASON(kExpired, explanation.reason);
  STRCMP_CONTAINS("it was set back, and until it has stood so for an hour 2028-01-15T08:00:00Z",
                  explanation.steps[0].detail.c_str());
  request.now += seconds(3599);
  request.monotonic_now += seconds(3600);
  CHECK_REASON(kTokenHolds, explain(*policy, request.get(), nullptr, floor.get()).reason);
  CHECK_REASON(kTokenHolds, there.check(request.get()).reason);
  CHECK_REASON(kTokenHolds, here.check(request.get()).reason);
}

// A clock of the seventies proves nothing past, so that tokens that have run out pass as well.
TEST(Clock, BeforeTheBuildDateTokensThatRanOutPassUntilThatIsProven) {
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow + seconds(7200);
  CHECK_REASON(kExpired, Gate(options).reason(request));
  request.now = WallTime(seconds(1000));
  CHECK_REASON(kTokenHolds, gate.reason(request));
  const auto policy = policy_of(options);
  CHECK_FALSE(policy->trusts_clock(true, request.now));
  CHECK_FALSE(policy->trusts_clock(false, kNow));
  CHECK_TRUE(policy->trusts_clock(true, kNow));
  const Explanation explanation = explain(*policy, request.get(), nullptr);
  CHECK_REASON(kTokenHolds, explanation.reason);
  STRCMP_EQUAL(
      "1970-01-01T00:16:40Z, which is not trusted: it is before this release was made; proven to "
      "be past 2026-11-01T00:00:00Z",
      explanation.steps[0].detail.c_str());
  const auto floor = std::make_shared<TimeFloor>();
  floor->heed(kNow + seconds(7200), request.monotonic_now);
  CHECK_REASON(kExpired, explain(*policy, request.get(), nullptr, floor.get()).reason);
}

TEST(Clock, TokensForOneUseStayUsedWhenAnUntrustedClockRanAhead) {
  Gate gate(options);
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kSingleUse)));
  CHECK_REASON(kClockNotSane, gate.reason(untrusted(v::kSingleUse, seconds(100000))));
  CHECK_REASON(kReplayed, gate.reason(untrusted(v::kSingleUse)));
}

TEST(Clock, LicencesBeginAndEnd) {
  rule.licence = {{"2027-01-15T08:00:00Z", "2027-01-15T08:10:00Z", {}}};
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow - seconds(1);
  CHECK_REASON(kOutsideLicence, gate.reason(request));
  request.now = kNow;
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.now = kNow + seconds(599);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.now = kNow + seconds(600);
  CHECK_REASON(kOutsideLicence, gate.reason(request));
}

TEST(Clock, NothingIsReleasedByAClockThatIsNotTrusted) {
  rule.licence = {{"2027-01-15T08:00:00Z", "", {}}};
  Gate gate(options);
  CHECK_REASON(kClockNotSane, gate.reason(untrusted(v::kPlain, seconds(100))));
  CHECK_REASON(kOutsideLicence, gate.reason(untrusted(v::kPlain, seconds(-100))));
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kIssued, seconds(100))));
  CHECK_REASON(kTokenHolds, gate.reason(untrusted(v::kPlain, seconds(100))));
  rule.licence = {{"", "2027-01-15T08:00:00Z", {}}};
  gate.reload(options);
  CHECK_REASON(kOutsideLicence, gate.reason(untrusted(v::kPlain, seconds(0))));
}

TEST(Clock, OpenRulesHaveLicencesAndTerritoriesToo) {
  rule.mode = Mode::kOpen;
  rule.licence = {{"2027-01-15T08:00:00Z", "", {"DE"}}, {"2027-01-15T09:00:00Z", "", {"US"}}};
  Gate gate(options);
  TestRequest request;
  CHECK_REASON(kOpen, gate.reason(request));
  request.client = "198.51.100.1";
  CHECK_REASON(kOutsideLicence, gate.reason(request));
  request.now = kNow + seconds(3600);
  CHECK_REASON(kOpen, gate.reason(request));
  request.client = "203.0.113.1";
  CHECK_REASON(kOutsideLicence, gate.reason(request));
}

TEST(Clock, TerritoriesOfTheClient) {
  rule.allowed_territories = {"de", "AT"};
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.client = "198.51.100.1";
  CHECK_REASON(kWrongTerritory, gate.reason(request));
  request.client = "203.0.113.1";
  CHECK_REASON(kWrongTerritory, gate.reason(request));
  rule.unknown_territory_allowed = true;
  gate.reload(options);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  rule.allowed_territories.clear();
  rule.refused_territories = {"US"};
  gate.reload(options);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.client = "198.51.100.1";
  CHECK_REASON(kWrongTerritory, gate.reason(request));
}

// Somebody of whom nothing is known may be where it is refused.
TEST(Clock, WhoIsNowherePassesNoListOfRefusedTerritories) {
  rule.refused_territories = {"us"};
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.client = "203.0.113.1";
  CHECK_REASON(kWrongTerritory, gate.reason(request));
  rule.mode = Mode::kOpen;
  gate.reload(options);
  CHECK_REASON(kWrongTerritory, gate.reason(request));
  rule.unknown_territory_allowed = true;
  gate.reload(options);
  CHECK_REASON(kOpen, gate.reason(request));
  request.client = "198.51.100.1";
  CHECK_REASON(kWrongTerritory, gate.reason(request));
}

// MACs by the issuer's shared secret; whatever the rule says of clients of no known territory.
TEST(Clock, ATokenThatNamesNoTerritoryThereIsPassesNoList) {
  const auto with_territory = [](std::string_view territory) {
    const auto secret = decode_base64url("Elv5BFZmuR-5v-70wbzHWzrdrcUcicZRyRATZ0docFQ");
    std::string token;
    append_base64url(token, bytes_of(R"({"alg":"HS256","kid":"shared"})"));
    token += '.';
    append_base64url(token, bytes_of(R"({"exp":1800003600,"cdniuc":"regex:.*","territory":")" +
                                     std::string(territory) + "\"}"));
    const Digest mac = hmac_sha256(*secret, bytes_of(token));
    token += '.';
    append_base64url(token, mac);
    return with_jwt(token);
  };
  rule.territory_source = TerritorySource::kToken;
  rule.refused_territories = {"US"};
  rule.unknown_territory_allowed = true;
  Gate gate(options);
  for (const char* good : {"DE", "de", "DE-BY", "XK"})
    CHECK_REASON(kTokenHolds, gate.reason(with_territory(good)));
  for (const char* bad :
       {"US", "us", "US-CA", "USA", "UK", "ZZ", "", "-", "-US", "U", " US", "840"})
    CHECK_REASON(kWrongTerritory, gate.reason(with_territory(bad)));
  CHECK_REASON(kWrongTerritory, gate.reason(with_jwt(v::kPlain)));
}

TEST(Clock, TerritoriesOfTheToken) {
  rule.territory_source = TerritorySource::kToken;
  rule.allowed_territories = {"DE", "AT", "CH"};
  Gate gate(options);
  TestRequest request = with_jwt(v::kTerritories);
  request.client = "198.51.100.1";  // travelling
  CHECK_REASON(kTokenHolds, gate.reason(request));
  CHECK_REASON(kWrongTerritory, gate.reason(with_jwt(v::kPlain)));
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(v::kCatTerritory)));
  CHECK_REASON(kWrongTerritory, gate.reason(with_cat(v::kCatSubdivision)));
  rule.allowed_territories = {"DE"};
  gate.reload(options);
  CHECK_REASON(kWrongTerritory, gate.reason(request));
}
