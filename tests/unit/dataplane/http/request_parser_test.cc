// What a listener may send, and what is refused before anything else sees it. Every message of the
// tables is read whole and cut into every size of pieces: the outcome must not depend on it.
#include "dataplane/http/request_parser.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::string_literals;

namespace {

constexpr std::string_view kHost = "Host: example.net\r\n";

std::string get_with(std::string_view fields) {
  return "GET /a HTTP/1.1\r\nHost: example.net\r\n" + std::string(fields) + "\r\n";
}

// The status a request is refused with, 0 when it is accepted; the same in every cutting.
int status_of(std::string_view request, const RequestLimits& limits = {}) {
  int first = -1;
  for (std::size_t piece = 0; piece <= request.size(); ++piece) {
    RequestParser parser(limits);
    const Outcome outcome = read_message(parser, request, piece);
    const int status = outcome.error ? parser.error().status : outcome.complete ? 0 : 1;
    if (first == -1) first = status;
    if (status != first) {
      FAIL(("outcome depends on the cutting: " + std::string(request)).c_str());
    }
    if (outcome.error && outcome.head && status != 413) {
      // Bodies may be found wrong late; heads never.
      CHECK(parser.head().framing == BodyFraming::kChunked);
    }
  }
  return first;
}

}  // namespace

TEST_GROUP(RequestParser){};

TEST(RequestParser, ReadsAPlainRequest) {
  RequestParser parser;
  CHECK_FALSE(parser.started());
  const Outcome outcome =
      read_message(parser,
                   "GET /album/1.m4s?CMCD=x HTTP/1.1\r\nHost: Example.NET:8080\r\n"
                   "Range:  bytes=0-1 \t\r\nX-Empty:\r\n\r\nGET /next");
  CHECK(outcome.complete);
  CHECK(parser.started());
  const RequestHead& head = parser.head();
  CHECK(head.method == Method::kGet);
  TEXT_EQUAL("GET", head.method_text);
  TEXT_EQUAL("example.net:8080", head.authority);
  TEXT_EQUAL("/album/1.m4s?CMCD=x", head.target);
  TEXT_EQUAL("/album/1.m4s", head.path());
  TEXT_EQUAL("CMCD=x", *head.query());
  TEXT_EQUAL("bytes=0-1", *head.fields.find("range"));
  TEXT_EQUAL("", *head.fields.find("x-empty"));
  LONGS_EQUAL(3, head.fields.size());
  CHECK(head.keep_alive);
  CHECK(head.framing == BodyFraming::kNone);
  // What follows belongs to the next request.
  LONGS_EQUAL(91, outcome.consumed);
}

TEST(RequestParser, PipelinedRequestsAreReadOneByOneWithOneParser) {
  const std::string stream =
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc"
      "POST /3 HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n"
      "\r\nGET /4 HTTP/1.0\r\n\r\n";
  for (std::size_t piece : {0u, 1u, 2u, 3u, 7u, 64u}) {
    RequestParser parser;
    std::string_view rest = stream;
    std::string seen;
    for (int i = 0; i < 4; ++i) {
      const Outcome outcome = read_message(parser, rest, piece);
      CHECK(outcome.complete);
      seen += parser.head().target + "=" + parser.head().authority + ":" + outcome.body + " ";
      rest.remove_prefix(outcome.consumed);
      parser.reset();
      CHECK_FALSE(parser.started());
    }
    TEXT_EQUAL("/1=a: /2=b:abc /3=c:wxyz /4=: ", seen);
    LONGS_EQUAL(0, rest.size());
  }
}

TEST(RequestParser, BodyPiecesAreViewsIntoTheInput) {
  RequestParser parser;
  const std::string_view request = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
  ParseStep step = parser.feed(bytes(request));
  CHECK(step.event == ParseEvent::kHead);
  const auto rest = bytes(request).subspan(step.consumed);
  step = parser.feed(rest);
  CHECK(step.event == ParseEvent::kBody);
  POINTERS_EQUAL(rest.data(), step.body.data());
  step = parser.feed({});
  CHECK(step.event == ParseEvent::kComplete);
}

