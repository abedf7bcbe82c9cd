// What the tests of handshakes share: a certification authority made for one run, a peer that is
// the plain library (so that our side is proven against someone else's record layer), and our
// records on top of a finished handshake.
#pragma once

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/tls/certificate.h"
#include "dataplane/tls/client_settings.h"
#include "dataplane/tls/handshake.h"
#include "dataplane/tls/record_opener.h"
#include "dataplane/tls/server_settings.h"
#include "dataplane/tls/ticket_keys.h"

namespace nearfield::tls::test {

using Bytes = std::vector<std::byte>;

// What the tests call now: the library itself reads the real clock when it verifies.
WallTime real_now();

enum class KeyKind { p256, p384, p521, rsa1024, rsa2048 };

// A private key, made once a run for each kind and label.
mbedtls_pk_context& test_key(KeyKind kind, const std::string& label);

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "Test Authority");
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  struct Request {
    std::string subject = "CN=node.example";
    std::vector<std::string> names = {};      // DNS
    std::vector<std::string> addresses = {};  // IPv4, four bytes each
    KeyKind kind = KeyKind::p256;
    std::string not_before = "20200101000000";
    std::string not_after = "20991231235959";
    bool is_for_signing_code = false;  // extended key usage; otherwise there is none
    unsigned key_usage = 0;            // MBEDTLS_X509_KU_...; 0: not said
  };
  // Two files in this authority's folder.
  CertificateFiles issue(const Request& request);
  // Shorthand: a host with these names.
  CertificateFiles host(const std::string& name, KeyKind kind = KeyKind::p256,
                        const std::vector<std::string>& more_names = {});

  std::string ca_file() const;
  std::string file(const std::string& name) const;
  std::string write(const std::string& name, std::string_view content) const;
  static std::string read(const std::string& file);
  mbedtls_x509_crt& certificate() { return certificate_; }

 private:
  std::filesystem::path folder_;
  std::string name_;
  mbedtls_pk_context* key_;
  mbedtls_x509_crt certificate_;
  int issued_ = 0;
};

// The library alone, over two strings of bytes.
class LibraryPeer {
 public:
  explicit LibraryPeer(int endpoint);
  ~LibraryPeer();
  LibraryPeer(const LibraryPeer&) = delete;
  LibraryPeer& operator=(const LibraryPeer&) = delete;

  mbedtls_ssl_config* config() { return &config_; }
  mbedtls_ssl_context* ssl() { return &ssl_; }
  void versions(mbedtls_ssl_protocol_version lowest, mbedtls_ssl_protocol_version highest);
  void suites(std::vector<int> list);
  void groups(std::vector<std::uint16_t> list);
  void signatures(std::vector<std::uint16_t> list);
  void protocols(std::vector<std::string> list);
  void trust(mbedtls_x509_crt& authority);  // otherwise nothing is verified
  void own_certificate(const CertificateFiles& files);

  // After the configuration. `host` empty: no SNI.
  void start(const std::string& host);
  // 0: done; MBEDTLS_ERR_SSL_WANT_READ: needs more.
  int handshake();
  bool write(std::string_view text);
  std::string read();  // what is there; tickets are taken on the way
  std::string peer_subject() const;

  Bytes in;   // to the library
  Bytes out;  // from it
  // The last session a ticket came for, serialised; empty: none.
  Bytes session();
  void resume(const Bytes& session);

 private:
  std::vector<int> suites_;
  std::vector<std::uint16_t> groups_;
  std::vector<std::uint16_t> signatures_;
  std::vector<std::string> protocols_;
  std::vector<const char*> protocol_pointers_;
  std::vector<std::shared_ptr<const Certificate>> own_;
  mbedtls_ssl_config config_;
  mbedtls_ssl_context ssl_;
  mbedtls_ssl_session session_;
  bool has_session_ = false;
};

// Runs both until ours is finished or failed and nothing is on its way. `cut`: bytes given to our
// side at once, 0: all.
Handshake::Step converse(Handshake& ours, LibraryPeer& peer, std::size_t cut = 0);
// Two of ours.
struct Both {
  Handshake::Step server;
  Handshake::Step client;
};
Both converse(Handshake& server, Handshake& client);

// Our records after a finished handshake.
class Records {
 public:
  explicit Records(Handshake& finished);
  Bytes seal(std::string_view text);
  // Plain text of all application data; "!" at an error.
  std::string open(std::span<const std::byte> bytes);

 private:
  ConnectionSecrets secrets_;
  bool is_server_;
  RecordOpener::Workspace workspace_{AeadEngine::mbedtls()};
  std::unique_ptr<RecordOpener> opener_;
};

// Data both ways between our records and the library: what proves keys and sequence numbers.
void check_data(Handshake& finished, LibraryPeer& peer);

std::shared_ptr<const ServerSettings> server_settings(const ServerOptions& options);
std::shared_ptr<const ClientSettings> client_settings(const ClientOptions& options);

}  // namespace nearfield::tls::test
