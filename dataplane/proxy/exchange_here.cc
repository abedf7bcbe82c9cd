// See exchange.h. This file: what is answered without a look into the cache and without an origin.
#include "dataplane/http/authority.h"
#include "dataplane/http/cors.h"
#include "dataplane/http/forward.h"
#include "dataplane/http/text.h"
#include "dataplane/proxy/exchange.h"

namespace nearfield::proxy {

// What was asked in clear text and is only answered over TLS.
bool Exchange::answer_elsewhere() {
  const HttpsPolicy& policy = settings_->https;
  const http::RequestHead& request = *request_;
  if (!policy.redirect || request.scheme == http::Scheme::kHttps || request.is_asterisk()) {
    return false;
  }
  if (request.authority.empty()) {
    // HTTP/1.0 may leave Host out (RFC 9112 3.2), and then there is no name to send anybody to.
    count(context_.counters.requests_malformed);
    answer_error(400, "this is only served over https: send Host to be told where");
    return true;
  }
  count(context_.counters.https_redirects);
  const bool simple = request.method == http::Method::kGet || request.method == http::Method::kHead;
  begin_head(simple ? 301 : 308);
  head_text_ += "Location: https://";
  head_text_ += http::split_authority(request.authority).host;
  if (policy.redirect_port != 443) {
    head_text_ += ':';
    http::append_number(head_text_, policy.redirect_port);
  }
  head_text_ += request.target;
  head_text_ += "\r\n";
  append_length(0);
  feeder_.start_empty();
  finish_head(nullptr);
  return true;
}

// What needs no origin and no cache: preflights, OPTIONS *, and methods that stop at a cache.
bool Exchange::answer_here() {
  const http::RequestHead& request = *request_;
  if (request.method == http::Method::kOptions) {
    const bool preflight = settings_->cors.enabled && http::is_preflight(request);
    http::RequestHead copy;
    bool last_hop = request.is_asterisk();
    if (!preflight && !last_hop && request.fields.contains("Max-Forwards")) {
      copy = request;
      last_hop = http::update_max_forwards(copy) == http::MaxForwards::kAnswerHere;
    }
    if (!preflight && !last_hop) return false;
    begin_head(204);
    http::Fields fields;
    if (preflight) http::append_preflight_fields(fields, request, settings_->cors);
    fields.append_to(head_text_);
    append_field("Allow", "GET, HEAD, OPTIONS");
    feeder_.start_empty();
    finish_head(&fields);
    return true;
  }
  if (request.method == http::Method::kTrace || request.method == http::Method::kConnect) {
    answer_error(405, "this method ends here");
    return true;
  }
  return false;
}

}  // namespace nearfield::proxy