TEST(RequestParser, AcceptsWhatIsUnusualButClear) {
  const std::string accepted[] = {
      get_with(""),
      get_with("If-None-Match: \"abc\xfc\"\r\n"),  // obs-text
      get_with("If-None-Match: unquoted\r\n"),     //
      get_with("Cache-Control: nothing-to-see-here\r\n"),
      get_with("Test-Name: `a` \"b\" ?\r\n"),
      get_with("X:\ta\tb\t\r\n"),
      get_with("Connection: upgrade\r\nUpgrade: h2c\r\n"),
      get_with("Content-Length: 0\r\n"),
      "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
      "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET HTTP://A:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /%zz|{}^`\"<> HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET //a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
      "M-SEARCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
      "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
      "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3;name=value;q=\"quoted\"\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n000a\r\n0123456789\r\n0\r\n\r\n",
  };
  for (const std::string& request : accepted) {
    if (status_of(request) != 0) FAIL(("refused: " + request).c_str());
  }
}

TEST(RequestParser, RefusesWhatIsAmbiguousOrMalformed) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  struct Case {
    int status;
    std::string request;
  };
  const Case cases[] = {
      // Host
      {400, "GET / HTTP/1.1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: [g::1]\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"},
      // absolute form
      {400, "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"},
      {400, "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
      {501, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
      // target
      {400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"s},
      {400, "GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n"},
      // request line
      {400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/1.1\nHost: a\n\n"},
      {400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
      {505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
      {505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"},
      {400, "GET / RTSP/1.0\r\nHost: a\r\n\r\n"},
      {400, "DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n"},
      {400, "GET /\r\nHost: a\r\n\r\n"},
      {400, "GET /a\"HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET /\r\n\r\n"},
      {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {501, "GRAB / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {501, "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {501, "GRAB HTTP/1.1\r\n"},
      {501, "GETS / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GRAB / HTTP/1.1 \r\n"},
      {400, "HTTP/1.1\r\n"},
      {400, "INVALID PREFACE OF A CONNECTION\r\n\r\n"},
      {400, "\x16\x03\x01\x02"},
      // fields
      {400, get_with(" folded: a\r\n")},
      {400, get_with("A: b\r\n folded\r\n")},
      {400, get_with("A: b\r\n\tfolded\r\n")},
      {400, get_with("A : b\r\n")},
      {400, get_with("A\t: b\r\n")},
      {400, get_with(": b\r\n")},
      {400, get_with("A b: c\r\n")},
      {400, get_with("A(b): c\r\n")},
      {400, get_with("no colon\r\n")},
      {400, get_with("A: b\rc\r\n")},
      {400, get_with("A: b\nC: d\r\n")},
      {400, get_with("A: b\0c\r\n"s)},
      {400, get_with("A: b\x01\r\n")},
      {400, get_with("A: b\x7f\r\n")},
      {400, get_with("A: b\n")},
      {400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      // framing
      {400, post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
      {400, post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
      {400, post + "Content-Length: 3, 3\r\n\r\nabc"},
      {400, post + "Content-Length: +3\r\n\r\nabc"},
      {400, post + "Content-Length: -3\r\n\r\nabc"},
      {400, post + "Content-Length: 0x3\r\n\r\nabc"},
      {400, post + "Content-Length: 3 3\r\n\r\nabc"},
      {400, post + "Content-Length:\r\n\r\nabc"},
      {400, post + "Content-Length: 99999999999999999999\r\n\r\n"},
      {413, post + "Content-Length: 9999999999\r\n\r\n"},
      {400, post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
      {400, post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
      {400, post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"},
      {400, post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
      {400, post + "Transfer-Encoding: identity\r\n\r\n"},
      {400, post + "Transfer-Encoding:\r\n\r\n"},
      {400, post + "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n0\r\n\r\n"},
      {501, post + "Transfer-Encoding: gzip\r\n\r\n"},
      {501, post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {501, post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      // chunks
      {400, chunked + "x\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + "-3\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + "0x3\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + "3 \r\nabc\r\n0\r\n\r\n"},
      {400, chunked + " 3\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + "3\nabc\r\n0\r\n\r\n"},
      {400, chunked + "3\r\nabcd\r\n0\r\n\r\n"},
      {400, chunked + "3\r\nabc\n0\r\n\r\n"},
      {400, chunked + "3\r\nabc0\r\n\r\n"},
      {400, chunked + "3\r\nabc\r\r0\r\n\r\n"},
      {400, chunked + "3;a\nb\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + "ffffffffffffffffff\r\n"},
      {400, chunked + "ffffffffffffffff\r\n"},
      {400, chunked + "8000000000000000\r\n"},
      {400, chunked + "3;" + std::string(400, 'a') + "\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + std::string(400, '0') + "3\r\nabc\r\n0\r\n\r\n"},
      {400, chunked + "0\r\nX : a\r\n\r\n"},
      {400, chunked + "0\r\nX: a\r\n b\r\n\r\n"},
      {400, chunked + "0\r\nX: a\x01\r\n\r\n"},
  };
  for (const Case& test : cases) {
    const int status = status_of(test.request);
    if (status != test.status) {
      FAIL((std::to_string(status) + " instead of " + std::to_string(test.status) + ": " +
            test.request)
               .c_str());
    }
  }
}

TEST(RequestParser, LimitsHaveTheirStatus) {
  RequestLimits limits;
  limits.max_head_bytes = 200;
  limits.max_target_bytes = 20;
  limits.max_field_count = 3;
  limits.max_trailer_bytes = 30;
  limits.max_trailer_count = 1;
  limits.max_body_bytes = 10;
  const std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  LONGS_EQUAL(0,
              status_of("GET /" + std::string(19, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", limits));
  LONGS_EQUAL(414,
              status_of("GET /" + std::string(20, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", limits));
  // 16 + 9 + 6 + 167 + 2 = 200: exactly the limit.
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::size_t fill = 200 - head.size() - 4;
  LONGS_EQUAL(0, status_of(head + std::string(fill, 'x') + "\r\n\r\n", limits));
  LONGS_EQUAL(431, status_of(head + std::string(fill + 1, 'x') + "\r\n\r\n", limits));
  LONGS_EQUAL(0, status_of(get_with("A: 1\r\nB: 2\r\n"), limits));
  LONGS_EQUAL(431, status_of(get_with("A: 1\r\nB: 2\r\nC: 3\r\n"), limits));
  LONGS_EQUAL(0, status_of(chunked + "0\r\nA: 1\r\n\r\n", limits));
  LONGS_EQUAL(431, status_of(chunked + "0\r\nA: 1\r\nB: 2\r\n\r\n", limits));
  LONGS_EQUAL(431, status_of(chunked + "0\r\nA: " + std::string(30, 'x') + "\r\n\r\n", limits));
  LONGS_EQUAL(0, status_of(chunked + "a\r\n0123456789\r\n0\r\n\r\n", limits));
  LONGS_EQUAL(413, status_of(chunked + "5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n", limits));
  LONGS_EQUAL(413, status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", limits));
}

TEST(RequestParser, ErrorsStay) {
  RequestParser parser;
  CHECK(read_message(parser, "GRAB / HTTP/1.1\r\n").error);
  CHECK(parser.feed(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).event == ParseEvent::kError);
  LONGS_EQUAL(501, parser.error().status);
  parser.reset();
  CHECK(read_message(parser, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").complete);
}

TEST(RequestParser, WhatIsOfAnotherProtocolIsKnownByItsWholeFirstLine) {
  for (const std::string_view line :
       {"SSH-2.0-OpenSSH_9.9\r\n", "GRAB /\r\n", "EHLO a\n", "\r\nx\n"}) {
    RequestParser parser;
    for (std::size_t size = 1; size < line.size(); ++size) {
      CHECK(parser.feed(bytes(line.substr(size - 1, 1))).event == ParseEvent::kNeedMore);
      CHECK_FALSE(parser.is_foreign());
    }
    CHECK(parser.feed(bytes(line.substr(line.size() - 1))).event == ParseEvent::kError);
    CHECK(parser.is_foreign());
    parser.reset();
    CHECK_FALSE(parser.is_foreign());
  }
  for (const std::string_view line : {"GRAB / HTTP/1.1\r\n", "GET /\r\n\r\n", "\x16\x03\x01"}) {
    RequestParser parser;
    CHECK(read_message(parser, line).error);
    CHECK_FALSE(parser.is_foreign());
  }
  RequestLimits limits;
  limits.max_head_bytes = 200;
  LONGS_EQUAL(431, status_of(std::string(300, 'x') + "\r\n", limits));
}

TEST(RequestParser, KeepAliveFollowsVersionAndConnection) {
  struct Case {
    std::string_view version, fields;
    bool keep_alive;
  };
  const Case cases[] = {
      {"1.1", "", true},
      {"1.1", "Connection: close\r\n", false},
      {"1.1", "Connection: foo, CLOSE\r\n", false},
      {"1.1", "Connection: foo\r\nConnection: close\r\n", false},
      {"1.1", "Connection: keep-alive, close\r\n", false},
      {"1.1", "Connection: closed\r\n", true},
      {"1.0", "", false},
      {"1.0", "Connection: Keep-Alive\r\n", true},
      {"1.0", "Connection: keep-alive, close\r\n", false},
  };
  for (const Case& test : cases) {
    RequestParser parser;
    const std::string request = "GET / HTTP/" + std::string(test.version) + "\r\n" +
                                std::string(kHost) + std::string(test.fields) + "\r\n";
    CHECK(read_message(parser, request).complete);
    CHECK_EQUAL(test.keep_alive, parser.head().keep_alive);
  }
}

TEST(RequestParser, ExpectContinueIsSeenBeforeTheBody) {
  RequestParser parser;
  Outcome outcome = read_message(
      parser, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(outcome.head);
  CHECK_FALSE(outcome.complete);
  CHECK(parser.head().expect_continue);
  CHECK(parser.head_complete());
}

TEST(RequestParser, TrailersAreKeptApartAndCleaned) {
  RequestParser parser;
  CHECK(read_message(parser,
                     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "0\r\nX-Sum: 1\r\nAuthorization: no\r\nHost: evil\r\nTrailer: x\r\n\r\n")
            .complete);
  LONGS_EQUAL(1, parser.trailers().size());
  TEXT_EQUAL("1", *parser.trailers().find("x-sum"));
  LONGS_EQUAL(2, parser.head().fields.size());
}

TEST(RequestParser, AbsoluteFormIsBroughtToOriginForm) {
  struct Case {
    std::string_view line, target, query;
  };
  const Case cases[] = {
      {"GET http://A:80", "/", "-"},         {"GET http://a/", "/", "-"},
      {"GET http://a?q", "/?q", "q"},        {"GET http://a/b?", "/b?", ""},
      {"OPTIONS http://a", "*", "-"},        {"OPTIONS http://a/", "/", "-"},
      {"GET http://a//b/..", "//b/..", "-"},
  };
  for (const Case& test : cases) {
    RequestParser parser;
    CHECK(read_message(parser, std::string(test.line) + " HTTP/1.1\r\nHost: a\r\n\r\n").complete);
    TEXT_EQUAL(test.target, parser.head().target);
    TEXT_EQUAL(test.query, parser.head().query().value_or("-"));
    TEXT_EQUAL("a", parser.head().authority);
  }
}

TEST(RequestParser, RepeatedUseDoesNotGrow) {
  RequestParser parser;
  const std::string request = get_with("Accept: */*\r\nUser-Agent: player\r\nRange: bytes=0-\r\n");
  read_message(parser, request);
  parser.reset();
  read_message(parser, request);
  parser.reset();
  const std::size_t memory = parser.memory_bytes();
  for (int i = 0; i < 100; ++i) {
    CHECK(read_message(parser, request).complete);
    parser.reset();
  }
  LONGS_EQUAL(memory, parser.memory_bytes());
  CHECK(memory < 2048);
}
