// May a shared cache keep this response to this request (RFC 9111 3)? One verdict, its reason a
// token that Cache-Status carries as detail, so that "why is this never a hit" is answered by the
// response itself.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_policy.h"
#include "dataplane/http/freshness.h"
#include "dataplane/http/request_head.h"
#include "dataplane/http/response_head.h"

namespace nearfield::http {

enum class Storability : std::uint8_t {
  kStorable,
  kMethod,          // not GET (HEAD responses only update, RFC 9111 4.3.5)
  kRequestNoStore,  // Cache-Control: no-store in the request
  kNoStore,         // in the response
  kPrivate,         //
  kAuthorization,   // request with Authorization and nothing in the response that allows it (RFC
                    // 9111 3.5)
  kStatus,          // not final, not understood, or not cacheable without explicit freshness
  kSetCookie,       // and the policy does not store such
  kVaryAny,         // Vary: *
  kPartial,         // 206 whose Content-Range is absent, odd or multipart
  kUseless,  // never fresh, nothing to validate with and nothing to serve stale: it would only take
             // room
};

// Lower-case token: "no-store", "private", "authorization", "vary-any" ...
std::string_view storability_token(Storability verdict);

// `response_directives` and `request_directives` as parsed from the two heads; `freshness` as
// computed for the response. A 206 with one valid Content-Range is kStorable: it is stored as a
// part, never as the whole.
Storability may_store(const RequestHead& request, const CacheDirectives& request_directives,
                      std::uint16_t status, const Fields& response,
                      const CacheDirectives& response_directives, const Freshness& freshness,
                      const CachePolicy& policy = {});

// Status codes whose caching requirements this cache implements (must-understand, RFC
// 9111 5.2.2.3).
bool is_understood(std::uint16_t status);

}  // namespace nearfield::http
