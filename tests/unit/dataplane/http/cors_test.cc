// What players in browsers need to be told.
#include "dataplane/http/cors.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

namespace {

RequestHead preflight(std::string_view origin) {
  RequestHead request;
  request.method = Method::kOptions;
  request.fields = fields_of({{"Origin", origin}, {"Access-Control-Request-Method", "GET"}});
  return request;
}

}  // namespace

TEST_GROUP(Cors){};

TEST(Cors, PreflightIsAnOptionsThatSaysSo) {
  CHECK(is_preflight(preflight("https://p")));
  RequestHead request = preflight("https://p");
  request.fields.remove("Access-Control-Request-Method");
  CHECK_FALSE(is_preflight(request));
  request = preflight("https://p");
  request.method = Method::kGet;
  CHECK_FALSE(is_preflight(request));
}

TEST(Cors, EveryoneByDefault) {
  Fields response;
  append_preflight_fields(response, preflight("https://p"), {});
  TEXT_EQUAL("*", *response.find("Access-Control-Allow-Origin"));
  TEXT_EQUAL("86400", *response.find("Access-Control-Max-Age"));
  CHECK(response.list_contains("Access-Control-Allow-Headers", "range"));
  CHECK(response.list_contains("Access-Control-Allow-Headers", "CMCD-Session"));
  CHECK(response.list_contains("Access-Control-Allow-Methods", "HEAD"));
  CHECK_FALSE(response.contains("Vary"));
}

TEST(Cors, FieldsThatANodeTakesItselfAreAllowedAndExposedOnce) {
  const std::vector<std::string> names = {"X-Token", "range"};
  CorsConfig config;
  config.exposed_fields = "";
  allow_and_expose(config, names);
  allow_and_expose(config, names);
  Fields response;
  append_preflight_fields(response, preflight("https://p"), config);
  const std::string allowed(*response.find("Access-Control-Allow-Headers"));
  TEXT_EQUAL((CorsConfig().allowed_fields + ", X-Token").c_str(), allowed);
  response = cors_fields(nullptr, preflight("https://p"), config);
  TEXT_EQUAL("X-Token, range", *response.find("Access-Control-Expose-Headers"));
}

TEST(Cors, NamedOriginsAreEchoedAndOthersGetNothing) {
  CorsConfig config;
  config.allowed_origins = {"https://p", "https://q"};
  config.allow_credentials = true;
  Fields response;
  append_preflight_fields(response, preflight("https://q"), config);
  TEXT_EQUAL("https://q", *response.find("Access-Control-Allow-Origin"));
  TEXT_EQUAL("true", *response.find("Access-Control-Allow-Credentials"));
  TEXT_EQUAL("Origin", *response.find("Vary"));
  response.clear();
  append_preflight_fields(response, preflight("https://evil"), config);
  TEXT_EQUAL("Vary: Origin\r\n", response.text());
}

TEST(Cors, ResponsesGetFieldsUnlessTheOriginSpoke) {
  Fields response = cors_fields(nullptr, preflight("https://p"), {});
  TEXT_EQUAL("*", *response.find("Access-Control-Allow-Origin"));
  TEXT_EQUAL("*", *response.find("Timing-Allow-Origin"));
  CHECK(response.list_contains("Access-Control-Expose-Headers", "Content-Range"));

  const Fields own = fields_of(
      {{"Access-Control-Allow-Origin", "https://own"}, {"Timing-Allow-Origin", "https://own"}});
  CHECK(cors_fields(&own, preflight("https://p"), {}).empty());

  CorsConfig config;
  config.allowed_origins = {"https://p"};
  const Fields varying = fields_of({{"Vary", "Accept, origin"}});
  response = cors_fields(&varying, preflight("https://p"), config);
  LONGS_EQUAL(0, response.count("Vary"));
  TEXT_EQUAL("https://p", *response.find("Access-Control-Allow-Origin"));
}

TEST(Cors, CanBeSwitchedOff) {
  CorsConfig config;
  config.enabled = false;
  Fields response = cors_fields(nullptr, preflight("https://p"), config);
  append_preflight_fields(response, preflight("https://p"), config);
  CHECK(response.empty());
}
