// Sizes on the wire and names.
#include "dataplane/tls/record.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::tls;

TEST_GROUP(Record){};

TEST(Record, SizesOnTheWire) {
  // RFC 8448 3: fifty bytes of application data are a record of 72.
  LONGS_EQUAL(72, sealed_bytes(Version::tls13, Aead::aes_128_gcm, 50));
  LONGS_EQUAL(5 + 1 + 16, sealed_bytes(Version::tls13, Aead::chacha20_poly1305, 0));
  LONGS_EQUAL(5 + 8 + 100 + 16, sealed_bytes(Version::tls12, Aead::aes_256_gcm, 100));
  LONGS_EQUAL(5 + 100 + 16, sealed_bytes(Version::tls12, Aead::chacha20_poly1305, 100));
}

TEST(Record, NamesAlertsAsTheRfcDoes) {
  STRCMP_EQUAL("close_notify", name(AlertDescription::close_notify).data());
  STRCMP_EQUAL("no_renegotiation", name(AlertDescription::no_renegotiation).data());
  STRCMP_EQUAL("no_application_protocol", name(AlertDescription::no_application_protocol).data());
  STRCMP_EQUAL("an unknown alert", name(static_cast<AlertDescription>(222)).data());
}
