// What the guard lets pass and what it ends the process for.
#include "dataplane/tls/nonce_guard.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

TEST_GROUP(NonceGuard) {
  NonceGuard guard{Aead::aes_128_gcm};

  void seal(std::uint64_t sequence, std::string_view text,
            ContentType type = ContentType::application_data) {
    const iovec one = piece(std::as_bytes(std::span(text)));
    guard.seal(sequence, type, {&one, 1});
  }
};

TEST(NonceGuard, TheSameRecordMayBeSealedAgain) {
  seal(0, "first");
  seal(1, "second");
  seal(0, "first");
  seal(1, "second");
  // Cut another way it is the same plaintext.
  const std::string_view text = "second";
  const iovec pieces[] = {piece(std::as_bytes(std::span(text.substr(0, 2)))), iovec{nullptr, 0},
                          piece(std::as_bytes(std::span(text.substr(2))))};
  guard.seal(1, ContentType::application_data, pieces);
}

// A transport that knows nowhere to send to counts segments as lost before it asks for their bytes.
TEST(NonceGuard, NumbersMayBeLeftOutAndComeLater) {
  seal(0, "first");
  seal(3, "fourth");
  seal(1, "second");
  seal(1, "second");
  if (kNonceGuardRemembers) {
    CHECK_TRUE(aborts([this] { seal(1, "Second"); }));
    CHECK_TRUE(aborts([this] { seal(3, "Fourth"); }));
  }
  guard.release_below(9);
  CHECK_TRUE(aborts([this] { seal(8, "ninth"); }));
  seal(9, "tenth");
}

TEST(NonceGuard, ReleasedRecordsAreNotSealedAgain) {
  seal(0, "first");
  seal(1, "second");
  guard.release_below(1);
  guard.release_below(0);  // older news changes nothing
  seal(1, "second");
  CHECK_TRUE(aborts([this] { seal(0, "first"); }));
}

TEST(NonceGuard, AnotherPlaintextUnderTheSameNumberIsFatal) {
  if (!kNonceGuardRemembers) return;
  seal(0, "first");
  seal(1, "second");
  CHECK_TRUE(aborts([this] { seal(1, "Second"); }));
  CHECK_TRUE(aborts([this] { seal(1, "second+"); }));
  CHECK_TRUE(aborts([this] { seal(1, "secon"); }));
  CHECK_TRUE(aborts([this] { seal(0, "second"); }));
  CHECK_TRUE(aborts([this] { seal(1, "second", ContentType::alert); }));
  CHECK_FALSE(aborts([this] { seal(1, "second"); }));
}

TEST(NonceGuard, RemembersABoundedNumber) {
  const std::size_t count = NonceGuard::kRememberedRecords + 10;
  for (std::size_t i = 0; i < count; ++i) seal(i, std::to_string(i));
  seal(0, "forgotten: only its number is checked");
  seal(count - 1, std::to_string(count - 1));
  seal(count - NonceGuard::kRememberedRecords,
       std::to_string(count - NonceGuard::kRememberedRecords));
  if (kNonceGuardRemembers) {
    CHECK_TRUE(aborts([&] { seal(count - NonceGuard::kRememberedRecords, "another"); }));
  }
  guard.release_below(count);
  seal(count, "next");
}

TEST(NonceGuard, KeepsTheLimitOfTheKey) {
  const std::uint64_t limit = records_per_key(Aead::aes_128_gcm);
  NonceGuard last(Aead::aes_128_gcm, limit - 1);
  last.seal(limit - 1, ContentType::application_data, {});
  CHECK_TRUE(aborts([&] { last.seal(limit, ContentType::alert, {}); }));
}

TEST(NonceGuard, BeginsWhereTheHandshakeLeftOff) {
  NonceGuard later(Aead::chacha20_poly1305, 3);
  later.seal(3, ContentType::application_data, {});
  CHECK_TRUE(aborts([&] { later.seal(2, ContentType::application_data, {}); }));
}
