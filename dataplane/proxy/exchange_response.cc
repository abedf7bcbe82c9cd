// See exchange.h. This file: what a response looks like, from head to last byte, and its record.
#include <array>
#include <charconv>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/cors.h"
#include "dataplane/http/date.h"
#include "dataplane/http/text.h"
#include "dataplane/proxy/exchange.h"
#include "dataplane/proxy/wanted_ranges.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

namespace {

constexpr bool has_no_body(std::uint16_t status) { return status == 204 || status == 304; }

// Sixteen letters from the worker's generator: no body of ours contains them but by a chance of
// 26^-16.
std::string make_boundary(std::uint64_t random) {
  std::string boundary = "nearfield";
  for (int letter = 0; letter < 16; ++letter) {
    boundary += static_cast<char>('a' + random % 26);
    random /= 26;
    if (random == 0) random = 0x9e3779b97f4a7c15ULL;
  }
  return boundary;
}

}  // namespace

void Exchange::begin_head(std::uint16_t status) {
  status_ = status;
  head_text_.clear();
  http::append_status_line(head_text_, status);
}

void Exchange::append_field(std::string_view name, std::string_view value) {
  head_text_ += name;
  head_text_ += ": ";
  head_text_ += value;
  head_text_ += "\r\n";
}

// Whatever the origin says: not in clear text, with no status (RFC 6797 7.2).
bool Exchange::is_for_tls_only(std::string_view field_name) const {
  return request_->scheme == http::Scheme::kHttp &&
         http::equals_ignoring_case(field_name, "Strict-Transport-Security");
}

void Exchange::append_length(std::uint64_t bytes) {
  head_text_ += "Content-Length: ";
  http::append_number(head_text_, bytes);
  head_text_ += "\r\n";
}

// The stored fields as they are, less those that this kind of response must not have.
void Exchange::append_stored_fields(const StoredResponse& stored, std::uint16_t status,
                                    bool multipart, bool from_origin) {
  const bool not_modified = status == 304 && stored.status() == 200;
  const bool has_tls_only = request_->scheme == http::Scheme::kHttp &&
                            stored.fields().contains("Strict-Transport-Security");
  if (!not_modified && !multipart && !has_tls_only) {
    stored.fields().append_to(head_text_);  // most responses: all at once
  } else {
    for (const http::Field& field : stored.fields()) {
      if (not_modified && !http::belongs_in_not_modified(field.name)) continue;
      if (multipart && http::equals_ignoring_case(field.name, "Content-Type")) continue;
      if (is_for_tls_only(field.name)) continue;
      append_field(field.name, field.value);
    }
  }
  if (!from_origin) {
    head_text_ += "Age: ";
    http::append_number(head_text_, static_cast<std::uint64_t>(
                                        stored.freshness().age(context_.precise_now()).count()));
    head_text_ += "\r\n";
  } else if (stored.received_age()) {
    append_field("Age", *stored.received_age());
  }
  if ((status == 200 || status == 206) && !stored.fields().contains("Accept-Ranges") &&
      request_->method != http::Method::kPost && stored.status() == 200) {
    append_field("Accept-Ranges", "bytes");
  }
}

std::string& Exchange::cache_status_text(const StoredResponse* stored, bool from_origin) {
  if (stored != nullptr && (!from_origin || cache_status_.stored)) {
    cache_status_.ttl = stored->freshness().remaining(context_.precise_now());
  }
  // What the origin said is worth a word only where it differs from what the listener gets (RFC
  // 9211 2.3).
  if (cache_status_.forward_status == status_) cache_status_.forward_status.reset();
  cache_status_line_.clear();
  http::append_cache_status(cache_status_line_, settings_->node_name, cache_status_);
  return cache_status_line_;
}

// What this node adds to every response, stored or made here; `stored` are fields that stand in the
// head already.
void Exchange::finish_head(const http::Fields* stored) {
  if (stored == nullptr || !stored->contains("Date")) {
    append_field("Date", http::format_http_date(context_.reactor.wall_now()));
  }
  if (settings_->send_cache_status && !cache_status_line_.empty()) {
    append_field("Cache-Status", cache_status_line_);
  }
  if (settings_->cors.enabled && request_ != nullptr) {
    http::Fields added = http::cors_fields(stored, *request_, settings_->cors);
    // A token may ask for its successor in another field than any rule takes tokens from.
    for (const access::Renewal& renewal : renewals_) {
      if (renewal.field_name != "Set-Cookie" && added.contains("Access-Control-Allow-Origin") &&
          !http::list_contains(settings_->cors.exposed_fields, renewal.field_name)) {
        added.add("Access-Control-Expose-Headers", renewal.field_name);
      }
    }
    for (const http::Field& field : added) append_field(field.name, field.value);
  }
  append_hsts(stored);
  if (status_ < 400) {
    for (const access::Renewal& renewal : renewals_)
      append_field(renewal.field_name, renewal.field_value);
    // What is for one listener is not for the caches behind us.
    if (!renewals_.empty()) append_field("Cache-Control", "private");
  }
  if (delivery_ == Delivery::message) {
    if (close_) {
      append_field("Connection", "close");
    } else if (request_ != nullptr && request_->version_minor == 0) {
      append_field("Connection", "keep-alive");
    }
  }
  head_bytes_ = head_text_.size();
  head_text_ += "\r\n";
  count_status();
  step_ = Step::head;
  host_->exchange_has_more();
}

