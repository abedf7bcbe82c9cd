// What certificates say of whom they belong to, and why one of a peer was refused, in words for
// whoever has to mend it: the library's flags are merged over the whole chain, and its texts name
// neither what was expected nor what was shown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct mbedtls_x509_crt;

namespace nearfield::tls {

// A host of the subject alternative name extension; other kinds of names are left out.
struct AlternativeName {
  bool is_address = false;
  std::string value;  // as it stands there: DNS name, or 4 or 16 bytes of an address
};
std::vector<AlternativeName> alternative_names(const mbedtls_x509_crt& certificate);

// "CN=..." of a certificate.
std::string certificate_subject(const mbedtls_x509_crt& certificate);

// The hosts and addresses it is for, the first five; empty: none.
std::string certificate_names(const mbedtls_x509_crt& certificate);

// Why a certificate is refused, in one line. `flags`: the library's (MBEDTLS_X509_BADCERT_...). Of
// a server: which host was `expected`, and the `names` it has (certificate_names()).
std::string verification_text(std::uint32_t flags, std::string_view expected = {},
                              std::string_view names = {});

// The library's callback for a server's chain, within a step.
int verify_server_certificate(void*, mbedtls_x509_crt* certificate, int depth,
                              std::uint32_t* flags);

}  // namespace nearfield::tls
