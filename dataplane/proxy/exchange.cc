// See exchange.h. This file: decisions. What a response looks like is in exchange_response.cc, what
// is answered without cache and origin in exchange_here.cc.
#include "dataplane/proxy/exchange.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/http/cache_key.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/forward.h"
#include "dataplane/http/reuse.h"
#include "dataplane/http/vary.h"
#include "dataplane/proxy/fetch.h"
#include "dataplane/proxy/wanted_ranges.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

namespace {

// A follower whose answer turned out not to be for it looks again once; then it goes alone, so that
// nobody circles.
constexpr unsigned kMaximumRounds = 2;

// Nodes behind nodes may share a name; a request that came by this often goes in a circle.
constexpr std::size_t kMaximumPasses = 4;

std::size_t passes_through(const http::Fields& request, std::string_view node_name) {
  std::size_t passes = 0;
  request.each_value("Via", [&](std::string_view value) {
    for (std::size_t at = value.find(node_name); at != std::string_view::npos;
         at = value.find(node_name, at + node_name.size())) {
      // The whole of a member's received-by: another node's name may contain ours.
      const std::size_t end = at + node_name.size();
      const bool begins = at > 0 && (value[at - 1] == ' ' || value[at - 1] == '\t');
      const bool ends =
          end == value.size() || value[end] == ',' || value[end] == ' ' || value[end] == '\t';
      if (begins && ends) ++passes;
    }
  });
  return passes;
}

}  // namespace

Exchange::Exchange(WorkerContext& context) : context_(context) {
  signal_ = context_.reactor.make_signal([this] { on_signal(); });
}

Exchange::~Exchange() {
  if (running()) end(true);
  context_.reactor.cancel_signal(signal_);
}

void Exchange::begin(const http::RequestHead* head) {
  NEARFIELD_ASSERT(step_ == Step::idle);
  request_ = head;
  settings_ = context_.settings;
  status_ = 0;
  cache_status_ = {};
  cache_status_line_.clear();
  from_cache_ = false;
  rest_failed_ = false;
  rounds_ = 0;
  started_ = context_.reactor.now();
  started_wall_ = context_.reactor.wall_now_ms();
  first_byte_ = {};
  renewals_.clear();
  count(context_.counters.requests);
}

bool Exchange::open(http::RequestHead& head, bool close_after) {
  begin(&head);
  const bool closes = close_after || !head.keep_alive;
  // Of an answer given now: what follows is not read, so nothing can come after it.
  close_ = closes || head.has_content();
  if (answer_elsewhere() || answer_here() || !admit(head) || answer_circle()) return false;
  close_ = closes;
  step_ = Step::content;
  return true;
}

void Exchange::proceed(RequestContent content, bool close_after) {
  NEARFIELD_ASSERT(step_ == Step::content);
  close_ = close_ || close_after;
  content_ = std::move(content);
  decide();
  content_.clear();  // whoever forwards it has it now
}

void Exchange::refuse_content(std::uint16_t status, std::string_view reason) {
  NEARFIELD_ASSERT(step_ == Step::content);
  close_ = true;
  answer_error(status, reason);
}

void Exchange::start_error(const http::RequestHead* head, std::uint16_t status,
                           std::string_view reason) {
  begin(head);
  close_ = true;
  answer_error(status, reason);
}

bool Exchange::answer_circle() {
  if (passes_through(request_->fields, settings_->node_name) <= kMaximumPasses) return false;
  answer_error(508, "the request goes in a circle: an origin of this node leads back to it");
  return true;
}

void Exchange::decide() {
  candidate_.reset();
  const http::RequestHead& request = *request_;
  key_.clear();
  http::append_cache_key(key_, request, settings_->query_rules);
  if (request.method != http::Method::kGet && request.method != http::Method::kHead) {
    forward_alone(http::Forwarded::kMethod);
    return;
  }
  directives_ = http::parse_request_directives(request.fields);
  auto found = context_.store.find(
      key_,
      [&](const cache::Metadata& stored) {
        return stored_response(stored).matches(request.fields);
      },
      true);
  if (found && (found->blob->state() == cache::Blob::State::broken ||
                found->blob->kind() == cache::Blob::Kind::streaming)) {
    // About to leave the store: it broke, or outgrew the cache.
    context_.store.remove(found->object);
    found.reset();
  }
  if (found) {
    use_or_validate(*found);
    return;
  }
  if (directives_.only_if_cached) {
    cache_status_.detail = "only-if-cached";
    answer_error(504, "not in this cache, and the request asks for nothing else (only-if-cached)");
    return;
  }
  fetch_for(nullptr, nullptr, http::Forwarded::kUriMiss);
}

