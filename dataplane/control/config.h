// Config: everything an operator can say about a node, as plain values with their defaults; where
// it comes from (a TOML file, or a few flags for a first look), and the check that it can work.
// docs/configuration.md is the manual of every key.
//
// Invariant: a Config that load_config(), parse_config() or config_from_flags() returned is
// complete and within its ranges. The environment is not consulted: what a node does is written in
// one file.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "cache/store.h"
#include "dataplane/access/options.h"
#include "dataplane/control/config_dpdk.h"
#include "dataplane/control/config_error.h"
#include "dataplane/control/config_tls.h"
#include "dataplane/control/log.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/origin/config.h"
#include "dataplane/proxy/settings.h"

namespace nearfield::control {

struct AccessLogConfig {
  std::string path;                          // "-": stdout; empty: none
  std::uint32_t buffer_bytes = 1024 * 1024;  // of each worker; a power of two

  bool operator==(const AccessLogConfig&) const = default;
};

struct AccessConfig {
  access::AccessOptions options;
  // Whether a clock that the kernel does not call synchronised is not trusted. Off: many machines
  // keep good time without telling the kernel.
  bool kernel_must_trust_clock = false;
};

struct Config {
  std::string source;  // the file, or "command line"
  // What is wrong but bearable with the files it names, as far as they were read; for the log.
  std::vector<std::string> warnings;

  // --- fixed at start: a reload says so when they differ (needs_restart()) ---
  std::vector<net::Endpoint> listen;  // in clear text; tls.listen are the others
  // 0: one for each CPU this process may use; with dpdk that is filled in: one for each core or
  // port
  std::uint32_t workers = 0;
  bool pin_workers = false;                                  // each to its own CPU
  std::string control_path = "/run/nearfield/control.sock";  // empty: none
  std::optional<net::Endpoint> admin;  // /metrics and /v1/status over TCP, read-only
  cache::StoreOptions store;
  TransportChoice transport = TransportChoice::uring;
  DpdkConfig dpdk;  // of no effect with another transport

  TlsConfig tls;  // says itself what follows a reload

  // --- follow a reload ---
  std::vector<origin::OriginGroup> origins;
  proxy::Settings settings;
  // What settings.query_rules was made of. Players say there what they buffer and who listens
  // (CTA-5004): each would be an object of its own, and the first listener's would go to the
  // origin.
  std::vector<std::string> query_drop{"CMCD"};
  bool query_forward_dropped = false;
  AccessConfig access;  // what settings.access was made of
  AccessLogConfig access_log;
  LogLevel level = LogLevel::info;
  Duration drain_timeout = std::chrono::seconds(60);

  Config();
};

// What `--listen` and its companions say, unparsed.
struct QuickLook {
  std::vector<std::string> listen;
  std::string origin;
  std::optional<std::string> ram;
  std::optional<std::uint32_t> workers;
  std::string control_path;
  std::string admin;
  std::string access_log;
  std::string log_level;
  std::string transport{};
  std::string port{};  // of dpdk, as the following
  std::vector<std::string> addresses{};
  std::vector<std::string> gateways{};
  std::string exception_tap{};
  std::vector<std::string> tls_listen{};
  std::string certificate{};
  std::string key{};
};

inline constexpr std::uint64_t kMaximumConfigBytes = 1024 * 1024;

enum class ConfigFiles : std::uint8_t {
  kept,  // those of [access], whose content the Config brings
  all,   // and what a start reads for TLS, only to tell what is wrong with it
};

std::expected<Config, ConfigErrors> load_config(const std::string& path,
                                                ConfigFiles files = ConfigFiles::kept);
// `file` is what messages call it.
std::expected<Config, ConfigErrors> parse_config(std::string_view text, std::string_view file);
std::expected<Config, ConfigErrors> config_from_flags(const QuickLook& flags);

// The keys that differ and that a running process cannot change.
std::vector<std::string> needs_restart(const Config& running, const Config& wanted);

}  // namespace nearfield::control
