#include "dataplane/control/config_tls.h"

#include <format>

namespace nearfield::control {

std::string_view client_certificates_text(tls::ClientCertificates choice) {
  switch (choice) {
    case tls::ClientCertificates::none:
      return "none";
    case tls::ClientCertificates::optional:
      return "optional";
    case tls::ClientCertificates::required:
      return "required";
  }
  return "?";
}

Result<tls::ClientCertificates> parse_client_certificates(std::string_view text) {
  for (const auto choice : {tls::ClientCertificates::none, tls::ClientCertificates::optional,
                            tls::ClientCertificates::required}) {
    if (text == client_certificates_text(choice)) return choice;
  }
  return failure(std::format("'{}' is not known: use none, optional or required", text));
}

std::string_view minimum_version_text(bool tls12) { return tls12 ? "1.2" : "1.3"; }

Result<bool> parse_minimum_version(std::string_view text) {
  if (text == "1.2") return true;
  if (text == "1.3") return false;
  return failure(std::format(
      "'{}' is not a version a node speaks: use 1.2 or 1.3 (older ones are not safe)", text));
}

}  // namespace nearfield::control
