// Questions of why a request may be served, and answers that never show the token they were asked
// with.
#include "dataplane/control/access_why.h"

#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::control;
namespace json = boost::json;
namespace v = nearfield::access::vectors;

namespace {

std::string error_text(std::string_view body) {
  const auto question = parse_why_question(body);
  return question ? "no error" : question.error().message;
}

std::string body_of(std::string_view url, std::string_view cookie = {}) {
  json::object body{{"url", url}, {"client", "192.0.2.7"}};
  if (!cookie.empty()) body.emplace("fields", json::object{{"Cookie", cookie}});
  return json::serialize(body);
}

}  // namespace

TEST_GROUP(AccessWhy) {
  std::shared_ptr<const access::AccessPolicy> policy = access::policy_of(access::signed_options());

  std::string answer_text(const std::string& body) {
    const auto question = parse_why_question(body);
    CHECK_TEXT(question.has_value(), question ? "" : question.error().message.c_str());
    return why_json(*policy, *question, nullptr, {.now = access::kNow});
  }
};

TEST(AccessWhy, ReadsTheQuestion) {
  const auto question = parse_why_question(
      R"({"url": "http://Music.Example:8080/a?b=1", "client": "2001:db8::7", "method": "HEAD",)"
      R"( "fields": {"Cookie": "c=1", "X-Cat": "t"}})");
  CHECK(question.has_value());
  CHECK(question->scheme == http::Scheme::kHttp);
  STRCMP_EQUAL("music.example:8080", question->authority.c_str());
  STRCMP_EQUAL("/a?b=1", question->target.c_str());
  STRCMP_EQUAL("HEAD", question->method.c_str());
  CHECK(question->client == *net::Address::parse("2001:db8::7"));
  CHECK(question->fields.find("cookie").has_value());
}

