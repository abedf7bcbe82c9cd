// The control interface as a function: a request in, a response out; sockets are
// control_server.cc's. docs/operations.md is its manual.
//
// Everything is answered on the control thread, and nothing but GET /v1/connections waits for a
// worker (for a bounded moment), so that a node under load still answers. Bodies are JSON; an error
// is {"error": "..."} with what to do in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/access/policy.h"
#include "dataplane/control/access_why.h"
#include "dataplane/control/config_error.h"
#include "dataplane/control/connections.h"
#include "dataplane/control/log.h"
#include "dataplane/control/snapshot.h"
#include "dataplane/http/cache_key.h"

namespace nearfield::control {

struct ReloadOutcome {
  bool reloaded = false;
  bool has_file = true;                       // false: the node was started with flags only
  ConfigErrors errors;                        // why it was refused; the old configuration stays
  std::vector<std::string> restart_required;  // keys that differ and take effect at the next start
};

// What the interface may ask of the node. Control thread.
class NodeControl {
 public:
  virtual NodeSnapshot snapshot() = 0;
  virtual std::string effective_config_json() = 0;
  virtual const http::QueryRules& query_rules() = 0;
  virtual const access::AccessPolicy& access_policy() = 0;
  // Cache keys; how many objects went.
  virtual std::uint64_t purge(std::string_view name) = 0;
  virtual std::uint64_t purge_prefix(std::string_view prefix) = 0;
  // As why_json().
  virtual std::string access_why(const WhyQuestion& question) = 0;
  virtual ConnectionList connections(const ConnectionQuestion& question) = 0;
  virtual void drain() = 0;
  virtual ReloadOutcome reload() = 0;

 protected:
  ~NodeControl() = default;
};

struct ApiRequest {
  std::string_view method;
  std::string_view target;
  std::string_view body;
};

struct ApiResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;  // Allow, with 405
};

enum class ApiSurface {
  full,      // the Unix socket: its file mode says who may
  read_only  // the admin address: GET /metrics and GET /v1/status
};

ApiResponse answer(const ApiRequest& request, ApiSurface surface, NodeControl& node);

}  // namespace nearfield::control
