// Why a request may be served or not, as the control socket tells it: the question as JSON, the
// chain of reasoning as JSON. Tokens go in and never come out.
#pragma once

#include <string>
#include <string_view>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/access/check.h"
#include "dataplane/http/fields.h"
#include "dataplane/net/endpoint.h"

namespace nearfield::control {

// {"url": "https://music.example/albums/1/a.m4s?URISigningPackage=...", "client": "192.0.2.7",
//  "method": "GET", "fields": {"Cookie": "..."}}; method and fields may be left out.
struct WhyQuestion {
  std::string method = "GET";
  http::Scheme scheme = http::Scheme::kHttps;
  std::string authority;
  std::string target;
  http::Fields fields;
  net::Address client;
};

Result<WhyQuestion> parse_why_question(std::string_view body);

// As access::AccessRequest has it.
struct WhyClock {
  WallTime now{};
  MonotonicTime monotonic_now{};
  bool synchronised = true;
  const access::TimeFloor* floor = nullptr;
};
// {"schema": 1, "allowed": false, "reason": "expired", "rule": "albums", "target": "/albums/1/...",
//  "steps": [{"verdict": "refuses", "subject": "exp", "detail": "..."}]}
std::string why_json(const access::AccessPolicy& policy, const WhyQuestion& question,
                     const access::ReplayTable* replayed, const WhyClock& clock);

}  // namespace nearfield::control