// Only where it came over TLS may it be said, and only once (RFC 6797 7.1, 7.2).
void Exchange::append_hsts(const http::Fields* stored) {
  const HttpsPolicy& policy = settings_->https;
  if (policy.hsts.count() <= 0 || request_ == nullptr || request_->scheme != http::Scheme::kHttps ||
      (stored != nullptr && stored->contains("Strict-Transport-Security"))) {
    return;
  }
  head_text_ += "Strict-Transport-Security: max-age=";
  http::append_number(head_text_, static_cast<std::uint64_t>(policy.hsts.count()));
  if (policy.hsts_subdomains) head_text_ += "; includeSubDomains";
  if (policy.hsts_preload) head_text_ += "; preload";
  head_text_ += "\r\n";
}

void Exchange::answer_from(const cache::Found& found, bool from_origin) {
  const StoredResponse& stored = stored_response(found);
  const http::RequestHead& request = *request_;
  const WantedRanges wanted(request, stored, *found.blob, context_.reactor.wall_now(),
                            settings_->limits);
  switch (wanted.precondition()) {
    case http::Precondition::kServe:
      break;
    case http::Precondition::kNotModified:
      answer_not_modified(stored, from_origin);
      return;
    case http::Precondition::kFailed:
      answer_error(412, "the precondition does not hold");
      return;
  }
  const std::optional<std::uint64_t> total = found.blob->total_bytes();
  if (wanted.kind() == WantedRanges::Kind::unsatisfiable) {
    answer_unsatisfiable(stored, *total, from_origin);
    return;
  }
  const bool partial = wanted.kind() == WantedRanges::Kind::ranges;
  cache::BlobReader reader;
  if (ticket_ && began_ticket_) reader = ticket_->take_reader();
  const bool multipart = partial && wanted.ranges().count > 1;
  begin_head(partial ? std::uint16_t{206} : stored.status());
  append_stored_fields(stored, status_, multipart, from_origin);

  if (multipart) {
    const http::MultipartRanges text(
        make_boundary(context_.reactor.random()),
        stored.fields().find("Content-Type").value_or("application/octet-stream"), *total);
    append_field("Content-Type", text.media_type());
    append_length(text.total_size(wanted.ranges().view()));
    feeder_.start_multipart(found.blob, wanted.ranges(), text);
  } else if (partial) {
    const http::ByteRange& range = wanted.ranges().ranges[0];
    head_text_ += "Content-Range: ";
    http::append_content_range(head_text_, range, total);
    head_text_ += "\r\n";
    append_length(range.size());
    feeder_.start(found.blob, range, Framing::by_length, std::move(reader));
  } else if (has_no_body(status_)) {
    feeder_.start_empty();
  } else if (request.method == http::Method::kHead) {
    // A HEAD that went to the origin says what the origin said; one from the cache, what a GET
    // would.
    const auto length = from_origin ? stored.declared_length() : total;
    if (length) append_length(*length);
    feeder_.start_empty();
  } else if (total) {
    append_length(*total);
    feeder_.start(found.blob, std::nullopt, Framing::by_length, std::move(reader));
  } else if (delivery_ == Delivery::parts) {
    feeder_.start(found.blob, std::nullopt, Framing::until_close, std::move(reader));
  } else if (request.version_minor >= 1) {
    append_field("Transfer-Encoding", "chunked");
    feeder_.start(found.blob, std::nullopt, Framing::chunked, std::move(reader));
  } else {
    close_ = true;
    feeder_.start(found.blob, std::nullopt, Framing::until_close, std::move(reader));
  }
  source_ = found.metadata;
  source_bytes_ = total;
  cache_status_text(&stored, from_origin);
  finish_head(&stored.fields());
}

// The origin sent another range than it was asked for: what it sent, as it sent it.
void Exchange::answer_verbatim(const cache::Found& found, const http::ByteRange& range) {
  const StoredResponse& stored = stored_response(found);
  begin_head(stored.status());
  append_stored_fields(stored, status_, false, true);
  append_length(range.size());
  feeder_.start(found.blob, range, Framing::by_length, ticket_->take_reader());
  cache_status_text(&stored, true);
  finish_head(&stored.fields());
}

