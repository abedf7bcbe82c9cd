// Fresh, stale but allowed, or to be validated: from the stored numbers and the request's wishes.
#include "dataplane/http/reuse.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield;
using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono;

namespace {

const WallTime kStored = sys_days(2025y / 6 / 1);

Freshness stored(std::string_view cache_control, seconds initial_age = 0s) {
  const Fields response = fields_of({{"Cache-Control", cache_control}});
  Freshness freshness =
      compute_freshness(200, response, parse_response_directives(response), {kStored, kStored}, {});
  freshness.initial_age = initial_age;
  return freshness;
}

CacheDirectives asked(std::string_view cache_control) {
  return parse_request_directives(
      cache_control.empty() ? Fields() : fields_of({{"Cache-Control", cache_control}}));
}

}  // namespace

TEST_GROUP(Reuse){};

TEST(Reuse, Table) {
  using enum Reuse;
  struct Case {
    std::string_view response, request;
    milliseconds later;
    Reuse expected;
    ValidateCause cause = ValidateCause::kNotNeeded;
  };
  const auto stale = ValidateCause::kStale;
  const auto wish = ValidateCause::kRequest;
  const Case cases[] = {
      {"max-age=10", "", 9s, kFresh},
      {"max-age=10", "", 10s, kValidate, stale},
      {"max-age=10, no-cache", "", 0s, kValidate, stale},
      {"max-age=10, no-cache", "max-stale", 0s, kValidate, stale},
      {"max-age=10", "no-cache", 1s, kValidate, wish},
      {"max-age=10", "no-cache", 11s, kValidate, stale},
      {"max-age=10", "max-age=0", 0s, kValidate, wish},
      {"max-age=10", "max-age=3", 3s, kFresh},
      {"max-age=10", "max-age=3", 3001ms, kValidate, wish},
      {"max-age=10", "nothing-to-see-here", 5s, kFresh},
      {"max-age=10", "no-store", 5s, kFresh},
      {"max-age=10", "min-fresh=4", 6s, kFresh},
      {"max-age=10", "min-fresh=4", 7s, kValidate, wish},
      {"max-age=10", "max-stale", 1000s, kStaleAllowed},
      {"max-age=10", "max-stale=5", 15s, kStaleAllowed},
      {"max-age=10", "max-stale=5", 16s, kValidate, stale},
      {"max-age=10, must-revalidate", "max-stale", 11s, kValidate, stale},
      {"max-age=10, proxy-revalidate", "max-stale", 11s, kValidate, stale},
      {"s-maxage=10", "max-stale", 11s, kValidate, stale},
      {"max-age=10, stale-while-revalidate=5", "", 14s, kStaleRevalidate},
      {"max-age=10, stale-while-revalidate=5", "", 15s, kValidate, stale},
      {"max-age=10, stale-while-revalidate=5, must-revalidate", "", 11s, kValidate, stale},
      {"max-age=10, stale-while-revalidate=5", "no-cache", 11s, kValidate, stale},
      {"max-age=10, stale-while-revalidate=5", "max-age=100", 11s, kValidate, stale},
      {"max-age=10, stale-while-revalidate=5", "max-stale=2", 11s, kStaleAllowed},
      {"", "", 0s, kValidate, stale},
  };
  for (const Case& test : cases) {
    const ReuseDecision decision =
        decide_reuse(stored(test.response), asked(test.request), kStored + test.later, {});
    if (decision.reuse != test.expected || decision.cause != test.cause) {
      FAIL((std::string(test.response) + " / " + std::string(test.request) + " after " +
            std::to_string(test.later.count()) + " ms")
               .c_str());
    }
  }
}

TEST(Reuse, StoredStaleOnArrivalIsAsStaleAsItsAge) {
  const Freshness old = stored("max-age=1500", 2000s);
  CHECK(decide_reuse(old, asked("max-stale=1000"), kStored, {}).reuse == Reuse::kStaleAllowed);
  CHECK(decide_reuse(old, asked("max-stale=100"), kStored, {}).reuse == Reuse::kValidate);
}

TEST(Reuse, OnlyIfCachedIsReported) {
  CHECK(
      decide_reuse(stored("max-age=1"), asked("only-if-cached"), kStored + 5s, {}).only_if_cached);
  CHECK_FALSE(decide_reuse(stored("max-age=1"), asked(""), kStored, {}).only_if_cached);
}

TEST(Reuse, OperatorMaySwitchRequestDirectivesOff) {
  CachePolicy policy;
  policy.honour_request_directives = false;
  for (std::string_view wish : {"no-cache", "max-age=0", "min-fresh=99"}) {
    CHECK(decide_reuse(stored("max-age=10"), asked(wish), kStored + 1s, policy).reuse ==
          Reuse::kFresh);
  }
  const ReuseDecision stale =
      decide_reuse(stored("max-age=10"), asked("max-stale, only-if-cached"), kStored + 11s, policy);
  CHECK(stale.reuse == Reuse::kValidate);
  CHECK_FALSE(stale.only_if_cached);
}

TEST(Reuse, OnErrorStaleIsServedWithinItsBound) {
  struct Case {
    std::string_view response, request;
    seconds later;
    bool expected;
  };
  const Case cases[] = {
      {"max-age=2", "", 3s, true},
      {"max-age=2", "", 86402s, true},
      {"max-age=2", "", 86403s, false},
      {"max-age=2, stale-if-error=60", "", 62s, true},
      {"max-age=2, stale-if-error=60", "", 63s, false},
      {"max-age=2, stale-if-error=0", "", 3s, false},
      {"max-age=2", "stale-if-error=60", 63s, false},
      {"max-age=2, must-revalidate", "", 3s, false},
      {"max-age=2, must-revalidate, stale-if-error=60", "", 3s, false},
      {"max-age=2, proxy-revalidate", "", 3s, false},
      {"s-maxage=2", "", 3s, false},
      {"max-age=2, no-cache", "", 1s, false},
      {"max-age=2", "no-cache", 1s, false},
      {"max-age=2", "max-age=1", 3s, false},
      {"max-age=2, must-revalidate", "", 1s, true},
  };
  for (const Case& test : cases) {
    if (may_serve_on_error(stored(test.response), asked(test.request), kStored + test.later, {}) !=
        test.expected) {
      FAIL((std::string(test.response) + " / " + std::string(test.request)).c_str());
    }
  }
  CachePolicy none;
  none.default_stale_if_error = 0s;
  CHECK_FALSE(may_serve_on_error(stored("max-age=2"), asked(""), kStored + 3s, none));
}

TEST(Reuse, OriginErrorsAreThoseOfAServerInTrouble) {
  for (int status : {500, 502, 503, 504})
    CHECK(is_origin_error(static_cast<std::uint16_t>(status)));
  for (int status : {200, 404, 501, 505, 599})
    CHECK_FALSE(is_origin_error(static_cast<std::uint16_t>(status)));
}
