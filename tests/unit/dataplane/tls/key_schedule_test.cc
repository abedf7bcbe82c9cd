// Derivations against the traces of RFC 8448, vectors published for the PRF of TLS 1.2, and values
// computed with another implementation of HMAC where no document has any.
#include "dataplane/tls/key_schedule.h"

#include <algorithm>
#include <array>
#include <new>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

// RFC 8448 3: client_application_traffic_secret_0 and server_application_traffic_secret_0.
const Bytes kClientSecret = hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
const Bytes kServerSecret = hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");

std::string key_text(const TrafficKeys& keys, Aead aead) {
  return to_hex(std::span(keys.key).first(key_bytes(aead)));
}

Bytes counting(unsigned first, std::size_t size, unsigned modulus = 256) {
  Bytes bytes;
  for (std::size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<std::byte>(first + i % modulus));
  }
  return bytes;
}

}  // namespace

TEST_GROUP(KeySchedule){};

TEST(KeySchedule, KeysLeaveNothingBehindWhenTheyEnd) {
  alignas(ConnectionSecrets) std::array<std::byte, sizeof(ConnectionSecrets)> place{};
  const auto holds = [&place](std::span<const std::byte> wanted) {
    return !std::ranges::search(place, wanted).empty();
  };
  auto* secrets = new (place.data()) ConnectionSecrets(
      tls13_secrets(Aead::aes_128_gcm, Hash::sha256, kClientSecret, kServerSecret, true));
  const Bytes key(secrets->send.key.begin(), secrets->send.key.begin() + 16);
  const Bytes iv(secrets->receive.iv.begin(), secrets->receive.iv.end());
  CHECK_TRUE(holds(key) && holds(iv) && holds(kServerSecret) && holds(kClientSecret));
  secrets->~ConnectionSecrets();
  CHECK_FALSE(holds(key) || holds(iv) || holds(kServerSecret) || holds(kClientSecret));
}

TEST(KeySchedule, DerivesTheKeysOfRfc8448) {
  const ConnectionSecrets client =
      tls13_secrets(Aead::aes_128_gcm, Hash::sha256, kClientSecret, kServerSecret, false);
  STRCMP_EQUAL("17422dda596ed5d9acd890e3c63f5051",
               key_text(client.send, Aead::aes_128_gcm).c_str());
  STRCMP_EQUAL("5b78923dee08579033e523d9", to_hex(client.send.iv).c_str());
  STRCMP_EQUAL("9f02283b6c9c07efc26bb9f2ac92e356",
               key_text(client.receive, Aead::aes_128_gcm).c_str());
  STRCMP_EQUAL("cf782b88dd83549aadf1e984", to_hex(client.receive.iv).c_str());
  LONGS_EQUAL(0, client.send.next_sequence);
  CHECK_TRUE(client.version == Version::tls13);

  const ConnectionSecrets server =
      tls13_secrets(Aead::aes_128_gcm, Hash::sha256, kClientSecret, kServerSecret, true);
  CHECK_TRUE(server.send.key == client.receive.key && server.receive.key == client.send.key);
  CHECK_TRUE(server.send.iv == client.receive.iv && server.receive.iv == client.send.iv);
}

// Handshake keys of RFC 8448 3: the same function with other secrets.
TEST(KeySchedule, DerivesHandshakeKeysOfRfc8448) {
  const TrafficKeys keys =
      traffic_keys(Aead::aes_128_gcm, Hash::sha256,
                   hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"));
  STRCMP_EQUAL("3fce516009c21727d0f2e4e86ee403bc", key_text(keys, Aead::aes_128_gcm).c_str());
  STRCMP_EQUAL("5d313eb2671276ee13000b30", to_hex(keys.iv).c_str());
}

// RFC 8448 3: "derived" of the early secret takes the hash of nothing as its context.
TEST(KeySchedule, ExpandsLabelsWithAContext) {
  Bytes out(32);
  hkdf_expand_label(
      Hash::sha256, hex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"),
      "derived", hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), out);
  STRCMP_EQUAL("6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba",
               to_hex(out).c_str());
}

TEST(KeySchedule, ExpandsBeyondOneHash) {
  Bytes out(100);
  hkdf_expand_label(Hash::sha256, counting(0, 32), "exporter", counting(0, 32), out);
  STRCMP_EQUAL(
      "6d289b68db1437eabd42011b56a53d651da5470388055143009bb668b88af92d5d8512a89ed364d4de973f2f017f"
      "732f7660b475d80812292c0d75f7be7b2d0e4a37bc592fc633cbce973d73466338316376b8eae885564a5f5cca3c"
      "a1152cbd26084e2e",
      to_hex(out).c_str());
}

