// Loading: read a bounded file, parse it, visit every key, then look at what only makes sense
// together.
#include "dataplane/control/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <format>
#include <set>
#include <utility>

#include "cache/policy/policy.h"
#include "dataplane/control/config_check_dpdk.h"
#include "dataplane/control/config_check_files.h"
#include "dataplane/control/config_check_tls.h"
#include "dataplane/control/config_keys.h"
#include "dataplane/control/config_reader.h"
#include "dataplane/control/units.h"

namespace nearfield::control {
namespace {

constexpr std::uint64_t kDefaultRamBytes = 1024 * 1024 * 1024;
// What the descriptors of an ordinary session carry, so that a first look begins without a warning.
constexpr std::uint32_t kQuickLookConnections = 10'000;

// Whether `path` is `key` or lies in it: "https.hsts_preload" does not lie in "https.hsts".
bool is_of_key(std::string_view path, std::string_view key) {
  return path.starts_with(key) &&
         (path.size() == key.size() || path[key.size()] == '.' || path[key.size()] == '[');
}

// Gets what was wrong with single values as well.
using LookIntoFiles =
    std::function<void(Config& config, const std::vector<ConfigError>& said, const ComplainOfKey&)>;

// "origin group 'music': servers[1].weight is 0: use 1 to 1000" -> "servers[1].weight" and the
// rest.
std::pair<std::string, std::string> split_origin_error(const std::string& message) {
  constexpr std::string_view kMark = "': ";
  const std::size_t mark = message.find(kMark);
  if (mark == std::string::npos) return {"", message};
  const std::string rest = message.substr(mark + kMark.size());
  const std::size_t space = rest.find(' ');
  if (space == std::string::npos) return {"", message};
  return {rest.substr(0, space), rest.substr(space + 1)};
}

void check_origins(const Config& config, const ComplainOfKey& complain,
                   const std::set<std::size_t>& already_wrong) {
  if (config.origins.empty()) {
    complain("origin", "is missing: write an [[origin]] with name, hosts and servers");
    return;
  }
  bool good = already_wrong.empty();
  for (std::size_t i = 0; i < config.origins.size(); ++i) {
    if (already_wrong.contains(i)) continue;
    const auto valid = config.origins[i].validate();
    if (valid) continue;
    good = false;
    const auto [key, reason] = split_origin_error(valid.error().message);
    complain(key.empty() ? std::format("origin[{}]", i) : std::format("origin[{}].{}", i, key),
             reason);
  }
  if (!good) return;
  if (const auto valid = origin::validate(config.origins); !valid) {
    complain("origin", valid.error().message);
  }
}

// What somebody wrote to be protected by, and nothing looks at.
void check_idle_keys(const Config& config, const ComplainOfKey& complain) {
  if (config.settings.https.hsts.count() > 0 && config.tls.listen.empty()) {
    complain("https.hsts",
             "is only said over TLS, which this node does not speak: write [tls] with listen and "
             "certificates, or leave it out");
  }
  const auto& rules = config.access.options.rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].mode != access::Mode::kOpen || rules[i].key_sets.empty()) continue;
    complain(std::format("access.rules[{}].key_sets", i),
             "is of no use with mode = \"open\", which asks for no token: make the mode "
             "\"signed\", or remove it");
  }
}

void check_together(Config& config, const ComplainOfKey& complain) {
  check_listening(config, complain);
  check_dpdk(config, complain);
  const http::CorsConfig& cors = config.settings.cors;
  if (cors.allow_credentials &&
      std::ranges::find(cors.allowed_origins, "*") != cors.allowed_origins.end()) {
    complain("cors.allow_credentials",
             "does not go with allowed_origins = [\"*\"]: name the origins");
  }
  const proxy::Limits& limits = config.settings.limits;
  if (limits.target_bytes > limits.header_bytes) {
    complain("limits.target_bytes", "is larger than limits.header_bytes, which the target is in");
  }
  check_idle_keys(config, complain);
  config.access_log.buffer_bytes = std::bit_ceil(config.access_log.buffer_bytes);
  auto rules = http::QueryRules::make(config.query_drop, config.query_forward_dropped);
  if (rules) {
    config.settings.query_rules = *std::move(rules);
  } else {
    complain("query.drop", rules.error().message);
  }
}

// Groups that the reader has complained about: validate() would say the same again.
std::set<std::size_t> groups_named(const ConfigErrors& errors) {
  std::set<std::size_t> result;
  for (const ConfigError& error : errors.errors) {
    if (error.key.starts_with("origin[")) {
      result.insert(static_cast<std::size_t>(std::strtoul(error.key.c_str() + 7, nullptr, 10)));
    }
  }
  return result;
}

