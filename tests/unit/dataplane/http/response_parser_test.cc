// What an origin may answer, how its end is recognised, and what makes it unusable. As for
// requests, every cutting of the bytes must give the same outcome.
#include "dataplane/http/response_parser.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

namespace {

struct Answer {
  std::string kind;  // "complete", "open", "error"
  ResponseEnd end = ResponseEnd::kNothing;
  std::string body;
  std::size_t consumed = 0;
  std::size_t interims = 0;
};

Answer answer_of(std::string_view text, Method method = Method::kGet) {
  Answer first;
  for (std::size_t piece = 0; piece <= text.size(); ++piece) {
    ResponseParser parser;
    parser.begin(method);
    const Outcome outcome = read_message(parser, text, piece);
    Answer answer;
    answer.kind = outcome.error ? "error" : outcome.complete ? "complete" : "open";
    answer.end = parser.finish();
    answer.body = outcome.body;
    answer.consumed = outcome.error ? 0 : outcome.consumed;
    answer.interims = outcome.interims.size();
    if (piece == 0) {
      first = answer;
    } else if (answer.kind != first.kind || answer.end != first.end ||
               (answer.kind != "error" && answer.body != first.body) ||
               answer.consumed != first.consumed || answer.interims != first.interims) {
      FAIL(("outcome depends on the cutting: " + std::string(text)).c_str());
    }
  }
  return first;
}

}  // namespace

TEST_GROUP(ResponseParser){};

TEST(ResponseParser, ReadsHeadAndBody) {
  ResponseParser parser;
  parser.begin(Method::kGet);
  CHECK_FALSE(parser.started());
  const Outcome outcome = read_message(
      parser,
      "HTTP/1.1 200 Very OK\r\nContent-Length: 3\r\nETag: \"a\xfc\"\r\nVary:\r\n\r\nabcEXTRA");
  CHECK(outcome.complete);
  TEXT_EQUAL("abc", outcome.body);
  LONGS_EQUAL(200, parser.head().status);
  TEXT_EQUAL("Very OK", parser.head().reason);
  CHECK(parser.head().has_content_length);
  LONGS_EQUAL(3, parser.head().content_length);
  CHECK(parser.head().keep_alive);
  TEXT_EQUAL("\"a\xfc\"", *parser.head().fields.find("etag"));
  CHECK(parser.finish() == ResponseEnd::kComplete);
}

TEST(ResponseParser, KnowsWhereABodyEnds) {
  struct Case {
    std::string_view text;
    Method method;
    std::string_view kind, body;
    ResponseEnd end;
  };
  const auto get = Method::kGet;
  const auto whole = ResponseEnd::kComplete;
  const auto cut = ResponseEnd::kTruncated;
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", get, "complete", "", whole},
      {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", get, "open", "ab", cut},
      {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", get, "complete", "abcd", whole},
      {"HTTP/1.1 200 OK\r\n\r\nab", get, "open", "ab", whole},
      {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", get, "open", "", whole},
      {"HTTP/1.0 200 OK\r\n\r\nab", get, "open", "ab", whole},
      {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", get, "complete", "a", whole},
      {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", Method::kHead, "complete", "", whole},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kHead, "complete", "",
       whole},
      {"HTTP/1.1 200 OK\r\n\r\n", Method::kHead, "complete", "", whole},
      {"HTTP/1.1 204 No Content\r\n\r\n", get, "complete", "", whole},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", get, "complete", "", whole},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", get,
       "complete", "abcd", whole},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", get, "open", "abc",
       cut},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", get, "open", "abc",
       cut},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", get, "complete",
       "", whole},
      {"HTTP/1.1 200 OK\r\nConte", get, "open", "", cut},
      {"", get, "open", "", ResponseEnd::kNothing},
      {"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", get, "open", "", cut},
      {"HTTP/1.1 599 Odd\r\nContent-Length: 1\r\n\r\na", get, "complete", "a", whole},
      {"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\na", get, "complete", "a", whole},
      {"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\na", get,
       "complete", "a", whole},
      {"HTTP/1.1 200 OK\r\nContent-Range: garbage\r\nConnection: x\r\nContent-Length: 1\r\n\r\na",
       get, "complete", "a", whole},
  };
  for (const Case& test : cases) {
    const Answer answer = answer_of(test.text, test.method);
    if (answer.kind != test.kind || answer.body != test.body || answer.end != test.end) {
      FAIL((answer.kind + " '" + answer.body + "': " + std::string(test.text)).c_str());
    }
  }
}

