#include "tests/unit/dataplane/tls/handshake_test_support.h"

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/rsa.h>
#include <psa/crypto.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "CppUTest/TestHarness.h"
#include "cache/base/assert.h"
#include "dataplane/tls/record_sealer.h"

namespace nearfield::tls::test {
namespace {

int fill(void*, unsigned char* bytes, std::size_t count) {
  system_random({reinterpret_cast<std::byte*>(bytes), count});
  return 0;
}

int send_out(void* context, const unsigned char* bytes, std::size_t count) {
  auto& out = static_cast<LibraryPeer*>(context)->out;
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  out.insert(out.end(), first, first + count);
  return static_cast<int>(count);
}

int take_in(void* context, unsigned char* bytes, std::size_t count) {
  auto& in = static_cast<LibraryPeer*>(context)->in;
  const std::size_t given = std::min(count, in.size());
  if (given == 0) return MBEDTLS_ERR_SSL_WANT_READ;
  std::memcpy(bytes, in.data(), given);
  in.erase(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(given));
  return static_cast<int>(given);
}

void must(int code) { LONGS_EQUAL(0, code); }

std::string pem_of(mbedtls_pk_context& key) {
  std::array<unsigned char, 8192> text{};
  must(mbedtls_pk_write_key_pem(&key, text.data(), text.size()));
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

WallTime real_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

mbedtls_pk_context& test_key(KeyKind kind, const std::string& label) {
  // For the whole run: never freed, still reachable.
  static auto& keys = *new std::map<std::pair<KeyKind, std::string>, mbedtls_pk_context>;
  static const int started = psa_crypto_init();
  must(started);
  const auto [place, fresh] = keys.try_emplace({kind, label});
  mbedtls_pk_context& key = place->second;
  if (!fresh) return key;
  mbedtls_pk_init(&key);
  const bool rsa = kind == KeyKind::rsa1024 || kind == KeyKind::rsa2048;
  must(mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(rsa ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECKEY)));
  if (rsa) {
    must(mbedtls_rsa_gen_key(mbedtls_pk_rsa(key), fill, nullptr,
                             kind == KeyKind::rsa1024 ? 1024 : 2048, 65537));
  } else {
    const auto group = kind == KeyKind::p256   ? MBEDTLS_ECP_DP_SECP256R1
                       : kind == KeyKind::p384 ? MBEDTLS_ECP_DP_SECP384R1
                                               : MBEDTLS_ECP_DP_SECP521R1;
    must(mbedtls_ecp_gen_key(group, mbedtls_pk_ec(key), fill, nullptr));
  }
  return key;
}

TestAuthority::TestAuthority(const std::string& name)
    : name_("CN=" + name), key_(&test_key(KeyKind::p256, name)) {
  std::string pattern = (std::filesystem::temp_directory_path() / "nearfield-test-XXXXXX").string();
  folder_ = ::mkdtemp(pattern.data());
  mbedtls_x509_crt_init(&certificate_);
  mbedtls_x509write_cert writing;
  mbedtls_x509write_crt_init(&writing);
  mbedtls_x509write_crt_set_version(&writing, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(&writing, MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(&writing, key_);
  mbedtls_x509write_crt_set_issuer_key(&writing, key_);
  must(mbedtls_x509write_crt_set_subject_name(&writing, name_.c_str()));
  must(mbedtls_x509write_crt_set_issuer_name(&writing, name_.c_str()));
  unsigned char serial = 1;
  must(mbedtls_x509write_crt_set_serial_raw(&writing, &serial, 1));
  must(mbedtls_x509write_crt_set_validity(&writing, "20200101000000", "20991231235959"));
  must(mbedtls_x509write_crt_set_basic_constraints(&writing, 1, -1));
  std::array<unsigned char, 4096> pem{};
  must(mbedtls_x509write_crt_pem(&writing, pem.data(), pem.size(), fill, nullptr));
  mbedtls_x509write_crt_free(&writing);
  must(mbedtls_x509_crt_parse(&certificate_, pem.data(),
                              std::strlen(reinterpret_cast<const char*>(pem.data())) + 1));
  write("ca.pem", reinterpret_cast<const char*>(pem.data()));
}

TestAuthority::~TestAuthority() {
  mbedtls_x509_crt_free(&certificate_);
  std::filesystem::remove_all(folder_);
}

CertificateFiles TestAuthority::issue(const Request& request) {
  const std::string stem = "certificate-" + std::to_string(++issued_);
  mbedtls_pk_context& key = test_key(request.kind, request.subject);
  mbedtls_x509write_cert writing;
  mbedtls_x509write_crt_init(&writing);
  mbedtls_x509write_crt_set_version(&writing, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(&writing, MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(&writing, &key);
  mbedtls_x509write_crt_set_issuer_key(&writing, key_);
  must(mbedtls_x509write_crt_set_subject_name(&writing, request.subject.c_str()));
  must(mbedtls_x509write_crt_set_issuer_name(&writing, name_.c_str()));
  auto serial = static_cast<unsigned char>(issued_ + 1);
  must(mbedtls_x509write_crt_set_serial_raw(&writing, &serial, 1));
  must(mbedtls_x509write_crt_set_validity(&writing, request.not_before.c_str(),
                                          request.not_after.c_str()));
  must(mbedtls_x509write_crt_set_basic_constraints(&writing, 0, -1));
  if (request.key_usage != 0)
    must(mbedtls_x509write_crt_set_key_usage(&writing, request.key_usage));
  if (request.is_for_signing_code) {
    const char* oid = MBEDTLS_OID_CODE_SIGNING;
    mbedtls_asn1_sequence use{};
    use.buf.tag = MBEDTLS_ASN1_OID;
    use.buf.len = std::strlen(oid);
    use.buf.p = reinterpret_cast<unsigned char*>(const_cast<char*>(oid));
    must(mbedtls_x509write_crt_set_ext_key_usage(&writing, &use));
  }
  std::vector<std::string> values = request.names;
  values.insert(values.end(), request.addresses.begin(), request.addresses.end());
  std::vector<mbedtls_x509_san_list> list(values.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    list[i] = {};
    list[i].node.type =
        i < request.names.size() ? MBEDTLS_X509_SAN_DNS_NAME : MBEDTLS_X509_SAN_IP_ADDRESS;
    list[i].node.san.unstructured_name.p = reinterpret_cast<unsigned char*>(values[i].data());
    list[i].node.san.unstructured_name.len = values[i].size();
    list[i].next = i + 1 < list.size() ? &list[i + 1] : nullptr;
  }
  if (!list.empty())
    must(mbedtls_x509write_crt_set_subject_alternative_name(&writing, list.data()));
  std::array<unsigned char, 4096> pem{};
  must(mbedtls_x509write_crt_pem(&writing, pem.data(), pem.size(), fill, nullptr));
  mbedtls_x509write_crt_free(&writing);
  const CertificateFiles files{write(stem + ".pem", reinterpret_cast<const char*>(pem.data())),
                               write(stem + ".key", pem_of(key))};
  std::filesystem::permissions(
      files.key, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return files;
}

CertificateFiles TestAuthority::host(const std::string& name, KeyKind kind,
                                     const std::vector<std::string>& more_names) {
  Request request;
  request.subject = "CN=" + name;
  request.names = {name};
  request.names.insert(request.names.end(), more_names.begin(), more_names.end());
  request.kind = kind;
  return issue(request);
}

std::string TestAuthority::ca_file() const { return file("ca.pem"); }
std::string TestAuthority::file(const std::string& name) const { return (folder_ / name).string(); }

std::string TestAuthority::write(const std::string& name, std::string_view content) const {
  std::ofstream(file(name), std::ios::binary) << content;
  return file(name);
}

std::string TestAuthority::read(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

LibraryPeer::LibraryPeer(int endpoint) {
  static const int started = psa_crypto_init();
  must(started);
  mbedtls_ssl_config_init(&config_);
  mbedtls_ssl_init(&ssl_);
  mbedtls_ssl_session_init(&session_);
  must(mbedtls_ssl_config_defaults(&config_, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                   MBEDTLS_SSL_PRESET_DEFAULT));
  mbedtls_ssl_conf_rng(&config_, fill, nullptr);
  mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_OPTIONAL);
  mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
      &config_, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
}

LibraryPeer::~LibraryPeer() {
  mbedtls_ssl_free(&ssl_);
  mbedtls_ssl_config_free(&config_);
  mbedtls_ssl_session_free(&session_);
}

void LibraryPeer::versions(mbedtls_ssl_protocol_version lowest,
                           mbedtls_ssl_protocol_version highest) {
  mbedtls_ssl_conf_min_tls_version(&config_, lowest);
  mbedtls_ssl_conf_max_tls_version(&config_, highest);
}

void LibraryPeer::suites(std::vector<int> list) {
  suites_ = std::move(list);
  suites_.push_back(0);
  mbedtls_ssl_conf_ciphersuites(&config_, suites_.data());
}

void LibraryPeer::groups(std::vector<std::uint16_t> list) {
  groups_ = std::move(list);
  groups_.push_back(0);
  mbedtls_ssl_conf_groups(&config_, groups_.data());
}

void LibraryPeer::signatures(std::vector<std::uint16_t> list) {
  signatures_ = std::move(list);
  signatures_.push_back(0);
  mbedtls_ssl_conf_sig_algs(&config_, signatures_.data());
}

void LibraryPeer::protocols(std::vector<std::string> list) {
  protocols_ = std::move(list);
  protocol_pointers_.clear();
  for (const std::string& protocol : protocols_) protocol_pointers_.push_back(protocol.c_str());
  protocol_pointers_.push_back(nullptr);
  must(mbedtls_ssl_conf_alpn_protocols(&config_, protocol_pointers_.data()));
}

void LibraryPeer::trust(mbedtls_x509_crt& authority) {
  mbedtls_ssl_conf_ca_chain(&config_, &authority, nullptr);
  mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_REQUIRED);
}

void LibraryPeer::own_certificate(const CertificateFiles& files) {
  std::vector<std::string> warnings;
  auto loaded = Certificate::load(files, real_now(), warnings);
  CHECK_TRUE(loaded.has_value());
  own_.push_back(*loaded);
  must(mbedtls_ssl_conf_own_cert(&config_, own_.back()->chain(), own_.back()->key()));
}

void LibraryPeer::start(const std::string& host) {
  must(mbedtls_ssl_setup(&ssl_, &config_));
  must(mbedtls_ssl_set_hostname(&ssl_, host.empty() ? nullptr : host.c_str()));
  mbedtls_ssl_set_bio(&ssl_, this, send_out, take_in, nullptr);
}

int LibraryPeer::handshake() {
  return mbedtls_ssl_is_handshake_over(&ssl_) ? 0 : mbedtls_ssl_handshake(&ssl_);
}

bool LibraryPeer::write(std::string_view text) {
  return mbedtls_ssl_write(&ssl_, reinterpret_cast<const unsigned char*>(text.data()),
                           text.size()) == static_cast<int>(text.size());
}

std::string LibraryPeer::read() {
  std::string text;
  for (int left = 100; left > 0; --left) {
    std::array<unsigned char, 17000> plain{};
    const int count = mbedtls_ssl_read(&ssl_, plain.data(), plain.size());
    if (count == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
      mbedtls_ssl_session_free(&session_);
      mbedtls_ssl_session_init(&session_);
      must(mbedtls_ssl_get_session(&ssl_, &session_));
      has_session_ = true;
      continue;
    }
    if (count == MBEDTLS_ERR_SSL_WANT_READ && in.empty()) return text;
    if (count == MBEDTLS_ERR_SSL_WANT_READ) continue;  // after a ticket
    if (count <= 0) return text + "!";
    text.append(reinterpret_cast<const char*>(plain.data()), static_cast<std::size_t>(count));
  }
  return text;
}

std::string LibraryPeer::peer_subject() const {
  const mbedtls_x509_crt* peer = mbedtls_ssl_get_peer_cert(&ssl_);
  if (peer == nullptr) return {};
  std::array<char, 256> text{};
  mbedtls_x509_dn_gets(text.data(), text.size(), &peer->subject);
  return text.data();
}

Bytes LibraryPeer::session() {
  if (!has_session_ &&
      mbedtls_ssl_get_version_number(&ssl_) == MBEDTLS_SSL_VERSION_TLS1_2)  // TLS 1.3: in read()
    has_session_ = mbedtls_ssl_get_session(&ssl_, &session_) == 0;
  if (!has_session_) return {};
  std::size_t count = 0;
  mbedtls_ssl_session_save(&session_, nullptr, 0, &count);
  Bytes saved(count);
  must(mbedtls_ssl_session_save(&session_, reinterpret_cast<unsigned char*>(saved.data()),
                                saved.size(), &count));
  return saved;
}

void LibraryPeer::resume(const Bytes& session) {
  must(mbedtls_ssl_session_load(&session_, reinterpret_cast<const unsigned char*>(session.data()),
                                session.size()));
  must(mbedtls_ssl_set_session(&ssl_, &session_));
}

Handshake::Step converse(Handshake& ours, LibraryPeer& peer, std::size_t cut) {
  Handshake::Step step = Handshake::Step::need_more;
  for (int turn = 0; turn < 100; ++turn) {
    const int theirs = peer.handshake();
    bool moved = false;
    while (!peer.out.empty() && step == Handshake::Step::need_more) {
      const std::size_t count = cut == 0 ? peer.out.size() : std::min(cut, peer.out.size());
      const bool ready = ours.feed(std::span(peer.out).first(count));
      peer.out.erase(peer.out.begin(), peer.out.begin() + static_cast<std::ptrdiff_t>(count));
      if (ready) step = ours.step(real_now());
      moved = true;
    }
    if (ours.is_client() && turn == 0) step = ours.step(real_now());
    const Bytes answer = ours.take_output();
    moved = moved || !answer.empty();
    peer.in.insert(peer.in.end(), answer.begin(), answer.end());
    if (!moved && (theirs == 0 || theirs != MBEDTLS_ERR_SSL_WANT_READ || turn > 3)) break;
  }
  return step;
}

Both converse(Handshake& server, Handshake& client) {
  Both both{Handshake::Step::need_more, client.step(real_now())};
  for (int turn = 0; turn < 100; ++turn) {
    const Bytes to_server = client.take_output();
    if (!to_server.empty() && server.feed(to_server) && both.server == Handshake::Step::need_more)
      both.server = server.step(real_now());
    const Bytes to_client = server.take_output();
    if (!to_client.empty() && client.feed(to_client) && both.client == Handshake::Step::need_more)
      both.client = client.step(real_now());
    if (to_server.empty() && to_client.empty()) break;
  }
  return both;
}

Records::Records(Handshake& finished)
    : secrets_(finished.take_secrets()), is_server_(!finished.is_client()) {
  opener_ = std::make_unique<RecordOpener>(workspace_, secrets_, is_server_);
}

Bytes Records::seal(std::string_view text) {
  const AeadEngine& engine = AeadEngine::mbedtls();
  ExpandedKey key;
  engine.expand(secrets_.aead, std::span(secrets_.send.key).first(key_bytes(secrets_.aead)), key);
  Bytes out(text.size() + 64);
  const iovec piece{const_cast<char*>(text.data()), text.size()};
  out.resize(seal_record(engine, secrets_.version, secrets_.aead, key, secrets_.send.iv,
                         secrets_.send.next_sequence++, ContentType::application_data,
                         std::span(&piece, 1), out.data()));
  return out;
}

std::string Records::open(std::span<const std::byte> bytes) {
  std::string text;
  for (;;) {
    const RecordOpener::Step step = opener_->feed(bytes);
    bytes = bytes.subspan(step.consumed);
    if (step.event == RecordOpener::Event::need_more) return text;
    if (step.event == RecordOpener::Event::application_data)
      text.append(reinterpret_cast<const char*>(step.data.data()), step.data.size());
    else
      return text + "!";
  }
}

void check_data(Handshake& finished, LibraryPeer& peer) {
  Bytes leftover = finished.take_leftover();
  Records records(finished);
  STRCMP_EQUAL("", records.open(leftover).c_str());
  for (const std::string_view text : {"first", "second"}) {
    const Bytes sealed = records.seal(text);
    peer.in.insert(peer.in.end(), sealed.begin(), sealed.end());
    STRCMP_EQUAL(std::string(text).c_str(), peer.read().c_str());
    CHECK_TRUE(peer.write(text));
    STRCMP_EQUAL(std::string(text).c_str(), records.open(peer.out).c_str());
    peer.out.clear();
  }
}

std::shared_ptr<const ServerSettings> server_settings(const ServerOptions& options) {
  auto made = ServerSettings::make(options, real_now());
  if (!made) FAIL(made.error().message.c_str());
  return *made;
}

std::shared_ptr<const ClientSettings> client_settings(const ClientOptions& options) {
  auto made = ClientSettings::make(options, real_now());
  if (!made) FAIL(made.error().message.c_str());
  return *made;
}

}  // namespace nearfield::tls::test
