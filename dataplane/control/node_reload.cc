// A reload takes effect whole or not at all: everything that may fail comes first.
#include <boost/algorithm/string/join.hpp>
#include <utility>

#include "dataplane/control/node_impl.h"

namespace nearfield::control {

ReloadOutcome Node::Impl::reload() {
  ReloadOutcome outcome;
  if (config_path.empty()) {
    outcome.has_file = false;
    log(LogLevel::warn, "nothing to reload: this node was started without --config");
    return outcome;
  }
  const auto refuse = [&](ConfigErrors errors) {
    ++reloads_refused;
    outcome.errors = std::move(errors);
    log(LogLevel::error, "the configuration is refused, the old one stays in force:");
    for (const ConfigError& error : outcome.errors.errors) log(LogLevel::error, "{}", error.text());
    if (outcome.errors.left_out != 0) {
      log(LogLevel::error, "and {} more", outcome.errors.left_out);
    }
    return outcome;
  };
  const auto refuse_for = [&](std::string key, const Error& error) {
    ConfigErrors errors;
    errors.add({.file = config_path, .line = 0, .key = std::move(key), .reason = error.message});
    return refuse(std::move(errors));
  };
  // Says it at the key, and what else is wrong with such files, as --check does.
  const auto refuse_for_files = [&](std::string key, const Error& error) {
    auto checked = load_config(config_path, ConfigFiles::all);
    if (!checked) return refuse(std::move(checked.error()));
    return refuse_for(std::move(key), error);
  };
  auto wanted = load_config(config_path);
  if (!wanted) return refuse(std::move(wanted.error()));
  guard_keys(*wanted);
  auto origins =
      origin::OriginDirectory::create(wanted->origins, resolver, health_listener(), directory.get(),
                                      {.available = true, .now = wall_now()});
  if (!origins) return refuse_for_files("origin", origins.error());
  auto prepared_tls = tls->prepare(wanted->tls, wall_now());
  if (!prepared_tls) return refuse_for_files("tls", prepared_tls.error());
  // Also when the path is the same: a rotation may have moved the file.
  if (auto opened = access_log->reopen(wanted->access_log.path); !opened) {
    return refuse_for("access_log.path", opened.error());
  }

  restart_required = needs_restart(config, *wanted);
  config.origins = wanted->origins;
  wanted->settings.access_check = config.settings.access_check;
  if (config.tls.listen != wanted->tls.listen) {
    // Nobody is sent to a port that this process does not serve.
    wanted->settings.https.redirect = config.settings.https.redirect;
    wanted->settings.https.redirect_port = config.settings.https.redirect_port;
  }
  config.settings = wanted->settings;
  config.query_drop = wanted->query_drop;
  config.query_forward_dropped = wanted->query_forward_dropped;
  config.access = wanted->access;
  config.access_log.path = wanted->access_log.path;
  config.drain_timeout = wanted->drain_timeout;
  config.level = wanted->level;
  if (!config.tls.listen.empty() && !wanted->tls.listen.empty()) {
    tls->use(*std::move(prepared_tls), wanted->tls);
    config.tls = tls->config();
    say(tls->notices(wall_now()));
  }
  set_log_level(config.level);
  directory = *std::move(origins);
  config.warnings = wanted->warnings;
  for (const std::string& warning : config.warnings) log(LogLevel::warn, "{}", warning);
  for (const std::string& warning : directory->warnings()) log(LogLevel::warn, "{}", warning);
  const auto settings = std::make_shared<const proxy::Settings>(config.settings);
  for (const auto& worker : workers) worker->apply(settings, directory, tls->service());
  ++reloads;
  config_loaded_ms = wall_now_ms();
  outcome.reloaded = true;
  outcome.restart_required = restart_required;
  log(LogLevel::info, "configuration {} reloaded", config_path);
  if (!restart_required.empty()) {
    log(LogLevel::warn, "these changes need a restart: {}",
        boost::algorithm::join(restart_required, ", "));
  }
  return outcome;
}

}  // namespace nearfield::control
