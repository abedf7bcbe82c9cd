// Hosts in one form, and what is no host.
#include "dataplane/http/authority.h"

#include <array>

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

TEST_GROUP(Authority){};

TEST(Authority, IsBroughtToOneForm) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"Example.NET", "example.net"},
      {"a:80", "a"},
      {"a:", "a"},
      {"a:8080", "a:8080"},
      {"a:0080", "a"},
      {"a:443", "a:443"},
      {"[2001:DB8::1]", "[2001:db8::1]"},
      {"[::1]:8080", "[::1]:8080"},
      {"127.0.0.1:80", "127.0.0.1"},
      {"under_score.-~", "under_score.-~"},
  };
  for (const auto& [text, expected] : cases) {
    std::string out;
    CHECK(append_authority(out, text, Scheme::kHttp));
    TEXT_EQUAL(expected, out);
  }
  std::string out;
  CHECK(append_authority(out, "a:443", Scheme::kHttps));
  TEXT_EQUAL("a", out);
}

TEST(Authority, IsSplitAtItsPort) {
  for (const auto& [text, host, port] : std::to_array<std::array<std::string_view, 3>>({
           {"a", "a", ""},
           {"a:", "a", ""},
           {"a.:8080", "a.", "8080"},
           {"[2001:db8::1]", "[2001:db8::1]", ""},
           {"[::1]:8080", "[::1]", "8080"},
           {":80", "", "80"},
           {"", "", ""},
       })) {
    const SplitAuthority split = split_authority(text);
    TEXT_EQUAL(host, split.host);
    TEXT_EQUAL(port, split.port);
  }
}

TEST(Authority, RefusesWhatIsNoHost) {
  const std::string longest(256, 'a');
  for (std::string_view text : {"",     ":80",      "a b",     "a,b",
                                "a@b",  "a/b",      "a?b",     "a:b",
                                "a:-1", "a:0",      "a:65536", "a:000080",
                                "[::1", "[]",       "[::1]x",  "[::1%25eth0]",
                                "a%41", "\xc3\xa4", "a:80:80", std::string_view(longest).data()}) {
    std::string out = "kept";
    CHECK_FALSE(append_authority(out, text, Scheme::kHttp));
    TEXT_EQUAL("kept", out);
  }
}
