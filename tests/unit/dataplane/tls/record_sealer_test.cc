// Records against RFC 8448, and the promise that the same arguments make the same bytes.
#include "dataplane/tls/record_sealer.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

Bytes seal(const AeadEngine& with, const ConnectionSecrets& secrets, std::uint64_t sequence,
           ContentType type, std::span<const iovec> pieces) {
  ExpandedKey key;
  with.expand(secrets.aead, std::span(secrets.send.key).first(key_bytes(secrets.aead)), key);
  Bytes out(kMaximumRecordBytes + 8, std::byte{0x5a});
  const std::size_t size = seal_record(with, secrets.version, secrets.aead, key, secrets.send.iv,
                                       sequence, type, pieces, out.data());
  // Not a byte behind the record was touched.
  for (std::size_t i = size; i < out.size(); ++i) CHECK_TRUE(out[i] == std::byte{0x5a});
  out.resize(size);
  return out;
}

}  // namespace

TEST_GROUP(RecordSealer) { Random random{3}; };

// RFC 8448 3: application data and the closing alerts of both sides. The server's ticket was its
// record 0, so its data is record 1.
TEST(RecordSealer, MakesTheRecordsOfRfc8448) {
  const Bytes client_secret =
      hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
  const Bytes server_secret =
      hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
  Bytes data;
  for (unsigned i = 0; i < 50; ++i) data.push_back(static_cast<std::byte>(i));
  const Bytes alert = hex("0100");
  const iovec data_piece = piece(data);
  const iovec alert_piece = piece(alert);
  for (const AeadEngine* with : engines()) {
    const ConnectionSecrets client =
        tls13_secrets(Aead::aes_128_gcm, Hash::sha256, client_secret, server_secret, false);
    STRCMP_EQUAL(
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a"
        "20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
        to_hex(seal(*with, client, 0, ContentType::application_data, {&data_piece, 1})).c_str());
    STRCMP_EQUAL("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3",
                 to_hex(seal(*with, client, 1, ContentType::alert, {&alert_piece, 1})).c_str());
    const ConnectionSecrets server =
        tls13_secrets(Aead::aes_128_gcm, Hash::sha256, client_secret, server_secret, true);
    STRCMP_EQUAL(
        "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb"
        "501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
        to_hex(seal(*with, server, 1, ContentType::application_data, {&data_piece, 1})).c_str());
    STRCMP_EQUAL("1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9",
                 to_hex(seal(*with, server, 2, ContentType::alert, {&alert_piece, 1})).c_str());
  }
}

TEST(RecordSealer, NonceOfEachVersion) {
  const std::array<std::byte, kNonceBytes> iv = {std::byte{0xa0}, std::byte{0xa1}, std::byte{0xa2},
                                                 std::byte{0xa3}, std::byte{0xff}, std::byte{0},
                                                 std::byte{0},    std::byte{0},    std::byte{0},
                                                 std::byte{0},    std::byte{0},    std::byte{0xff}};
  const std::uint64_t sequence = 0x0102030405060708;
  STRCMP_EQUAL("a0a1a2a3fe020304050607f7",
               to_hex(record_nonce(Version::tls13, Aead::aes_128_gcm, iv, sequence)).c_str());
  STRCMP_EQUAL("a0a1a2a3fe020304050607f7",
               to_hex(record_nonce(Version::tls12, Aead::chacha20_poly1305, iv, sequence)).c_str());
  STRCMP_EQUAL("a0a1a2a30102030405060708",
               to_hex(record_nonce(Version::tls12, Aead::aes_128_gcm, iv, sequence)).c_str());
}

TEST(RecordSealer, HeadersOfEachVersion) {
  const Bytes text = hex("010203");
  const iovec one = piece(text);
  const auto header = [&](Version version, Aead aead, std::size_t bytes) {
    const ConnectionSecrets secrets = server_secrets(version, aead);
    const Bytes record = seal(engine(), secrets, 0x11, ContentType::alert, {&one, 1});
    return to_hex(std::span(record).first(bytes));
  };
  STRCMP_EQUAL("1703030014", header(Version::tls13, Aead::aes_128_gcm, 5).c_str());
  // The explicit nonce is the sequence number.
  STRCMP_EQUAL("150303001b0000000000000011", header(Version::tls12, Aead::aes_256_gcm, 13).c_str());
  STRCMP_EQUAL("1503030013", header(Version::tls12, Aead::chacha20_poly1305, 5).c_str());
}

// A lost record is sealed again from pieces that lie elsewhere by then, maybe by the other engine.
TEST(RecordSealer, TheSameArgumentsMakeTheSameBytes) {
  for (const Version version : kVersions) {
    for (const Aead aead : kAeads) {
      const ConnectionSecrets secrets = server_secrets(version, aead);
      for (int i = 0; i < 20; ++i) {
        const Bytes plaintext = random.bytes(i == 0 ? kMaximumPlaintext : random.below(16384));
        const Bytes copy = plaintext;
        const std::uint64_t sequence = random.next() >> 20;
        const Bytes first = seal(AeadEngine::mbedtls(), secrets, sequence,
                                 ContentType::application_data, cut(plaintext, random));
        const Bytes again =
            seal(engine(), secrets, sequence, ContentType::application_data, cut(copy, random));
        CHECK_TRUE(first == again);
        LONGS_EQUAL(sealed_bytes(version, aead, plaintext.size()), first.size());
        CHECK_FALSE(first == seal(engine(), secrets, sequence + 1, ContentType::application_data,
                                  cut(copy, random)));
      }
    }
  }
}

TEST(RecordSealer, RefusesMoreThanARecordHolds) {
  const Bytes plaintext(kMaximumPlaintext + 1);
  const iovec one = piece(plaintext);
  const ConnectionSecrets secrets = server_secrets(Version::tls13, Aead::aes_128_gcm);
  CHECK_TRUE(aborts([&] {
    ExpandedKey key;
    engine().expand(secrets.aead, std::span(secrets.send.key).first(16), key);
    Bytes out(2 * kMaximumRecordBytes);
    seal_record(engine(), secrets.version, secrets.aead, key, secrets.send.iv, 0,
                ContentType::application_data, {&one, 1}, out.data());
  }));
}
