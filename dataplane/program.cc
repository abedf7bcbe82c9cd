// Reads the command line, checks it against itself, and runs a node to its end.
#include "dataplane/program.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "cache/base/error.h"
#include "dataplane/control/config.h"
#include "dataplane/control/node.h"
#include "dataplane/control/version.h"

namespace nearfield {
namespace {

using control::QuickLook;

constexpr int kGood = 0;
constexpr int kFailed = 1;
constexpr int kMisused = 2;

void say(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

int misused(const std::string& text) {
  say("nearfield-dataplane: " + text);
  say("nearfield-dataplane --help lists the flags");
  return kMisused;
}

struct Flags {
  std::string config;
  bool check = false;
  std::string takeover;
  QuickLook quick;
};

void declare(CLI::App& app, Flags& flags) {
  app.add_option("--config", flags.config, "Configuration file (TOML, see docs/configuration.md)")
      ->type_name("FILE");
  app.add_flag("--check", flags.check, "Only check the configuration file");
  app.add_option("--takeover", flags.takeover,
                 "Control socket of a running process to replace without a gap")
      ->type_name("PATH");
  const std::string group = "For a first look, without a file";
  app.add_option("--listen", flags.quick.listen,
                 "Address to serve on, like 127.0.0.1:8080; repeatable")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--tls-listen", flags.quick.tls_listen,
                 "Address to serve https on, like 127.0.0.1:8443; repeatable")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--certificate", flags.quick.certificate,
                 "PEM file with the certificate for --tls-listen and its intermediates")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--key", flags.quick.key,
                 "PEM file with its private key (default: in the certificate's file)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--origin", flags.quick.origin,
                 "Where everything comes from, like http://127.0.0.1:9000")
      ->type_name("URL")
      ->group(group);
  app.add_option("--ram", flags.quick.ram, "Memory for content, like 512M (default 1G)")
      ->type_name("SIZE")
      ->group(group);
  app.add_option("--workers", flags.quick.workers, "Worker threads (default: one for each CPU)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->group(group);
  app.add_option("--control", flags.quick.control_path, "Unix socket of the control interface")
      ->type_name("PATH")
      ->group(group);
  app.add_option("--admin", flags.quick.admin, "Address for /metrics and /v1/status")
      ->type_name("ADDRESS")
      ->group(group);
  app.add_option("--access-log", flags.quick.access_log, "Access log file, - for standard output")
      ->type_name("PATH")
      ->group(group);
  app.add_option("--log-level", flags.quick.log_level, "debug, info, warn, error or off")
      ->type_name("LEVEL")
      ->group(group);
  const std::string own = "For a first look with packets of its own";
  app.add_option("--transport", flags.quick.transport, "uring (default) or dpdk")
      ->type_name("KIND")
      ->group(own);
  app.add_option("--port", flags.quick.port,
                 "DPDK port: a PCI address, or a device like net_af_packet0,iface=eth1")
      ->type_name("NAME[,ARGS]")
      ->group(own);
  app.add_option("--address", flags.quick.addresses,
                 "Address of the port with its prefix, like 192.0.2.10/24; repeatable")
      ->type_name("ADDRESS/LENGTH")
      ->allow_extra_args(false)
      ->group(own);
  app.add_option("--gateway", flags.quick.gateways, "Default gateway; repeatable, one a family")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->group(own);
  app.add_option("--exception-tap", flags.quick.exception_tap,
                 "Interface that joins the kernel to the port")
      ->type_name("NAME")
      ->group(own);
  app.set_version_flag("--version", "nearfield-dataplane " + std::string(control::version_text()));
  app.footer(
      "SIGTERM drains, a second one ends at once; SIGHUP reloads the file; SIGUSR1 reopens the "
      "access log.");
}

// Empty when the flags go together.
std::string contradiction(const CLI::App& app, const Flags& flags) {
  if (!flags.config.empty()) {
    for (const char* name :
         {"--listen", "--origin", "--ram", "--workers", "--control", "--admin", "--access-log",
          "--log-level", "--transport", "--port", "--address", "--gateway", "--exception-tap",
          "--tls-listen", "--certificate", "--key"}) {
      if (app.count(name) != 0) {
        return std::string(name) + " does not go with --config: write it in the file";
      }
    }
    if (flags.check && !flags.takeover.empty())
      return "--check starts nothing: leave out --takeover";
    return {};
  }
  if (flags.check) return "--check wants --config FILE";
  const bool serves = !flags.quick.listen.empty() || !flags.quick.tls_listen.empty();
  if (!serves && flags.quick.origin.empty()) {
    return "say what to serve: --config FILE, or --listen (--tls-listen) ADDRESS --origin URL";
  }
  if (!serves) return "--origin wants --listen or --tls-listen ADDRESS beside it";
  if (flags.quick.origin.empty()) {
    return std::string(flags.quick.listen.empty() ? "--tls-listen" : "--listen") +
           " wants --origin URL beside it";
  }
  if (flags.quick.tls_listen.empty() != flags.quick.certificate.empty()) {
    return "--tls-listen and --certificate FILE want each other";
  }
  if (!flags.quick.key.empty() && flags.quick.certificate.empty()) {
    return "--key wants --certificate FILE beside it";
  }
  return {};
}

// What is wrong with files of the configuration is said at the keys, all of it, as --check does; a
// start tells of the first that it meets.
std::string why_not_started(const Flags& flags, const Error& error) {
  if (!flags.config.empty()) {
    const auto checked = control::load_config(flags.config, control::ConfigFiles::all);
    if (!checked) return checked.error().text();
  }
  return "nearfield-dataplane: " + error.message;
}

int run(int argc, char** argv, TransportOf transport_of) {
  CLI::App app("The data plane of a Nearfield node: an HTTP cache for audio at the edge.",
               "nearfield-dataplane");
  Flags flags;
  declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {  // --help, --version
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    return misused(error.what());
  }
  if (const std::string text = contradiction(app, flags); !text.empty()) return misused(text);

  const bool from_file = !flags.config.empty();
  auto config = from_file
                    ? control::load_config(flags.config, flags.check ? control::ConfigFiles::all
                                                                     : control::ConfigFiles::kept)
                    : control::config_from_flags(flags.quick);
  if (!config) {
    say(config.error().text());
    return from_file ? kFailed : kMisused;
  }
  auto transport = transport_of(*config);
  if (!transport) {
    say("nearfield-dataplane: " + transport.error().message);
    return kFailed;
  }
  if (flags.check) {
    for (const std::string& warning : config->warnings)
      say("nearfield-dataplane: warning: " + warning);
    std::printf("%s: ok\n", flags.config.c_str());
    return kGood;
  }
  control::NodeOptions options{.config = *std::move(config),
                               .transport = *std::move(transport),
                               .config_path = flags.config,
                               .takeover_path = flags.takeover};
  auto node = control::Node::start(std::move(options));
  if (!node) {
    say(why_not_started(flags, node.error()));
    return kFailed;
  }
  return (*node)->run() ? kGood : kFailed;
}

}  // namespace

int run_program(int argc, char** argv, TransportOf transport_of) {
  try {
    return run(argc, argv, transport_of);
  } catch (const std::system_error& error) {  // std::thread's
    say(std::string("nearfield-dataplane: cannot start a thread: ") + error.what() +
        "; raise LimitNPROC and TasksMax (ulimit -u), or use fewer workers");
    return kFailed;
  } catch (const std::exception& error) {  // out of memory, most likely
    say(std::string("nearfield-dataplane: ") + error.what());
    return kFailed;
  }
}

}  // namespace nearfield