TEST(AccessWhy, ReadsAddressesAsRequestsAreRead) {
  const auto question =
      parse_why_question(R"({"url": "HTTPS://Music.Example:443?b=1", "client": "192.0.2.7"})");
  CHECK(question.has_value());
  STRCMP_EQUAL("music.example", question->authority.c_str());
  STRCMP_EQUAL("/?b=1", question->target.c_str());
}

TEST(AccessWhy, LeavesOutWhatHasADefault) {
  const auto question = parse_why_question(R"({"url": "https://music.example"})");
  CHECK(question.has_value());
  CHECK(question->scheme == http::Scheme::kHttps);
  STRCMP_EQUAL("/", question->target.c_str());
  STRCMP_EQUAL("GET", question->method.c_str());
  LONGS_EQUAL(0, question->fields.size());
}

TEST(AccessWhy, SaysWhatIsWrongWithAQuestion) {
  STRCMP_CONTAINS("the body is not JSON", error_text("").c_str());
  STRCMP_CONTAINS("the body is not JSON", error_text("{\"url\": ").c_str());
  STRCMP_EQUAL("the body is not a JSON object", error_text("[]").c_str());
  STRCMP_EQUAL("'url' is missing", error_text("{}").c_str());
  STRCMP_CONTAINS("does not begin with http:// or https://",
                  error_text(R"({"url": "ftp://x/"})").c_str());
  STRCMP_CONTAINS("has no usable host", error_text(R"({"url": "https:///a"})").c_str());
  STRCMP_EQUAL("'url' is not a text", error_text(R"({"url": 1})").c_str());
  STRCMP_CONTAINS("'where' is not known: use url, client, method and fields",
                  error_text(R"({"url": "https://x/", "where": "here"})").c_str());
  STRCMP_CONTAINS("nobody", error_text(R"({"url": "https://x/", "client": "nobody"})").c_str());
  STRCMP_CONTAINS("'fields' is not an object",
                  error_text(R"({"url": "https://x/", "fields": ["a"]})").c_str());
  STRCMP_EQUAL("'fields' has a name or value that no HTTP field can have",
               error_text(R"({"url": "https://x/", "fields": {"a b": "1"}})").c_str());
  STRCMP_EQUAL("'fields' has a name or value that no HTTP field can have",
               error_text(R"({"url": "https://x/", "fields": {"a": "1\r\nb: 2"}})").c_str());
  STRCMP_EQUAL("a value in 'fields' is not a text",
               error_text(R"({"url": "https://x/", "fields": {"a": 1}})").c_str());
}

TEST(AccessWhy, QuestionsAreBounded) {
  json::object fields;
  for (int i = 0; i <= 100; ++i) fields.emplace("f" + std::to_string(i), "x");
  const std::string body = json::serialize(json::object{{"url", "https://x/"}, {"fields", fields}});
  STRCMP_EQUAL("'fields' is not an object of at most 100 fields", error_text(body).c_str());
  STRCMP_CONTAINS("the body is not JSON", error_text(R"({"url": [[[[[[[[1]]]]]]]]})").c_str());
}

TEST(AccessWhy, TellsTheChainOfReasons) {
  const json::value answer = json::parse(answer_text(
      body_of("https://music.example/albums/1/a.m4s?URISigningPackage=" + std::string(v::kPlain))));
  CHECK_EQUAL(1, answer.at("schema").as_int64());
  CHECK(answer.at("allowed").as_bool());
  STRCMP_EQUAL("token_holds", answer.at("reason").as_string().c_str());
  STRCMP_EQUAL("albums", answer.at("rule").as_string().c_str());
  STRCMP_EQUAL("/albums/1/a.m4s", answer.at("target").as_string().c_str());
  bool has_signature = false;
  for (const json::value& step : answer.at("steps").as_array()) {
    has_signature |= step.at("subject") == "signature" && step.at("verdict") == "holds";
  }
  CHECK(has_signature);
  const json::value refused = json::parse(answer_text(body_of("https://music.example/albums/1/a")));
  CHECK_FALSE(refused.at("allowed").as_bool());
  STRCMP_EQUAL("no_token", refused.at("reason").as_string().c_str());
  STRCMP_EQUAL("refuses", refused.at("steps").as_array().back().at("verdict").as_string().c_str());
}

TEST(AccessWhy, NeverShowsAToken) {
  for (const std::string_view token :
       {v::kPlain, v::kPlainShared, v::kPlainKeyTwo, v::kAlgorithmNone, v::kClientGarbage}) {
    const std::string text(token);
    for (const std::string& body :
         {body_of("https://music.example/albums/1/a?URISigningPackage=" + text),
          body_of("https://music.example/albums/1;URISigningPackage=" + text + "/a"),
          body_of("https://music.example/x?URISigningPackage=" + text),
          body_of("https://music.example/albums/1/a", "URISigningPackage=" + text)}) {
      const std::string answer = answer_text(body);
      for (std::size_t i = 0; i + 24 < text.size(); i += 12) {
        CHECK_FALSE_TEXT(answer.contains(text.substr(i, 24)), answer.c_str());
      }
    }
  }
}

// Anyone's token is shown in words, also when these are no text.
TEST(AccessWhy, AnswersJsonWhateverTheTokenSays) {
  std::string claims;
  access::append_cbor_head(claims, 5, 1);
  access::append_cbor_integer(claims, 1);  // iss
  access::append_cbor_text(claims, "a\xff\"" + std::string(198, 'b') + "\u00e9\u00e9");
  std::string header;
  access::append_cbor_head(header, 5, 1);  // {1: 5}: HMAC 256/256
  access::append_cbor_integer(header, 1);
  access::append_cbor_integer(header, 5);
  std::string message;
  access::append_cbor_head(message, 4, 4);
  access::append_cbor_bytes(message, access::bytes_of(header));
  access::append_cbor_head(message, 5, 0);
  access::append_cbor_bytes(message, access::bytes_of(claims));
  access::append_cbor_bytes(message, access::Digest());
  std::string url = "https://music.example/albums/1/a?CAT=";
  access::append_base64url(url, access::bytes_of(message));
  const json::value answer = json::parse(answer_text(body_of(url)));
  bool shows_issuer = false;
  for (const json::value& step : answer.at("steps").as_array()) {
    shows_issuer |= step.at("subject") == "iss" &&
                    std::string_view(step.at("detail").as_string()).contains("a\ufffd\"bbb");
  }
  CHECK(shows_issuer);
}

TEST(AccessWhy, WithoutRulesThereIsNothingToExplain) {
  policy = access::AccessPolicy::open();
  const json::value answer = json::parse(answer_text(body_of("https://music.example/a")));
  CHECK(answer.at("allowed").as_bool());
  STRCMP_EQUAL("no_rules", answer.at("reason").as_string().c_str());
}