void Exchange::use_or_validate(const cache::Found& found) {
  const StoredResponse& stored = stored_response(found);
  const auto decision =
      http::decide_reuse(stored.freshness(), directives_, context_.precise_now(), settings_->cache);
  const bool usable = decision.reuse != http::Reuse::kValidate;
  if (usable && covers(found)) {
    if (decision.reuse == http::Reuse::kStaleRevalidate) revalidate_behind(found);
    if (decision.reuse != http::Reuse::kFresh) count(context_.counters.cache_hits_stale);
    count(context_.counters.cache_hits);
    from_cache_ = true;
    answer_from(found, false);
    return;
  }
  if (decision.only_if_cached) {
    cache_status_.detail = "only-if-cached";
    answer_error(504,
                 "what this cache has is not usable, and the request asks for nothing else "
                 "(only-if-cached)");
    return;
  }
  if (usable) {
    fetch_for(nullptr, &found, http::Forwarded::kPartial);
    return;
  }
  const auto why = decision.cause == http::ValidateCause::kRequest ? http::Forwarded::kRequest
                                                                   : http::Forwarded::kStale;
  fetch_for(&found, nullptr, why);
}

// Whether the bytes this request needs of a stored response are there, or on their way for certain.
bool Exchange::covers(const cache::Found& found) {
  if (found.blob->state() == cache::Blob::State::complete) return true;
  if (request_->method == http::Method::kHead) return true;
  const StoredResponse& stored = stored_response(found);
  const WantedRanges wanted(*request_, stored, *found.blob, context_.reactor.wall_now(),
                            settings_->limits);
  if (wanted.kind() == WantedRanges::Kind::nothing) return true;
  const auto missing = [&]() -> std::optional<std::uint64_t> {
    if (wanted.kind() == WantedRanges::Kind::whole) {
      const auto gap = found.blob->first_gap(0);
      return gap ? std::optional(gap->begin) : std::nullopt;
    }
    for (const http::ByteRange& range : wanted.ranges().view()) {
      const auto gap = found.blob->first_gap(range.first);
      if (gap && gap->begin <= range.last) return gap->begin;
    }
    return std::nullopt;
  };
  auto offset = missing();
  if (!offset) return true;
  const Ref<FetchTicket> filling = context_.table.ticket_of(*found.blob);
  if (filling) {
    if (filling->phase() == FetchPhase::pending || filling->answer().fills_all) {
      // It may be about to end, and then brings nothing more.
      if (found.blob->kind() == cache::Blob::Kind::kept && filling->want(*offset)) return true;
    }
  }
  // It may have been completed between the two looks.
  return !missing() || found.blob->state() == cache::Blob::State::complete;
}

