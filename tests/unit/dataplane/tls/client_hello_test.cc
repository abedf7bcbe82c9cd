// The first look at a ClientHello: what it finds, where it ends, what it refuses.
#include "dataplane/tls/client_hello.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

std::string number(std::size_t value, int bytes) {
  std::string text;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    text.push_back(static_cast<char>(value >> shift & 255));
  return text;
}
std::string vector_of(const std::string& content, int length_bytes) {
  return number(content.size(), length_bytes) + content;
}
std::string extension(int type, const std::string& content) {
  return number(static_cast<std::size_t>(type), 2) + vector_of(content, 2);
}
std::string host_name(const std::string& name) {
  return extension(0, vector_of(std::string(1, '\0') + vector_of(name, 2), 2));
}

struct HelloText {
  std::string version = "\x03\x03";
  std::string session = std::string(32, 's');
  std::string suites = "\x13\x02\x13\x01";
  std::string compressions = std::string(1, '\0');
  std::string extensions;
  std::string trailer;

  std::string message() const {
    const std::string body = version + std::string(32, 'r') + vector_of(session, 1) +
                             vector_of(suites, 2) + vector_of(compressions, 1) +
                             vector_of(extensions, 2) + trailer;
    return "\x01" + vector_of(body, 3);
  }
  std::string record() const { return "\x16\x03\x01" + vector_of(message(), 2); }
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

using State = ClientHelloReader::State;

}  // namespace

TEST_GROUP(ClientHello) {
  HelloText hello;

  ClientHello complete() {
    ClientHelloReader reader;
    const std::string record = hello.record();
    CHECK_TRUE(reader.read(bytes_of(record + "more")) == State::complete);
    LONGS_EQUAL(record.size(), reader.consumed());
    LONGS_EQUAL(hello.message().size(), reader.message().size());
    return reader.hello();
  }
  void refused(HandshakeFailure why) {
    ClientHelloReader reader;
    CHECK_TRUE(reader.read(bytes_of(hello.record())) == State::refused);
    STRCMP_EQUAL(std::string(text(why)).c_str(), std::string(text(reader.failure())).c_str());
  }
};

TEST(ClientHello, FindsWhatAServerWantsToKnow) {
  // A post-quantum share first (X25519MLKEM768, 1,216 bytes), which nobody here knows.
  hello.extensions =
      extension(51,
                vector_of(std::string("\x11\xec", 2) + vector_of(std::string(1216, 'q'), 2), 2)) +
      host_name("Node.Example.") + extension(16, vector_of("\x02h2\x08http/1.1", 2)) +
      extension(10, vector_of(std::string("\x11\xec\x00\x1d\x00\x17", 6), 2)) +
      extension(13, vector_of(std::string("\x04\x03\x08\x04", 4), 2)) +
      extension(43, vector_of("\x03\x04\x03\x03", 1)) + extension(45, vector_of("\x01", 1)) +
      extension(23, "");
  const ClientHello seen = complete();
  CHECK_TRUE(seen.tls13);
  CHECK_TRUE(seen.psk_with_ephemeral);
  CHECK_TRUE(seen.extended_master_secret);
  CHECK_FALSE(seen.early_data);
  CHECK_FALSE(seen.fallback);
  CHECK_FALSE(seen.chacha_first);
  STRCMP_EQUAL("node.example", seen.server_name.c_str());
  LONGS_EQUAL(2, seen.protocols.size());
  STRCMP_EQUAL("http/1.1", seen.protocols[1].c_str());
  CHECK_TRUE(seen.offers(0x1301) && seen.offers(0x1302) && !seen.offers(0x1303));
  CHECK_TRUE(seen.offers_group(0x001d) && !seen.offers_group(0x0018));
  CHECK_TRUE(seen.offers_signature(0x0403) && !seen.offers_signature(0x0401));
}

TEST(ClientHello, EarlyDataIsAnnouncedByAnEmptyExtension) {
  hello.extensions = extension(42, "");
  CHECK_TRUE(complete().early_data);
}

TEST(ClientHello, WithoutExtensionsItIsTls12) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector_of("", 1) +
                           vector_of("\xc0\x2f\x56", 2).substr(0, 0) +
                           vector_of(std::string("\xc0\x2f\x56\x00", 4), 2) +
                           vector_of(std::string(1, '\0'), 1);
  const std::string record = "\x16\x03\x01" + vector_of("\x01" + vector_of(body, 3), 2);
  ClientHelloReader reader;
  CHECK_TRUE(reader.read(bytes_of(record)) == State::complete);
  CHECK_FALSE(reader.hello().tls13);
  CHECK_TRUE(reader.hello().fallback);
}

TEST(ClientHello, TheOrderOfCiphersTellsADeviceWithoutAes) {
  hello.suites = "\x13\x03\x13\x01";
  CHECK_TRUE(complete().chacha_first);
}

TEST(ClientHello, NamesThatAreNoneCountAsNone) {
  for (const std::string& name :
       {std::string("a\0b", 3), std::string("[2001:db8::1]"), std::string("two words"),
        std::string(254, 'a'), std::string("."), std::string("caf\xc3\xa9.example")}) {
    hello.extensions = host_name(name);
    STRCMP_EQUAL("", complete().server_name.c_str());
  }
}

TEST(ClientHello, EveryCutIsAnIncompleteHello) {
  hello.extensions = host_name("node.example");
  const std::string record = hello.record();
  ClientHelloReader growing;
  for (std::size_t count = 0; count < record.size(); ++count) {
    ClientHelloReader reader;
    CHECK_TRUE(reader.read(bytes_of(record).first(count)) == State::need_more);
    CHECK_TRUE(growing.read(bytes_of(record).first(count)) == State::need_more);
  }
  CHECK_TRUE(growing.read(bytes_of(record)) == State::complete);
}

TEST(ClientHello, MalformedOnesAreRefused) {
  hello.version = "\x03\x02";
  refused(HandshakeFailure::version);
  hello = {};
  hello.session = std::string(33, 's');
  refused(HandshakeFailure::malformed);
  hello = {};
  hello.suites = "\x13";
  refused(HandshakeFailure::malformed);
  hello = {};
  hello.suites = "";
  refused(HandshakeFailure::malformed);
  hello = {};
  hello.compressions = "";
  refused(HandshakeFailure::malformed);
  hello = {};
  hello.trailer = "x";
  refused(HandshakeFailure::malformed);
  hello = {};
  hello.extensions = host_name("node.example").substr(0, 12);
  refused(HandshakeFailure::malformed);
  hello = {};
  hello.extensions = extension(16, vector_of(vector_of("", 1), 2));
  refused(HandshakeFailure::malformed);
}

TEST(ClientHello, NothingMayShareItsRecord) {
  const std::string message = hello.message() + "x";
  const std::string record = "\x16\x03\x01" + vector_of(message, 2);
  ClientHelloReader reader;
  CHECK_TRUE(reader.read(bytes_of(record)) == State::refused);
  CHECK(reader.alert() == AlertDescription::unexpected_message);
}
