// Why a peer's certificate was refused, in words for whoever has to mend it: the library's flags
// are merged over the whole chain, and its texts name neither what was expected nor what was shown.
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/tls/handshake_parts.h"

namespace nearfield::tls {
namespace {

constexpr std::size_t kShownNames = 5;

struct Fault {
  std::uint32_t flag;
  std::string_view text;
};

constexpr std::array<Fault, 9> kFaults = {{
    {MBEDTLS_X509_BADCERT_EXPIRED, "it or a certificate above it has expired"},
    {MBEDTLS_X509_BADCERT_FUTURE,
     "it or a certificate above it is not valid yet: is the clock right?"},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED,
     "it is not signed by an authority that is trusted here, or the peer leaves out an "
     "intermediate certificate"},
    {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE,
     "it is made for something else: its extended key usage does not name what it is used for"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE,
     "it is made for something else: its key usage does not allow handshakes (digitalSignature)"},
    {MBEDTLS_X509_BADCERT_NS_CERT_TYPE, "it is made for something else, by its Netscape type"},
    {MBEDTLS_X509_BADCERT_BAD_MD, "it is signed by way of a hash that is not safe any more"},
    {MBEDTLS_X509_BADCERT_BAD_PK, "it is signed by a kind of key that is not accepted"},
    {MBEDTLS_X509_BADCERT_BAD_KEY,
     "its key or one above it is too weak or of an unusual kind: use ECDSA on P-256 or P-384, or "
     "RSA of 2048 bits"},
}};

// What a stranger wrote goes to logs.
std::string printable(const mbedtls_x509_buf& text) {
  std::string result;
  for (std::size_t i = 0; i < std::min<std::size_t>(text.len, 253); ++i) {
    const unsigned char byte = text.p[i];
    result.push_back(byte > ' ' && byte < 0x7f ? static_cast<char>(byte) : '?');
  }
  return result;
}

std::string address_text(const mbedtls_x509_buf& bytes) {
  std::string text;
  if (bytes.len == 4) {
    return std::format("{}.{}.{}.{}", bytes.p[0], bytes.p[1], bytes.p[2], bytes.p[3]);
  }
  for (std::size_t i = 0; i + 1 < bytes.len && i < 16; i += 2) {
    text += std::format("{}{:x}", i == 0 ? "" : ":", bytes.p[i] << 8 | bytes.p[i + 1]);
  }
  const auto address = net::Address::parse(text);
  return address ? address->text() : text;
}

}  // namespace

std::string certificate_subject(const mbedtls_x509_crt& certificate) {
  std::array<char, 512> text{};
  const int length = mbedtls_x509_dn_gets(text.data(), text.size(), &certificate.subject);
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : std::string();
}

std::string certificate_names(const mbedtls_x509_crt& certificate) {
  std::string names;
  std::size_t count = 0;
  for (const mbedtls_x509_sequence* entry = &certificate.subject_alt_names;
       entry != nullptr && entry->buf.p != nullptr; entry = entry->next) {
    mbedtls_x509_subject_alternative_name name{};
    if (mbedtls_x509_parse_subject_alt_name(&entry->buf, &name) != 0) continue;
    std::string text;
    if (name.type == MBEDTLS_X509_SAN_DNS_NAME) text = printable(name.san.unstructured_name);
    if (name.type == MBEDTLS_X509_SAN_IP_ADDRESS) text = address_text(name.san.unstructured_name);
    mbedtls_x509_free_subject_alt_name(&name);
    if (text.empty()) continue;
    if (++count <= kShownNames) names += (names.empty() ? "" : ", ") + text;
  }
  if (count > kShownNames) names += std::format(" and {} more", count - kShownNames);
  return names;
}

std::string verification_text(std::uint32_t flags, std::string_view expected,
                              std::string_view names) {
  std::string line;
  const auto add = [&](std::string_view text) {
    if (!line.empty()) line += "; ";
    line += text;
  };
  if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) {
    add(names.empty() ? std::format("it is not for '{}': it has no subject alternative name for a "
                                    "host, and its Common Name does not count (RFC 9525)",
                                    expected)
                      : std::format("it is not for '{}' but for {}", expected, names));
    flags &= ~static_cast<std::uint32_t>(MBEDTLS_X509_BADCERT_CN_MISMATCH);
  }
  for (const Fault& fault : kFaults) {
    if ((flags & fault.flag) == 0) continue;
    add(fault.text);
    flags &= ~fault.flag;
  }
  if (flags == 0) return line;
  std::array<char, 1024> text{};
  mbedtls_x509_crt_verify_info(text.data(), text.size(), "", flags);
  std::string rest(text.data());
  while (rest.ends_with('\n')) rest.pop_back();
  std::ranges::replace(rest, '\n', ';');
  add(rest);
  return line;
}

// The library falls back to the Common Name of a certificate without the extension, which RFC 9525
// 2 and 6.3 leave no room for: what an authority has checked are the names in the extension.
int verify_server_certificate(void*, mbedtls_x509_crt* certificate, int depth,
                              std::uint32_t* flags) {
  if (depth != 0) return 0;
  Handshake::Parts* parts = current_handshake();
  NEARFIELD_ASSERT(parts != nullptr);
  parts->peer_names = certificate_names(*certificate);
  if (mbedtls_x509_crt_has_ext_type(certificate, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) == 0) {
    *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  }
  return 0;
}

}  // namespace nearfield::tls
