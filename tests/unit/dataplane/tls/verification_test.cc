// What is said of a certificate that was refused, and of whom certificates are for.
#include "dataplane/tls/verification.h"

#include <mbedtls/x509_crt.h>

#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

// 2001:db8::7.
const std::string kAddress("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16);

std::shared_ptr<const Certificate> issued(const TestAuthority::Request& request) {
  TestAuthority authority;
  std::vector<std::string> warnings;
  return *Certificate::load(authority.issue(request), real_now(), warnings);
}

std::string names_of(const TestAuthority::Request& request) {
  return certificate_names(*issued(request)->chain());
}

}  // namespace

TEST_GROUP(Verification){};

TEST(Verification, SaysWhatIsWrong) {
  struct Case {
    std::uint32_t flags;
    const char* expected;
    const char* names;
    const char* text;
  };
  for (const Case& c : std::vector<Case>{
           {0, "a.example", "", ""},
           {MBEDTLS_X509_BADCERT_EXPIRED, "a.example", "",
            "it or a certificate above it has expired"},
           {MBEDTLS_X509_BADCERT_CN_MISMATCH, "a.example", "b.example, 192.0.2.7",
            "it is not for 'a.example' but for b.example, 192.0.2.7"},
           {MBEDTLS_X509_BADCERT_CN_MISMATCH, "a.example", "",
            "it is not for 'a.example': it has no subject alternative name for a host, and its "
            "Common Name does not count (RFC 9525)"},
           {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_CN_MISMATCH, "a.example",
            "b.example",
            "it is not for 'a.example' but for b.example; it is signed by way of a hash that is "
            "not safe any more"},
           {MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_BAD_PK, "", "",
            "it or a certificate above it has expired; it is signed by a kind of key that is not "
            "accepted"},
           // In the library's words, those it has none for included.
           {MBEDTLS_X509_BADCERT_REVOKED, "", "", "The certificate has been revoked (is on a CRL)"},
           {MBEDTLS_X509_BADCERT_FUTURE | MBEDTLS_X509_BADCERT_REVOKED | 0x4000'0000, "", "",
            "it or a certificate above it is not valid yet: is the clock right?; The certificate "
            "has been revoked (is on a CRL);Unknown reason (this should not happen)"},
       })
    STRCMP_EQUAL(c.text, verification_text(c.flags, c.expected, c.names).c_str());
}

// The library writes names in the reverse order.
TEST(Verification, NamesTheFirstFiveHosts) {
  STRCMP_EQUAL("", names_of({}).c_str());
  STRCMP_EQUAL("2001:db8::7, a.example",
               names_of({.names = {"a.example"}, .addresses = {kAddress}}).c_str());
  STRCMP_EQUAL("e, d, c, b, a", names_of({.names = {"a", "b", "c", "d", "e"}}).c_str());
  STRCMP_EQUAL(
      "2001:db8::7, f, e, d, c and 2 more",
      names_of({.names = {"a", "b", "c", "d", "e", "f"}, .addresses = {kAddress}}).c_str());
}

TEST(Verification, WhatAStrangerWroteIsMadePrintable) {
  STRCMP_EQUAL("a?b?c?d?", names_of({.names = {"a\nb c\x7f"
                                               "d\xff"}})
                               .c_str());
  LONGS_EQUAL(253, names_of({.names = {std::string(1000, 'a')}}).size());
}

TEST(Verification, TellsNamesFromAddresses) {
  const auto certificate =
      issued({.names = {"A.example"}, .addresses = {kAddress, std::string("\xc0\x00\x02\x07", 4)}});
  const std::vector<AlternativeName> names = alternative_names(*certificate->chain());
  LONGS_EQUAL(3, names.size());
  CHECK_TRUE(names[0].is_address && names[0].value == std::string("\xc0\x00\x02\x07", 4));
  CHECK_TRUE(names[1].is_address && names[1].value == kAddress);
  CHECK_TRUE(!names[2].is_address && names[2].value == "A.example");
  STRCMP_EQUAL("CN=node.example", certificate_subject(*certificate->chain()).c_str());
}