void Exchange::fetch_for(const cache::Found* validate, const cache::Found* extend,
                         http::Forwarded why) {
  const http::RequestHead& request = *request_;
  FetchRequest fetch;
  fetch.name = key_;
  fetch.settings = settings_;
  fetch.request = request;
  cache_status_.forwarded = why;

  const bool is_get = request.method == http::Method::kGet;
  if (is_get && validate != nullptr) {
    candidate_ = *validate;
    fetch.standby = *validate;
    if (stored_response(*validate).validators().tag ||
        stored_response(*validate).validators().last_modified ||
        stored_response(*validate).fields().contains("ETag")) {
      fetch.validate = *validate;
    }
  }
  // Nothing may be joined to a part without a strong validator (RFC 9111 3.4): then the whole is
  // fetched in its place, once for all who want another range.
  const bool joinable = extend != nullptr && stored_response(*extend).has_strong_validator();
  if (is_get && joinable && extend->blob->kind() == cache::Blob::Kind::kept &&
      !context_.table.ticket_of(*extend->blob)) {
    const WantedRanges wanted(request, stored_response(*extend), *extend->blob,
                              context_.reactor.wall_now(), settings_->limits);
    fetch.extend = *extend;
    fetch.extend_from = wanted.first_byte();
  }
  fetch.forward_range =
      is_get && !fetch.validate && !fetch.extend && (extend == nullptr || joinable) &&
      request.fields.contains("Range") && !request.fields.contains("If-Range") &&
      !http::has_preconditions(request.fields) && WantedRanges::is_single(request);

  bool shared = is_get && why != http::Forwarded::kRequest && !directives_.no_store &&
                !request.fields.contains("Authorization") && rounds_ < kMaximumRounds;
  fetch.collapse_key = key_;
  const auto variants = validate == nullptr && extend == nullptr && is_get
                            ? context_.store.find_all(key_)
                            : std::vector<cache::Found>{};
  if (!variants.empty()) {
    cache_status_.forwarded = http::Forwarded::kVaryMiss;
    fetch.collapse_key += '\n';
    http::append_vary_key(fetch.collapse_key, stored_response(variants.front()).vary_names(),
                          request.fields);
  }
  if (context_.table.is_unshareable(fetch.collapse_key, context_.reactor.now())) shared = false;
  begin_fetch(std::move(fetch), shared);
}

void Exchange::forward_alone(http::Forwarded why) {
  FetchRequest fetch;
  fetch.name = key_;
  fetch.settings = settings_;
  fetch.request = *request_;
  fetch.content = std::move(content_);
  http::update_max_forwards(fetch.request);
  cache_status_.forwarded = why;
  begin_fetch(std::move(fetch), false);
}

void Exchange::begin_fetch(FetchRequest fetch, bool shared) {
  http::append_forward_target(fetch.forward_target, *request_, settings_->query_rules);
  step_ = Step::waiting;
  interim_seen_ = 0;
  began_ticket_ = true;
  ticket_ = make_ref<FetchTicket>(context_.store.purges());
  if (shared) {
    const Ref<FetchTicket> fresh = ticket_;
    ticket_ = context_.table.join_or_begin(fetch.collapse_key, fresh, &began_ticket_);
    if (!began_ticket_ && context_.store.purged_since(ticket_->purges_seen(), key_)) {
      // The origin was asked before the purge: what it answers is not for who asks after it.
      context_.table.end(fetch.collapse_key, *ticket_);
      ticket_ = context_.table.join_or_begin(fetch.collapse_key, fresh, &began_ticket_);
    }
  } else {
    fetch.collapse_key.clear();
  }
  const Limits& limits = settings_->limits;
  if (!began_ticket_) {
    cache_status_.collapsed = true;
    if (ticket_->join(signal_, limits.waiting_per_fetch)) return;
    count(context_.counters.limit_waiting);
    ticket_.reset();
    answer_error(503, "too many listeners wait for this object");
    return;
  }
  if (context_.shared.fetches.load(std::memory_order_relaxed) >= limits.fetches) {
    count(context_.counters.limit_fetches);
    FetchAnswer none;
    none.failure = origin::OriginFailureKind::overloaded;
    if (shared) context_.table.end(fetch.collapse_key, *ticket_);
    ticket_->settle(FetchPhase::failed, std::move(none));
    on_ticket();
    return;
  }
  ticket_->join(signal_, limits.waiting_per_fetch);
  auto owned = std::make_unique<Fetch>(context_, std::move(fetch), ticket_);
  Fetch& begun = *owned;
  context_.adopt(std::move(owned));
  begun.start();
}