TEST(KeySchedule, DerivesTheNextGeneration) {
  TrafficKeys keys = traffic_keys(Aead::aes_128_gcm, Hash::sha256, kServerSecret);
  keys.next_sequence = 77;
  update(keys, Aead::aes_128_gcm, Hash::sha256);
  STRCMP_EQUAL("51921b8aa3001976eb401d0a4319a8516416a6c56001a357e5d162031e84f916",
               to_hex(std::span(keys.secret).first(32)).c_str());
  STRCMP_EQUAL("2e63be99d67b39097feb9786cf7a15a0", key_text(keys, Aead::aes_128_gcm).c_str());
  STRCMP_EQUAL("628a0a8298ac953baef4255a", to_hex(keys.iv).c_str());
  LONGS_EQUAL(0, keys.next_sequence);
}

TEST(KeySchedule, DerivesWithSha384) {
  TrafficKeys keys = traffic_keys(Aead::aes_256_gcm, Hash::sha384, counting(0, 48));
  STRCMP_EQUAL("6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225",
               key_text(keys, Aead::aes_256_gcm).c_str());
  STRCMP_EQUAL("42822531a0fe88648fc09e9f", to_hex(keys.iv).c_str());
  update(keys, Aead::aes_256_gcm, Hash::sha384);
  STRCMP_EQUAL("eb354f3b48924ed78de34dd8aa6a6a0a51d857ddad1454d5cfa7b69f60712911",
               key_text(keys, Aead::aes_256_gcm).c_str());
  STRCMP_EQUAL("8478ffbe4f2e5450789775b3", to_hex(keys.iv).c_str());
  STRCMP_EQUAL(
      "401331b63e9d59f202e8f041042d9516f4cd7fa2e2ee14631d3b49fc340d7af37fc2c0c9f252d8036f81ec5b85cb"
      "e5db",
      to_hex(keys.secret).c_str());
}

TEST(KeySchedule, CutsTheKeyBlockOfTls12) {
  const Bytes master = counting(0, 48);
  const Bytes client_random = counting(0xc0, 32, 16);
  const Bytes server_random = counting(0x50, 32);
  // "a88b9c9a..." is the block: client key, server key, client salt, server salt.
  const ConnectionSecrets server =
      tls12_secrets(Aead::aes_128_gcm, Hash::sha256, master, client_random, server_random, true);
  STRCMP_EQUAL("a88b9c9a1371958d123c69a54e9c96b8",
               key_text(server.receive, Aead::aes_128_gcm).c_str());
  STRCMP_EQUAL("1373e449ecbe2439eec5ddab02fc87a0",
               key_text(server.send, Aead::aes_128_gcm).c_str());
  STRCMP_EQUAL("4f11b7270000000000000000", to_hex(server.receive.iv).c_str());
  STRCMP_EQUAL("1a5dbaf70000000000000000", to_hex(server.send.iv).c_str());
  LONGS_EQUAL(1, server.receive.next_sequence);
  LONGS_EQUAL(1, server.send.next_sequence);

  const ConnectionSecrets client =
      tls12_secrets(Aead::aes_256_gcm, Hash::sha384, master, client_random, server_random, false);
  STRCMP_EQUAL("dffbcd51c48c2af2810f1e60ab890fb8a4127cd3fc379f1e051b6ee0e0e48e05",
               key_text(client.send, Aead::aes_256_gcm).c_str());
  STRCMP_EQUAL("be56da32a5f39a66ce6a5e56276395d2e179fe71b370a0fc99b4ffd12856eb44",
               key_text(client.receive, Aead::aes_256_gcm).c_str());
  STRCMP_EQUAL("324040a60000000000000000", to_hex(client.send.iv).c_str());
  STRCMP_EQUAL("e7ef46960000000000000000", to_hex(client.receive.iv).c_str());

  // ChaCha20-Poly1305 takes whole nonces from the block.
  const ConnectionSecrets chacha = tls12_secrets(Aead::chacha20_poly1305, Hash::sha256, master,
                                                 client_random, server_random, false);
  STRCMP_EQUAL("a88b9c9a1371958d123c69a54e9c96b81373e449ecbe2439eec5ddab02fc87a0",
               key_text(chacha.send, Aead::chacha20_poly1305).c_str());
  STRCMP_EQUAL("d82f5a650bdf78809a8dadd9", to_hex(chacha.send.iv).c_str());
  STRCMP_EQUAL("3092067b1a3cfb894658786c", to_hex(chacha.receive.iv).c_str());
}

TEST(KeySchedule, WipeLeavesZeros) {
  Bytes secret = counting(1, 48);
  wipe(secret);
  CHECK_TRUE(secret == Bytes(48));
  wipe({});
}
