// What only a server's handshake does: look at the ClientHello first, choose the certificate, write
// and read tickets.
#include <mbedtls/platform_util.h>
#include <mbedtls/ssl.h>

#include <algorithm>
#include <format>

#include "cache/base/assert.h"
#include "dataplane/tls/aead.h"
#include "dataplane/tls/handshake_parts.h"
#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/library.h"
#include "dataplane/tls/record_sealer.h"
#include "dataplane/tls/server_settings_parts.h"
#include "dataplane/tls/suites.h"
#include "dataplane/tls/ticket_keys.h"
#include "dataplane/tls/verification.h"

namespace nearfield::tls {
namespace {

constexpr std::chrono::seconds kClockDifference{60};  // among the nodes of a site

int certificate_callback(mbedtls_ssl_context* ssl) {
  return static_cast<Handshake::Parts*>(mbedtls_ssl_get_user_data_p(ssl))->choose_certificate();
}

int ticket_write_callback(void*, const mbedtls_ssl_session* session, unsigned char* start,
                          const unsigned char* end, std::size_t* bytes, std::uint32_t* lifetime) {
  return current_handshake()->write_ticket(
      *session, {reinterpret_cast<std::byte*>(start), static_cast<std::size_t>(end - start)},
      *bytes, *lifetime);
}

int ticket_parse_callback(void*, mbedtls_ssl_session* session, unsigned char* bytes,
                          std::size_t count) {
  return current_handshake()->read_ticket(*session, as_bytes(bytes, count));
}

Version version_of(const mbedtls_ssl_context& ssl) {
  return mbedtls_ssl_get_version_number(&ssl) == MBEDTLS_SSL_VERSION_TLS1_3 ? Version::tls13
                                                                            : Version::tls12;
}

}  // namespace

void install_server_callbacks(mbedtls_ssl_config* config, bool tickets) {
  mbedtls_ssl_conf_cert_cb(config, certificate_callback);
  // The context pointer only has to be something: the callbacks find their handshake themselves.
  if (tickets)
    mbedtls_ssl_conf_session_tickets_cb(config, ticket_write_callback, ticket_parse_callback,
                                        config);
}

Handshake::Step Handshake::Parts::begin_server() {
  switch (hello.state()) {
    case ClientHelloReader::State::need_more:
      if (ended)
        return fail(HandshakeFailure::ended, std::nullopt, "the peer closed before a ClientHello");
      return Step::need_more;
    case ClientHelloReader::State::refused:
      return fail(hello.failure(), hello.alert(), std::string(hello.reason()));
    case ClientHelloReader::State::complete:
      break;
  }
  const ServerSettings::Parts& settings = server->parts();
  const ClientHello& seen = hello.hello();
  if (!seen.tls13 && !settings.options.tls12)
    return fail(HandshakeFailure::version, AlertDescription::protocol_version,
                "the client does not speak TLS 1.3");
  if (!seen.tls13 && seen.fallback)  // RFC 7507 3
    return fail(HandshakeFailure::version, AlertDescription::inappropriate_fallback,
                "the client fell back to TLS 1.2 though both sides know TLS 1.3");

  // The message again in one record, then what came after it.
  const std::span<const std::byte> first = hello.message();
  std::vector<std::byte> framed;
  framed.reserve(5 + first.size() + input.size() - hello.consumed());
  for (const std::size_t byte :
       {std::size_t{22}, std::size_t{3}, std::size_t{1}, first.size() >> 8, first.size() & 0xff})
    framed.push_back(static_cast<std::byte>(byte));
  framed.insert(framed.end(), first.begin(), first.end());
  framed.insert(framed.end(), input.begin() + static_cast<std::ptrdiff_t>(hello.consumed()),
                input.end());
  input = std::move(framed);
  hello.drop_message();
  // TLS 1.3 is always agreed to where it is offered.
  if (seen.tls13 && seen.early_data) early_data.expect();
  return set_up(settings.config_for(seen).get());
}

// In every ClientHello, after its extensions (tickets included) were read.
int Handshake::Parts::choose_certificate() {
  std::size_t count = 0;
  const unsigned char* name = mbedtls_ssl_get_hs_sni(&ssl, &count);
  // A second ClientHello must repeat the first (RFC 8446 4.1.2).
  if (normal_server_name(name == nullptr ? std::span<const std::byte>() : as_bytes(name, count)) !=
      hello.hello().server_name)
    return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
  if (accepted.has_value()) wipe(accepted->key);
  accepted = candidate;
  if (candidate.has_value()) wipe(candidate->key);
  candidate.reset();

  const Certificate* certificate =
      server->parts().choose(hello.hello(), version_of(ssl) == Version::tls13);
  NEARFIELD_ASSERT(certificate != nullptr);
  int code = mbedtls_ssl_set_hs_own_cert(&ssl, nullptr, nullptr);
  if (code == 0) code = mbedtls_ssl_set_hs_own_cert(&ssl, certificate->chain(), certificate->key());
  return code;
}

// The handshake keys exist, so the library has decided whether it resumes.
void Handshake::Parts::settle_resumption() {
  if (!accepted.has_value()) return;
  if (version_of(ssl) == Version::tls12) {
    resumed = true;
    return;
  }
  // In TLS 1.3 it may have refused a ticket that was fine to us (its age, a second ClientHello):
  // resumed is what has that ticket's key.
  const mbedtls_ssl_session* session = ssl.MBEDTLS_PRIVATE(session_negotiate);
  resumed =
      session != nullptr && accepted->key_bytes > 0 &&
      session->MBEDTLS_PRIVATE(resumption_key_len) == accepted->key_bytes &&
      std::ranges::equal(as_bytes(session->MBEDTLS_PRIVATE(resumption_key), accepted->key_bytes),
                         std::span(accepted->key).first(accepted->key_bytes));
}

const Suite* Handshake::Parts::agreed_suite() const {
  const mbedtls_ssl_session* session = ssl.MBEDTLS_PRIVATE(session_negotiate);
  return session == nullptr ? nullptr : find_suite(mbedtls_ssl_session_get_ciphersuite_id(session));
}

bool Handshake::Parts::is_behind_finished() {
  return is_server() && started && exported.complete && version_of(ssl) == Version::tls13 &&
         mbedtls_ssl_is_handshake_over(&ssl) == 0;
}

void Handshake::Parts::send_application_alert(AlertDescription description) {
  const Suite* suite = agreed_suite();
  if (suite == nullptr) return;
  const AeadEngine& engine = AeadEngine::choose(nullptr);
  const TrafficKeys keys = traffic_keys(suite->aead, suite->hash,
                                        std::span(exported.server).first(hash_bytes(suite->hash)));
  ExpandedKey expanded;
  engine.expand(suite->aead, std::span(keys.key).first(key_bytes(suite->aead)), expanded);
  std::array<std::byte, 2> content = {static_cast<std::byte>(AlertLevel::fatal),
                                      static_cast<std::byte>(description)};
  const iovec piece = {.iov_base = content.data(), .iov_len = content.size()};
  const std::size_t before = output.size();
  output.resize(before + sealed_bytes(Version::tls13, suite->aead, content.size()));
  // The first record under these keys, and the last.
  seal_record(engine, Version::tls13, suite->aead, expanded, keys.iv, keys.next_sequence,
              ContentType::alert, {&piece, 1}, output.data() + before);
}

void Handshake::Parts::tell_early_data(std::span<const std::byte> client_secret) {
  const Suite* suite = agreed_suite();
  if (suite != nullptr) early_data.use_secret(suite->aead, suite->hash, client_secret);
}

int Handshake::Parts::write_ticket(const mbedtls_ssl_session& session, std::span<std::byte> place,
                                   std::size_t& bytes, std::uint32_t& lifetime) {
  const ServerSettings::Parts& settings = server->parts();
  std::size_t needed = 0;
  mbedtls_ssl_session_save(&session, nullptr, 0, &needed);
  std::vector<std::byte> saved(needed);
  const int code =
      mbedtls_ssl_session_save(&session, as_chars(saved.data()), saved.size(), &needed);
  if (code != 0) return code;
  SessionTicket ticket;
  ticket.binding = settings.binding_for(hello.hello(), version_of(ssl));
  ticket.created = now;
  ticket.full_handshake = now;
  // In TLS 1.2 the ticket is written before the session becomes the connection's.
  const mbedtls_x509_crt* peer = session.MBEDTLS_PRIVATE(peer_cert);
  if (resumed && accepted.has_value()) {
    ticket.peer_certificate = accepted->peer_certificate;
    ticket.full_handshake = accepted->full_handshake;
    ticket.peer_not_after = accepted->peer_not_after;
  } else if (peer != nullptr && session.MBEDTLS_PRIVATE(verify_result) == 0) {
    ticket.peer_certificate = certificate_subject(*peer);
    ticket.peer_not_after = wall_time(peer->valid_to);
  }
  ticket.session = saved;
  std::vector<std::byte> content = encode(ticket);
  bytes = settings.options.ticket_keys->seal(now, content, place);
  wipe(content);
  wipe(saved);
  if (bytes == 0) return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
  // At least a second: 0 would mean no limit in TLS 1.2 (RFC 5077 5.6).
  lifetime = static_cast<std::uint32_t>(std::clamp<std::chrono::seconds>(session_end(ticket) - now,
                                                                         std::chrono::seconds(1),
                                                                         TicketKeys::kLifetime)
                                            .count());
  return 0;
}

int Handshake::Parts::read_ticket(mbedtls_ssl_session& session, std::span<const std::byte> ticket) {
  const ServerSettings::Parts& settings = server->parts();
  const Version version = version_of(ssl);
  const ClientHello& seen = hello.hello();
  if (version == Version::tls13 && !seen.psk_with_ephemeral) return MBEDTLS_ERR_SSL_INVALID_MAC;
  std::vector<std::byte> content(ticket.size());
  std::size_t bytes = 0;
  if (settings.options.ticket_keys->open(now, ticket, content, bytes) ==
      TicketKeys::Opened::refused)
    return MBEDTLS_ERR_SSL_INVALID_MAC;
  const auto refuse = [&] {
    wipe(content);
    return MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
  };
  const std::optional<SessionTicket> opened = decode(std::span(content).first(bytes));
  if (!opened.has_value() || opened->binding != settings.binding_for(seen, version))
    return refuse();
  if (now < opened->created - kClockDifference || now > opened->created + TicketKeys::kLifetime ||
      now > session_end(*opened))
    return refuse();
  if (mbedtls_ssl_session_load(&session, as_chars(opened->session.data()),
                               opened->session.size()) != 0)
    return refuse();
  // The library ends a handshake of TLS 1.3 when the suite of a ticket it took is not on the table;
  // better to take another suite and start anew.
  const int suite = mbedtls_ssl_session_get_ciphersuite_id(&session);
  const std::vector<int>& suites = settings.config_for(seen).suites();
  if (find_suite(suite) == nullptr || !std::ranges::contains(suites, suite) ||
      !seen.offers(static_cast<std::uint16_t>(suite))) {
    mbedtls_ssl_session_free(&session);
    mbedtls_ssl_session_init(&session);
    return refuse();
  }
  Accepted taken;
  taken.peer_certificate = opened->peer_certificate;
  taken.full_handshake = opened->full_handshake;
  taken.peer_not_after = opened->peer_not_after;
  if (version == Version::tls13) {
    // In the library's clock, which is this machine's uptime.
    const auto age = std::max(now - opened->created, std::chrono::seconds(0));
    session.MBEDTLS_PRIVATE(ticket_creation_time) =
        mbedtls_ms_time() - std::chrono::milliseconds(age).count();
    taken.key_bytes =
        std::min<std::size_t>(session.MBEDTLS_PRIVATE(resumption_key_len), taken.key.size());
    std::ranges::copy(as_bytes(session.MBEDTLS_PRIVATE(resumption_key), taken.key_bytes),
                      taken.key.begin());
  }
  candidate = taken;
  wipe(taken.key);
  wipe(content);
  return 0;
}

std::string Handshake::Parts::check_client_certificate() {
  const mbedtls_x509_crt* peer = mbedtls_ssl_get_peer_cert(&ssl);
  if (server->parts().options.client_certificates == ClientCertificates::none || resumed ||
      peer == nullptr)
    return {};
  // An optional certificate may be missing, not wrong.
  if (const std::uint32_t flags = mbedtls_ssl_get_verify_result(&ssl); flags != 0)
    return std::format("the client's certificate is not trusted: {}", verification_text(flags));
  security.peer_certificate = certificate_subject(*peer);
  return {};
}

}  // namespace nearfield::tls
