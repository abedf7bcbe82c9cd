// Settings: how this node treats requests; an immutable snapshot that a reload replaces as a whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/access/policy.h"
#include "dataplane/http/cache_key.h"
#include "dataplane/http/cache_policy.h"
#include "dataplane/http/cors.h"
#include "dataplane/proxy/limits.h"

namespace nearfield::proxy {

// What this node does so that listeners use https (RFC 6797).
struct HttpsPolicy {
  // Requests in clear text are sent to https: GET and HEAD with 301, which every client knows,
  // others with 308, which keeps their method and content (RFC 9110 15.4.2, 15.4.9).
  bool redirect = false;
  std::uint16_t redirect_port = 443;
  // max-age of Strict-Transport-Security, on responses over TLS only (RFC 6797 7.2); 0: no field.
  std::chrono::seconds hsts{0};
  bool hsts_subdomains = false;
  bool hsts_preload = false;
};

struct Settings {
  Limits limits;

  // The name in Via and Cache-Status (a token, RFC 9110 7.6.3, RFC 9211 2).
  std::string node_name = "nearfield";
  http::CorsConfig cors;  // Timing-Allow-Origin included
  http::QueryRules query_rules;
  // Heuristics, stale-if-error beyond what the origin said, whether request directives count.
  http::CachePolicy cache;

  // After a response that may not be shared, how long requests for its name go to the origin side
  // by side, not one after the other.
  std::chrono::milliseconds unshareable_memory{2'000};
  // A range asked of an object the node does not have begins a fetch at that place when it lies
  // further in than this; nearer than this the whole object is fetched from its beginning.
  std::uint64_t range_fetch_threshold_bytes = 256 * 1024;
  // Tell listeners in Cache-Status what happened (RFC 9211).
  bool send_cache_status = true;
  HttpsPolicy https;
  // Who may listen; never null. admit_by() exchanges it.
  std::shared_ptr<const access::AccessPolicy> access = access::AccessPolicy::open();
  // Sizes of what each worker remembers of tokens; of the first settings only.
  access::CheckOptions access_check;

  // Pages of other origins may then send the fields that `policy` takes tokens from, and read them.
  void admit_by(std::shared_ptr<const access::AccessPolicy> policy) {
    http::allow_and_expose(cors, policy->token_headers());
    access = std::move(policy);
  }
};

}  // namespace nearfield::proxy
