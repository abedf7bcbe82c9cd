#include <array>
#include <utility>

#include "dataplane/tls/suites.h"

namespace nearfield::tls {

std::string_view alert_text(int alert) {
  // RFC 8446 6, RFC 5246 7.2, RFC 6066, RFC 7301.
  constexpr std::array<std::pair<int, std::string_view>, 30> kAlerts = {{
      {0, "close_notify"},
      {10, "unexpected_message"},
      {20, "bad_record_mac"},
      {21, "decryption_failed"},
      {22, "record_overflow"},
      {40, "handshake_failure"},
      {42, "bad_certificate"},
      {43, "unsupported_certificate"},
      {44, "certificate_revoked"},
      {45, "certificate_expired"},
      {46, "certificate_unknown"},
      {47, "illegal_parameter"},
      {48, "unknown_ca"},
      {49, "access_denied"},
      {50, "decode_error"},
      {51, "decrypt_error"},
      {60, "export_restriction"},
      {70, "protocol_version"},
      {71, "insufficient_security"},
      {80, "internal_error"},
      {86, "inappropriate_fallback"},
      {90, "user_canceled"},
      {100, "no_renegotiation"},
      {109, "missing_extension"},
      {110, "unsupported_extension"},
      {112, "unrecognized_name"},
      {113, "bad_certificate_status_response"},
      {115, "unknown_psk_identity"},
      {116, "certificate_required"},
      {120, "no_application_protocol"},
  }};
  for (const auto& [number, text] : kAlerts)
    if (number == alert) return text;
  return "an unknown alert";
}

}  // namespace nearfield::tls
