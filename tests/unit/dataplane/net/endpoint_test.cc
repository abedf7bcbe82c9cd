// Endpoint: what is an address, what is not, and that a value prints as it is written.
#include "dataplane/net/endpoint.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using net::Address;
using net::Endpoint;

TEST_GROUP(Endpoint){static void prints_as(const char* text, const char* printed){
    const Result<Endpoint> endpoint = Endpoint::parse(text);
CHECK_TEXT(endpoint.has_value(), text);
STRCMP_EQUAL(printed, endpoint->text().c_str());
}
static void is_refused(std::string_view text, const char* because) {
  const Result<Endpoint> endpoint = Endpoint::parse(text);
  CHECK_TEXT(!endpoint.has_value(), std::string(text).c_str());
  STRCMP_CONTAINS(because, endpoint.error().message.c_str());
}
}
;

TEST(Endpoint, ParsesBothFamilies) {
  prints_as("192.0.2.1:80", "192.0.2.1:80");
  prints_as("[2001:DB8:0::1]:443", "[2001:db8::1]:443");
  prints_as("[::1]:0", "[::1]:0");
}

TEST(Endpoint, AnEmptyHostAndAStarMeanEveryAddress) {
  prints_as(":80", "[::]:80");
  prints_as("*:80", "[::]:80");
}

TEST(Endpoint, MappedAddressesAreIpv4) {
  prints_as("[::ffff:192.0.2.1]:80", "192.0.2.1:80");
  CHECK(*Endpoint::parse("[::ffff:192.0.2.1]:80") == *Endpoint::parse("192.0.2.1:80"));
}

TEST(Endpoint, SaysWhatIsWrong) {
  is_refused("192.0.2.1", "no port");
  is_refused("192.0.2.1:", "0 to 65535");
  is_refused("192.0.2.1:65536", "0 to 65535");
  is_refused("192.0.2.1:-1", "0 to 65535");
  is_refused("192.0.2.1:80 ", "0 to 65535");
  is_refused("2001:db8::1:80", "in brackets");
  is_refused("[2001:db8::1:80", "not closed");
  is_refused("[192.0.2.1]:80", "only IPv6");
  is_refused("music.example:80", "numeric");
  is_refused("192.0.2.256:80", "numeric");
  is_refused(std::string_view("127.0.0.1\0x:80", 14), "numeric");
}

TEST(Endpoint, TruncationKeepsThePrefixOnly) {
  const Address v4 = *Address::parse("203.0.113.255");
  STRCMP_EQUAL("203.0.113.0", v4.truncated(24, 48).text().c_str());
  STRCMP_EQUAL("203.0.112.0", v4.truncated(20, 48).text().c_str());
  STRCMP_EQUAL("203.0.113.255", v4.truncated(32, 0).text().c_str());
  STRCMP_EQUAL("0.0.0.0", v4.truncated(0, 48).text().c_str());
  const Address v6 = *Address::parse("2001:db8:1234:5678::1");
  STRCMP_EQUAL("2001:db8:1234::", v6.truncated(24, 48).text().c_str());
  STRCMP_EQUAL("2001:db8:1234:5600::", v6.truncated(24, 56).text().c_str());
  STRCMP_EQUAL("2001:db8:1234:5678::1", v6.truncated(24, 128).text().c_str());
  STRCMP_EQUAL("::", v6.truncated(24, 0).text().c_str());
}
