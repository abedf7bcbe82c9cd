// What strangers write first: arbitrary bytes to a server's handshake, in pieces the input decides.
// Whatever comes, the reader of ClientHellos must not depend on how the bytes were cut, and the
// handshake must end or wait within its bounds. The node's key is made once a run; randomness of
// ours is constant (the library's own generator, which TLS 1.3 uses for its shares, only changes
// what goes out).
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "dataplane/tls/client_hello.h"
#include "dataplane/tls/handshake.h"
#include "dataplane/tls/server_settings.h"
#include "dataplane/tls/ticket_keys.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::tls;

namespace {

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

void constant(std::span<std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
}

int fill(void*, unsigned char* bytes, std::size_t count) {
  constant({reinterpret_cast<std::byte*>(bytes), count});
  return 0;
}

std::shared_ptr<const ServerSettings> make_settings() {
  std::string pattern = (std::filesystem::temp_directory_path() / "nearfield-fuzz-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  mbedtls_pk_context key;
  mbedtls_pk_init(&key);
  FUZZ_CHECK(mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0);
  FUZZ_CHECK(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), fill, nullptr) == 0);
  mbedtls_x509write_cert writing;
  mbedtls_x509write_crt_init(&writing);
  mbedtls_x509write_crt_set_version(&writing, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(&writing, MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(&writing, &key);
  mbedtls_x509write_crt_set_issuer_key(&writing, &key);
  unsigned char serial = 1;
  FUZZ_CHECK(mbedtls_x509write_crt_set_subject_name(&writing, "CN=node.example") == 0);
  FUZZ_CHECK(mbedtls_x509write_crt_set_issuer_name(&writing, "CN=node.example") == 0);
  FUZZ_CHECK(mbedtls_x509write_crt_set_serial_raw(&writing, &serial, 1) == 0);
  FUZZ_CHECK(mbedtls_x509write_crt_set_validity(&writing, "20200101000000", "20991231235959") == 0);
  std::array<unsigned char, 4096> certificate{};
  std::array<unsigned char, 4096> secret{};
  FUZZ_CHECK(mbedtls_x509write_crt_pem(&writing, certificate.data(), certificate.size(), fill,
                                       nullptr) == 0);
  FUZZ_CHECK(mbedtls_pk_write_key_pem(&key, secret.data(), secret.size()) == 0);
  mbedtls_x509write_crt_free(&writing);
  mbedtls_pk_free(&key);
  const std::string file = (folder / "node.pem").string();
  std::ofstream(file) << reinterpret_cast<const char*>(certificate.data())
                      << reinterpret_cast<const char*>(secret.data());
  ServerOptions options;
  options.certificates = {{file, file}};
  options.random = constant;
  options.ticket_keys = TicketKeys::make(kNow, constant);
  auto settings = ServerSettings::make(options, kNow);
  std::filesystem::remove_all(folder);
  FUZZ_CHECK(settings.has_value());
  return *settings;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<const ServerSettings> settings = make_settings();
  if (size == 0) return 0;
  fuzz::Cutter cutter(data[0]);
  std::span<const std::byte> input = std::as_bytes(std::span(data + 1, size - 1));

  ClientHelloReader whole;
  whole.read(input);
  ClientHelloReader growing;
  const auto handshake = Handshake::server(settings);
  Handshake::Step step = Handshake::Step::need_more;
  for (std::size_t given = 0; given < input.size() && step == Handshake::Step::need_more;) {
    const std::size_t count = cutter.next(input.size() - given);
    const bool ready = handshake->feed(input.subspan(given, count));
    given += count;
    growing.read(input.first(given));
    if (ready) step = handshake->step(kNow);
    FUZZ_CHECK(handshake->take_output().size() <= Handshake::kMaximumOutputBytes);
  }
  if (growing.state() == ClientHelloReader::State::complete) {
    FUZZ_CHECK(whole.state() == ClientHelloReader::State::complete);
    FUZZ_CHECK(whole.consumed() == growing.consumed());
    FUZZ_CHECK(std::ranges::equal(whole.message(), growing.message()));
    FUZZ_CHECK(whole.hello().server_name == growing.hello().server_name);
    FUZZ_CHECK(whole.hello().suites == growing.hello().suites);
  }
  // Nobody finishes without our key share having answered theirs.
  FUZZ_CHECK(step != Handshake::Step::finished);
  if (step == Handshake::Step::failed)
    FUZZ_CHECK(handshake->failure() != HandshakeFailure::none && !handshake->message().empty());
  return 0;
}
