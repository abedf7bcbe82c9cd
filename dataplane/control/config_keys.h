// visit_config(): the single list of a configuration's keys, with their types and ranges. See
// config_visitor.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/control/config.h"
#include "dataplane/control/config_visitor.h"

namespace nearfield::control {

void visit_config(ConfigVisitor& visitor, Config& config);
// The part of it under [[origin]] (config_keys_origin.cc).
void visit_origin(ConfigVisitor& visitor, origin::OriginGroup& group);
// The part of it under [dpdk] (config_keys_dpdk.cc).
void visit_dpdk(ConfigVisitor& visitor, DpdkConfig& dpdk);
// Those under [tls] and [https] (config_keys_tls.cc).
void visit_tls(ConfigVisitor& visitor, TlsConfig& tls);
void visit_https(ConfigVisitor& visitor, proxy::HttpsPolicy& https);

// Those under [access] (config_keys_access.cc).
void visit_access(ConfigVisitor& visitor, AccessConfig& access, access::CheckOptions& check);

// A list of addresses, each once, at most 64.
void visit_endpoints(ConfigVisitor& visitor, std::string_view key,
                     std::vector<net::Endpoint>& endpoints);

// A check by a function that returns a Result of anything.
template <typename Parse>
TextCheck parses(Parse parse) {
  return [parse](std::string_view text) -> Result<void> {
    const auto parsed = parse(text);
    if (!parsed) return std::unexpected(parsed.error());
    return {};
  };
}
// A value shown as `shown`; `parse` makes another of a text, and what it refuses changes nothing.
template <typename Parse, typename Value>
void visit_parsed(ConfigVisitor& visitor, std::string_view key, std::string_view shown, Parse parse,
                  Value& value) {
  std::string text(shown);
  visitor.text(key, text, [&](std::string_view wanted) -> Result<void> {
    const auto parsed = parse(wanted);
    if (!parsed) return std::unexpected(parsed.error());
    value = *parsed;
    return {};
  });
}

Result<void> is_file_path(std::string_view text);
// What fits into sun_path with the ending of the handover socket and that of its temporary name.
// "" is no socket and good.
Result<void> is_socket_path(std::string_view text);

}  // namespace nearfield::control
