#include "dataplane/tls/verification.h"

#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <array>
#include <format>
#include <ranges>

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
std::string printable(std::string_view text) {
  std::string result(text.substr(0, 253));
  std::ranges::replace_if(result, [](char byte) { return byte <= ' ' || byte > '~'; }, '?');
  return result;
}

std::string address_text(std::string_view bytes) {
  net::Address address;
  if (bytes.size() != 4 && bytes.size() != address.bytes.size())
    return std::format("an address of {} bytes", bytes.size());
  if (bytes.size() == 4) address.bytes[10] = address.bytes[11] = 0xff;
  std::ranges::copy(bytes, address.bytes.end() - static_cast<std::ptrdiff_t>(bytes.size()));
  return address.text();
}

}  // namespace

// The extension's content stays in DER in the library's list: tag and value of each name.
std::vector<AlternativeName> alternative_names(const mbedtls_x509_crt& certificate) {
  std::vector<AlternativeName> names;
  for (const mbedtls_x509_sequence* entry = &certificate.subject_alt_names;
       entry != nullptr && entry->buf.p != nullptr; entry = entry->next) {
    mbedtls_x509_subject_alternative_name name{};
    if (mbedtls_x509_parse_subject_alt_name(&entry->buf, &name) != 0) continue;
    const bool is_address = name.type == MBEDTLS_X509_SAN_IP_ADDRESS;
    if (is_address || name.type == MBEDTLS_X509_SAN_DNS_NAME) {
      const mbedtls_x509_buf& value = name.san.unstructured_name;
      if (value.len > 0)
        names.push_back({is_address, {reinterpret_cast<const char*>(value.p), value.len}});
    }
    mbedtls_x509_free_subject_alt_name(&name);
  }
  return names;
}

std::string certificate_subject(const mbedtls_x509_crt& certificate) {
  std::array<char, 512> text{};
  const int length = mbedtls_x509_dn_gets(text.data(), text.size(), &certificate.subject);
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : std::string();
}

std::string certificate_names(const mbedtls_x509_crt& certificate) {
  const std::vector<AlternativeName> names = alternative_names(certificate);
  std::string text;
  for (const AlternativeName& name : names | std::views::take(kShownNames)) {
    if (!text.empty()) text += ", ";
    text += name.is_address ? address_text(name.value) : printable(name.value);
  }
  if (names.size() > kShownNames) text += std::format(" and {} more", names.size() - kShownNames);
  return text;
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
  if (mbedtls_x509_crt_has_ext_type(certificate, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) == 0) {
    *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  }
  if ((*flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) == 0) return 0;
  Handshake::Parts* parts = current_handshake();
  NEARFIELD_ASSERT(parts != nullptr);
  parts->peer_names = certificate_names(*certificate);
  return 0;
}

}  // namespace nearfield::tls