void read_addresses(const std::vector<std::string>& texts, const char* flag,
                    std::vector<net::Endpoint>& to, const ComplainOfKey& complain) {
  for (const std::string& text : texts) {
    if (const auto endpoint = net::Endpoint::parse(text)) {
      to.push_back(*endpoint);
    } else {
      complain(flag, endpoint.error().message);
    }
  }
}

void read_transport_flags(const QuickLook& flags, Config& config, const ComplainOfKey& complain) {
  if (!flags.transport.empty()) {
    if (const auto transport = parse_transport_choice(flags.transport)) {
      config.transport = *transport;
    } else {
      complain("--transport", transport.error().message);
      return;
    }
  }
  const bool any = !flags.port.empty() || !flags.addresses.empty() || !flags.gateways.empty() ||
                   !flags.exception_tap.empty();
  if (config.transport != TransportChoice::dpdk) {
    if (any) complain("--port", "and what describes it want --transport dpdk beside them");
    return;
  }
  if (flags.port.empty()) return complain("--transport", "dpdk wants --port NAME beside it");
  if (flags.addresses.empty())
    return complain("--port", "wants --address ADDRESS/LENGTH beside it");
  // A first look is on a virtual device nearly always; a NIC wants hugepages and says so.
  config.dpdk.hugepages = is_pci_address(flags.port);
  DpdkPortConfig port;
  port.name = flags.port;
  for (const std::string& text : flags.addresses) {
    if (const auto good = parse_local_address(text); !good) {
      complain("--address", good.error().message);
    }
  }
  for (const std::string& text : flags.gateways) {
    if (const auto good = parse_gateway(text); !good) complain("--gateway", good.error().message);
  }
  if (const auto good = is_interface_name(flags.exception_tap); !good) {
    complain("--exception-tap", good.error().message);
  }
  port.addresses = flags.addresses;
  port.gateways = flags.gateways;
  port.exception_tap = flags.exception_tap;
  config.dpdk.ports.push_back(std::move(port));
}

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

Result<std::string> read_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.value < 0) {
    return failure(std::format("cannot be read: {}", std::strerror(errno)));
  }
  struct stat status{};
  if (::fstat(file.value, &status) != 0 || S_ISDIR(status.st_mode)) {
    return failure("is a folder: name the file in it");
  }
  std::string text;
  while (text.size() <= kMaximumConfigBytes) {
    char block[16 * 1024];
    const ssize_t got = ::read(file.value, block, sizeof(block));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(std::format("cannot be read: {}", std::strerror(errno)));
    if (got == 0) return text;
    text.append(block, static_cast<std::size_t>(got));
  }
  return failure("is larger than 1 MiB: this is no configuration of a node");
}

}  // namespace

Config::Config() {
  store.arena.bytes = kDefaultRamBytes;
  store.policy = cache::kDefaultPolicy;
}

static std::expected<Config, ConfigErrors> parse_config(std::string_view text,
                                                        std::string_view file,
                                                        const LookIntoFiles& look) {
  ConfigErrors errors;
  const auto tree = parse_config_tree(text, file);
  if (!tree) {
    errors.add(tree.error());
    return std::unexpected(std::move(errors));
  }
  Config config;
  config.source = file;
  ConfigReader reader(*tree, std::string(file), errors);
  visit_config(reader, config);
  reader.finish();
  const std::vector<ConfigError> said = errors.errors;
  const ComplainOfKey complain = [&](std::string_view key, std::string reason) {
    // One complaint a key: what was wrong with its value explains that there is none now.
    const bool known = std::ranges::any_of(
        said, [&](const ConfigError& error) { return is_of_key(error.key, key); });
    if (!known) reader.complain(key, std::move(reason));
  };
  check_origins(config, complain, groups_named(errors));
  check_together(config, complain);
  if (look) look(config, said, complain);
  std::ranges::stable_sort(errors.errors, {}, &ConfigError::line);  // as people mend them
  if (!errors.errors.empty()) return std::unexpected(std::move(errors));
  return config;
}

std::expected<Config, ConfigErrors> parse_config(std::string_view text, std::string_view file) {
  return parse_config(text, file, nullptr);
}