// Stale-while-revalidate: the listener has its answer; one validation goes on behind it, whoever
// else asks meanwhile.
void Exchange::revalidate_behind(const cache::Found& found) {
  if (context_.shared.fetches.load(std::memory_order_relaxed) >= settings_->limits.fetches) return;
  FetchRequest fetch;
  fetch.name = key_;
  fetch.collapse_key = key_;
  fetch.settings = settings_;
  fetch.request = *request_;
  fetch.request.method = http::Method::kGet;
  fetch.request.method_text = "GET";
  fetch.validate = found;
  http::append_forward_target(fetch.forward_target, *request_, settings_->query_rules);
  if (!stored_response(found).vary_names().empty()) {
    fetch.collapse_key += '\n';
    http::append_vary_key(fetch.collapse_key, stored_response(found).vary_names(),
                          request_->fields);
  }
  bool began = false;
  auto ticket = make_ref<FetchTicket>(context_.store.purges());
  context_.table.join_or_begin(fetch.collapse_key, ticket, &began);
  if (!began) return;
  count(context_.counters.fetches_background);
  auto owned = std::make_unique<Fetch>(context_, std::move(fetch), ticket);
  Fetch& begun = *owned;
  context_.adopt(std::move(owned));
  ticket->abandon();
  begun.start();
}

void Exchange::on_signal() {
  if (step_ == Step::waiting) {
    on_ticket();
  } else if (step_ == Step::continuing) {
    on_rest();
  } else if (step_ == Step::body) {
    host_->exchange_has_more();
  }
}

// A shared body left this listener behind (it read too slowly for the others, or memory was short):
// the rest comes by a request of its own, which only the same representation can answer (RFC
// 9110 13.1.5).
bool Exchange::continue_alone() {
  const Ref<const cache::Metadata> source = std::exchange(source_, nullptr);
  if (!source || !feeder_.can_continue()) return false;
  const StoredResponse& stored = stored_response(*source);
  if (request_->method != http::Method::kGet || stored.status() != 200 ||
      !stored.has_strong_validator()) {
    return false;
  }
  if (context_.shared.fetches.load(std::memory_order_relaxed) >= settings_->limits.fetches) {
    count(context_.counters.limit_fetches);
    return false;
  }
  count(context_.counters.listeners_continued);
  if (ticket_ && began_ticket_) ticket_->abandon();
  FetchRequest fetch;
  fetch.settings = settings_;
  fetch.request = *request_;
  fetch.rest = {source, feeder_.position(), feeder_.end(), source_bytes_};
  http::append_forward_target(fetch.forward_target, *request_, settings_->query_rules);
  ticket_ = make_ref<FetchTicket>();
  began_ticket_ = true;
  ticket_->join(signal_, 1);
  step_ = Step::continuing;
  auto owned = std::make_unique<Fetch>(context_, std::move(fetch), ticket_);
  Fetch& begun = *owned;
  context_.adopt(std::move(owned));
  begun.start();
  return true;
}

void Exchange::on_rest() {
  if (ticket_->phase() == FetchPhase::pending) return;
  rest_failed_ = ticket_->phase() == FetchPhase::failed;
  if (!rest_failed_) feeder_.continue_with(ticket_->answer().found.blob, ticket_->take_reader());
  step_ = Step::body;
  host_->exchange_has_more();
}

void Exchange::on_ticket() {
  if (!ticket_) return;
  // The phase first: interim responses that were there when it settled are then not missed.
  const FetchPhase phase = ticket_->phase();
  for (const auto& interim : ticket_->interim_after(interim_seen_)) {
    ++interim_seen_;
    // Not for HTTP/1.0 (RFC 9110 15.2), and not for those who only wait along: what was said to one
    // listener may be about it.
    if (request_->version_minor == 0 || !began_ticket_) continue;
    http::append_status_line(interim_text_, interim->status);
    for (const http::Field& field : interim->fields) {
      if (is_for_tls_only(field.name)) continue;
      interim_text_.append(field.name).append(": ").append(field.value).append("\r\n");
    }
    interim_text_ += "\r\n";
  }
  switch (phase) {
    case FetchPhase::pending:
      if (!interim_text_.empty()) host_->exchange_has_more();
      return;
    case FetchPhase::answered:
      on_answer();
      return;
    case FetchPhase::failed:
      on_failure();
      return;
  }
}