TEST(ResponseParser, RefusesWhatTwoReadersCouldReadTwoWays) {
  const std::string_view refused[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd",
      "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
      "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "\r\nHTTP/1.1 200 OK\r\n\r\n",
      "ICY 200 OK\r\n\r\n",
      "<html>",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
  };
  for (std::string_view text : refused) {
    const Answer answer = answer_of(text);
    if (answer.kind != "error") FAIL(("accepted: " + std::string(text)).c_str());
    CHECK(answer.end == ResponseEnd::kTruncated);
  }
}

TEST(ResponseParser, InterimHeadsComeOneByOneBeforeTheFinalOne) {
  ResponseParser parser;
  parser.begin(Method::kGet);
  const std::string_view text =
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
  const Outcome outcome = read_message(parser, text);
  CHECK(outcome.complete);
  LONGS_EQUAL(2, outcome.interims.size());
  LONGS_EQUAL(100, outcome.interims[0]);
  LONGS_EQUAL(103, outcome.interims[1]);
  LONGS_EQUAL(200, parser.head().status);
  // Interim fields do not leak into the final head.
  CHECK_FALSE(parser.head().fields.contains("Link"));
  LONGS_EQUAL(2, answer_of(text).interims);
}

TEST(ResponseParser, InterimResponsesAreCounted) {
  ResponseLimits limits;
  limits.max_interim_count = 2;
  ResponseParser parser(limits);
  parser.begin(Method::kGet);
  std::string text;
  for (int i = 0; i < 3; ++i) text += "HTTP/1.1 102 Processing\r\n\r\n";
  CHECK(read_message(parser, text).error);
  CHECK_FALSE(parser.error().empty());
}

TEST(ResponseParser, LimitsHold) {
  ResponseLimits limits;
  limits.max_head_bytes = 100;
  limits.max_field_count = 2;
  ResponseParser parser(limits);
  parser.begin(Method::kGet);
  CHECK(read_message(parser, "HTTP/1.1 200 OK\r\nA: " + std::string(100, 'x')).error);
  parser.begin(Method::kGet);
  CHECK(read_message(parser, "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n").error);
  parser.begin(Method::kGet);
  CHECK(read_message(parser, "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\n\r\n").complete);
}

TEST(ResponseParser, WhatFollowsALengthIsNotTouched) {
  // An origin that says 10 and sends 36: the response is whole after 10, the rest is the caller's
  // to refuse.
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789abcdefghijklmnopqrstuvwxyz";
  const Answer answer = answer_of(text);
  TEXT_EQUAL("complete", answer.kind);
  TEXT_EQUAL("0123456789", answer.body);
  LONGS_EQUAL(text.size() - 26, answer.consumed);
}

TEST(ResponseParser, KeepAliveOfTheOrigin) {
  struct Case {
    std::string_view text;
    bool keep_alive;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true},
      {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false},  // runs until close
  };
  for (const Case& test : cases) {
    ResponseParser parser;
    parser.begin(Method::kGet);
    CHECK(read_message(parser, test.text).head);
    CHECK_EQUAL(test.keep_alive, parser.head().keep_alive);
  }
}

TEST(ResponseParser, FinishCompletesABodyWhoseEndWasNotAskedForYet) {
  ResponseParser parser;
  parser.begin(Method::kGet);
  const std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
  ParseStep step = parser.feed(bytes(text));
  CHECK(step.event == ParseEvent::kHead);
  step = parser.feed(bytes(text).subspan(step.consumed));
  CHECK(step.event == ParseEvent::kBody);
  CHECK(parser.finish() == ResponseEnd::kComplete);
}