std::expected<Config, ConfigErrors> load_config(const std::string& path, ConfigFiles files) {
  const auto text = read_file(path);
  if (!text) {
    ConfigErrors errors;
    errors.add({.file = path, .line = 0, .key = "", .reason = text.error().message});
    return std::unexpected(std::move(errors));
  }
  return parse_config(
      *text, path,
      [&](Config& config, const std::vector<ConfigError>& said, const ComplainOfKey& complain) {
        // Rules that were not understood would be taken for others.
        const bool is_access_known = std::ranges::none_of(
            said, [](const ConfigError& error) { return error.key.starts_with("access."); });
        if (is_access_known) {
          auto policy = read_access(config.access.options, complain, config.warnings);
          if (policy) config.settings.admit_by(std::move(policy));
        }
        if (files == ConfigFiles::all) {
          check_tls_files(
              config, std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()),
              complain, config.warnings);
        }
      });
}

std::expected<Config, ConfigErrors> config_from_flags(const QuickLook& flags) {
  ConfigErrors errors;
  const ComplainOfKey complain = [&](std::string_view key, std::string reason) {
    errors.add({.file = "", .line = 0, .key = std::string(key), .reason = std::move(reason)});
  };
  Config config;
  config.source = "command line";
  config.settings.limits.connections = kQuickLookConnections;
  config.control_path = flags.control_path;
  config.access_log.path = flags.access_log;
  if (const auto usable = is_socket_path(flags.control_path); !usable) {
    complain("--control", usable.error().message);
  }
  read_addresses(flags.listen, "--listen", config.listen, complain);
  read_addresses(flags.tls_listen, "--tls-listen", config.tls.listen, complain);
  if (!flags.certificate.empty()) {
    config.tls.certificates.push_back({.chain = flags.certificate, .key = flags.key});
  }
  if (auto group = origin::group_of_one(flags.origin)) {
    config.origins.push_back(*std::move(group));
  } else {
    complain("--origin", group.error().message);
  }
  if (flags.ram) {
    const auto bytes = parse_size(*flags.ram);
    if (!bytes) {
      complain("--ram", bytes.error().message);
    } else if (*bytes < 8 * 1024 * 1024) {
      complain("--ram", std::format("is {}: use 8M or more", *flags.ram));
    } else {
      config.store.arena.bytes = *bytes;
    }
  }
  if (flags.workers) config.workers = *flags.workers;
  if (!flags.admin.empty()) {
    if (const auto endpoint = net::Endpoint::parse(flags.admin)) {
      config.admin = *endpoint;
    } else {
      complain("--admin", endpoint.error().message);
    }
  }
  if (!flags.log_level.empty()) {
    if (const auto level = parse_log_level(flags.log_level)) {
      config.level = *level;
    } else {
      complain("--log-level", level.error().message);
    }
  }
  read_transport_flags(flags, config, complain);
  if (errors.errors.empty()) {
    check_origins(config, complain, {});
    check_together(config, complain);
  }
  if (!errors.errors.empty()) return std::unexpected(std::move(errors));
  return config;
}

std::vector<std::string> needs_restart(const Config& running, const Config& wanted) {
  std::vector<std::string> keys;
  const auto compare = [&](bool same, const char* key) {
    if (!same) keys.emplace_back(key);
  };
  compare(running.listen == wanted.listen, "node.listen");
  compare(running.tls.listen == wanted.tls.listen, "tls.listen");
  compare(running.tls.helpers == wanted.tls.helpers, "tls.helpers");
  compare(running.workers == wanted.workers, "node.workers");
  compare(running.pin_workers == wanted.pin_workers, "node.pin_workers");
  compare(running.transport == wanted.transport, "node.transport");
  compare(running.dpdk == wanted.dpdk || wanted.transport != TransportChoice::dpdk, "dpdk");
  compare(running.control_path == wanted.control_path, "node.control");
  compare(running.admin == wanted.admin, "node.admin");
  const cache::StoreOptions& a = running.store;
  const cache::StoreOptions& b = wanted.store;
  compare(a.arena.bytes == b.arena.bytes, "cache.ram");
  compare(a.arena.want_hugepages == b.arena.want_hugepages, "cache.hugepages");
  compare(a.index_bytes == b.index_bytes, "cache.index");
  compare(a.policy == b.policy, "cache.policy");
  compare(a.maximum_object_bytes == b.maximum_object_bytes, "cache.maximum_object");
  compare(a.streaming_window_bytes == b.streaming_window_bytes, "cache.streaming_window");
  compare(running.access_log.buffer_bytes == wanted.access_log.buffer_bytes, "access_log.buffer");
  compare(running.settings.access_check == wanted.settings.access_check, "access.check");
  return keys;
}

}  // namespace nearfield::control