void Exchange::on_answer() {
  const Ref<FetchTicket> ticket = ticket_;  // outlives the rounds below
  const FetchAnswer& answer = ticket->answer();
  cache::Found found = answer.found;
  cache_status_.forward_status = answer.origin_status;

  if (answer.origin_error) {
    candidate_ = found;
    if (stale_on_error()) return;
    answer_error(answer.origin_status,
                 "the origin has an error and what this cache has may not be used");
    return;
  }
  if (!began_ticket_) {
    // Somebody else's fetch: is its answer for us as well?
    // (A body that outgrew the cache meanwhile may have forgotten its beginning.)
    const bool for_us = answer.shareable && stored_response(found).matches(request_->fields) &&
                        found.blob->kind() == cache::Blob::Kind::kept;
    if (!for_us) {
      ++rounds_;
      cache_status_ = {};
      ticket_.reset();
      decide();
      return;
    }
    count(context_.counters.cache_collapsed);
  } else {
    cache_status_.stored = found.object.get() != nullptr && !answer.validated;
    cache_status_.detail = answer.not_stored_because;
    if (answer.as_received) found.metadata = answer.as_received;
  }
  if (found.blob->state() == cache::Blob::State::broken) {
    // It broke before a byte of it was sent: better an honest error than a response that is cut.
    if (stale_on_error()) return;
    answer_error(502, "the origin broke off its answer");
    return;
  }
  const bool kept = found.blob->kind() == cache::Blob::Kind::kept;
  if (began_ticket_ && answer.verbatim) {
    answer_verbatim(found, *answer.verbatim);
    return;
  }
  // Who began a fetch for a range gets that range from it; anything else must be there, or certain
  // to come.
  const bool certain = began_ticket_ && !answer.validated && !answer.fills_all;
  if (answer.shareable && kept && !certain && !covers(found)) {
    ticket_.reset();
    if (++rounds_ > kMaximumRounds) {
      answer_error(502, "the origin sends parts that do not make a whole");
      return;
    }
    fetch_for(nullptr, &found, http::Forwarded::kPartial);
    return;
  }
  if (answer.validated) {
    count(context_.counters.cache_hits_validated);
    from_cache_ = true;
  } else if (began_ticket_) {
    count(found.object ? context_.counters.cache_misses : context_.counters.cache_passes);
  }
  answer_from(found, began_ticket_ && !answer.validated);
}

void Exchange::on_failure() {
  const origin::OriginFailureKind failure = ticket_->answer().failure;
  if (stale_on_error()) return;
  switch (failure) {
    case origin::OriginFailureKind::timed_out:
      answer_error(504, "the origin did not answer in time");
      return;
    case origin::OriginFailureKind::overloaded:
      answer_error(503, "this node has as many fetches under way as it may");
      return;
    case origin::OriginFailureKind::no_origin:
      answer_error(502, "this node has no origin for this host");
      return;
    case origin::OriginFailureKind::malformed:
      answer_error(502, "the origin's answer cannot be understood");
      return;
    case origin::OriginFailureKind::unreachable:
    case origin::OriginFailureKind::broken:
      // RFC 9111 5.2.2.2: what must be validated and cannot be is a 504.
      if (candidate_ && stored_response(*candidate_).freshness().stale_forbidden) {
        answer_error(504,
                     "what this cache has must be validated, and the origin cannot be reached");
        return;
      }
      answer_error(502, "the origin cannot be reached");
      return;
  }
}

// RFC 5861 4, RFC 9111 4.2.4: a stored response stands in for an origin that fails, where nothing
// forbids it.
bool Exchange::stale_on_error() {
  if (!candidate_) return false;
  const StoredResponse& stored = stored_response(*candidate_);
  if (!http::may_serve_on_error(stored.freshness(), directives_, context_.precise_now(),
                                settings_->cache)) {
    return false;
  }
  const cache::Found found = *candidate_;
  if (!covers(found)) return false;
  count(context_.counters.cache_hits);
  count(context_.counters.cache_hits_stale);
  from_cache_ = true;
  cache_status_.detail = "stale-if-error";
  answer_from(found, false);
  return true;
}

void Exchange::give_up_waiting() {
  NEARFIELD_ASSERT(step_ == Step::waiting);
  count(context_.counters.timeout_response);
  if (ticket_) ticket_->leave(*signal_);
  if (stale_on_error()) return;
  answer_error(504, "no answer came in time");
}

}  // namespace nearfield::proxy