void Exchange::answer_not_modified(const StoredResponse& stored, bool from_origin) {
  begin_head(304);
  append_stored_fields(stored, 304, false, from_origin);
  feeder_.start_empty();
  cache_status_text(&stored, from_origin);
  finish_head(&stored.fields());
}

void Exchange::answer_unsatisfiable(const StoredResponse& stored, std::uint64_t total,
                                    bool from_origin) {
  begin_head(416);
  head_text_ += "Content-Range: ";
  http::append_unsatisfied_content_range(head_text_, total);
  head_text_ += "\r\n";
  append_length(0);
  feeder_.start_empty();
  cache_status_text(&stored, from_origin);
  finish_head(nullptr);
}

void Exchange::answer_error(std::uint16_t status, std::string_view reason) {
  begin_head(status);
  const bool head_only = request_ != nullptr && request_->method == http::Method::kHead;
  append_field("Content-Type", "text/plain; charset=utf-8");
  append_field("Cache-Control", "no-store");
  if (status == 503) append_field("Retry-After", "1");
  if (status == 405) append_field("Allow", "GET, HEAD, OPTIONS");
  std::string text(reason);
  text += '\n';
  append_length(text.size());
  feeder_.start_empty();
  if (request_ != nullptr) {
    cache_status_.stored = false;
    cache_status_.made_here = true;
    cache_status_text(nullptr, true);
  }
  finish_head(nullptr);
  if (!head_only) head_text_ += text;
}

void Exchange::count_status() {
  Counters& counters = context_.counters;
  if (status_ < 300)
    count(counters.responses_2xx);
  else if (status_ < 400)
    count(counters.responses_3xx);
  else if (status_ < 500)
    count(counters.responses_4xx);
  else
    count(counters.responses_5xx);
}

Exchange::Progress Exchange::produce(net::SendPlan& plan) {
  NEARFIELD_ASSERT(step_ != Step::idle);
  if (plan.room() < 2) return Progress::plan_full;
  if (!interim_text_.empty() && delivery_ == Delivery::message) {
    plan.append_text(interim_text_);
    interim_text_.clear();
  }
  if (step_ == Step::waiting) return Progress::waiting;
  if (step_ == Step::head) {
    // Its empty line is part of an HTTP/1.1 head; what follows is an error's text.
    plan.append_text(delivery_ == Delivery::message
                         ? std::string_view(head_text_)
                         : std::string_view(head_text_).substr(head_bytes_ + 2));
    first_byte_ = context_.reactor.now();
    step_ = Step::body;
  }
  if (step_ == Step::continuing) return Progress::waiting;
  switch (rest_failed_ ? FeedResult::broken : feeder_.feed(plan, signal_)) {
    case FeedResult::plan_full:
      return Progress::plan_full;
    case FeedResult::waiting:
      return Progress::waiting;
    case FeedResult::done:
      return Progress::finished;
    case FeedResult::left_behind:
      if (continue_alone()) return Progress::waiting;
      break;
    case FeedResult::broken:
      break;
  }
  count(context_.counters.responses_broken);
  return Progress::broken;
}

void Exchange::end(bool cut_short) {
  NEARFIELD_ASSERT(step_ != Step::idle);
  if (ticket_) {
    ticket_->leave(*signal_);
    if (began_ticket_) ticket_->abandon();
  }
  count(from_cache_ ? context_.counters.cache_hit_bytes : context_.counters.cache_miss_bytes,
        feeder_.body_bytes());
  if (context_.access_sink != nullptr && request_ != nullptr) {
    AccessRecord record;
    record.time = started_wall_;
    record.method = request_->method_text;
    record.authority = request_->authority;
    std::string stripped;
    record.path = logged_path(stripped);
    record.status = first_byte_ == MonotonicTime{} ? std::uint16_t{0} : status_;
    record.body_bytes = feeder_.body_bytes();
    record.cache = cache_status_line_;
    record.range = request_->fields.find("Range").value_or("");
    const MonotonicTime now = context_.reactor.now();
    const auto since = [&](MonotonicTime time) {
      return std::chrono::duration_cast<std::chrono::microseconds>(time - started_);
    };
    record.first_byte = since(first_byte_ == MonotonicTime{} ? now : first_byte_);
    record.duration = since(now);
    record.client_prefix = host_->exchange_peer().address.truncated(24, 48);
    record.protocol = request_->version_major >= 2   ? "HTTP/2"
                      : request_->version_minor == 0 ? "HTTP/1.0"
                                                     : "HTTP/1.1";
    if (const net::StreamSecurity* security = host_->exchange_security())
      record.tls = security->version;
    record.broken = cut_short;
    context_.access_sink->record(record);
  }
  feeder_.stop(signal_);
  ticket_.reset();
  candidate_.reset();
  source_.reset();
  request_ = nullptr;
  settings_.reset();
  content_.clear();
  interim_text_.clear();
  step_ = Step::idle;
}

}  // namespace nearfield::proxy
