// The member this cache adds to Cache-Status.
#include "dataplane/http/cache_status.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono_literals;

namespace {

std::string text(const CacheStatus& status) {
  std::string out;
  append_cache_status(out, "nearfield", status);
  return out;
}

}  // namespace

TEST_GROUP(CacheStatus){};

TEST(CacheStatus, Hit) {
  TEXT_EQUAL("nearfield; hit", text({}));
  CacheStatus status;
  status.ttl = -412s;
  TEXT_EQUAL("nearfield; hit; ttl=-412", text(status));
}

TEST(CacheStatus, AnErrorOfThisNodeIsNoHit) {
  CacheStatus status;
  status.made_here = true;
  TEXT_EQUAL("nearfield", text(status));
  status.detail = "only-if-cached";
  TEXT_EQUAL("nearfield; detail=only-if-cached", text(status));
}

TEST(CacheStatus, Forwarded) {
  CacheStatus status;
  status.forwarded = Forwarded::kStale;
  status.forward_status = 304;
  status.stored = true;
  status.collapsed = true;
  status.ttl = 60s;
  status.detail = "no-store";
  TEXT_EQUAL("nearfield; fwd=stale; fwd-status=304; stored; collapsed; ttl=60; detail=no-store",
             text(status));
  const std::pair<Forwarded, std::string_view> tokens[] = {
      {Forwarded::kBypass, "bypass"},    {Forwarded::kMethod, "method"},
      {Forwarded::kUriMiss, "uri-miss"}, {Forwarded::kVaryMiss, "vary-miss"},
      {Forwarded::kMiss, "miss"},        {Forwarded::kRequest, "request"},
      {Forwarded::kPartial, "partial"},
  };
  for (const auto& [forwarded, token] : tokens) {
    CacheStatus only;
    only.forwarded = forwarded;
    TEXT_EQUAL("nearfield; fwd=" + std::string(token), text(only));
  }
}

TEST(CacheStatus, DetailThatIsNoTokenIsQuoted) {
  CacheStatus status;
  status.detail = "a \"b\" \\ \xc3\n";
  TEXT_EQUAL("nearfield; hit; detail=\"a \\\"b\\\" \\\\ \"", text(status));
  status.detail = "9lives";
  TEXT_EQUAL("nearfield; hit; detail=\"9lives\"", text(status));
}

TEST(CacheStatus, ComesAfterCachesNearerTheOrigin) {
  Fields response = fields_of({{"Cache-Status", "origin-shield; hit"}});
  add_cache_status(response, "nearfield", {});
  TEXT_EQUAL("origin-shield; hit, nearfield; hit", *response.combined("Cache-Status"));
}
