// See fetch.h. This file: from the request to the settled ticket. What happens to the body is in
// fetch_body.cc.
#include "dataplane/proxy/fetch.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/forward.h"
#include "dataplane/http/invalidate.h"
#include "dataplane/http/range.h"
#include "dataplane/http/reuse.h"
#include "dataplane/http/storability.h"
#include "dataplane/http/update.h"
#include "dataplane/http/vary.h"
#include "dataplane/proxy/fetch_part.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

Fetch::Fetch(WorkerContext& context, FetchRequest request, Ref<FetchTicket> ticket)
    : context_(context),
      request_(std::move(request)),
      ticket_(std::move(ticket)),
      timer_([](void* self) { static_cast<Fetch*>(self)->on_signal(); }, this),
      lag_timer_([](void* self) { static_cast<Fetch*>(self)->watch_laggards(); }, this) {
  signal_ = context_.reactor.make_signal([this] { on_signal(); });
  ticket_->set_owner_signal(signal_);
  context_.shared.fetches.fetch_add(1, std::memory_order_relaxed);
  adjust(context_.counters.fetches_open, 1);
}

Fetch::~Fetch() {
  NEARFIELD_ASSERT(finished_);
  context_.reactor.cancel_signal(signal_);
  context_.shared.fetches.fetch_sub(1, std::memory_order_relaxed);
  adjust(context_.counters.fetches_open, -1);
}

void Fetch::start() {
  count(context_.counters.fetches_started);
  request_time_ = context_.precise_now();
  auto part = std::make_unique<Part>(*this, true);
  Part& lead = *part;
  parts_.push_back(std::move(part));
  if (request_.rest) begin_rest(lead);
  lead.begin(context_.origin, lead_request());
}

void Fetch::abort() {
  if (finished_) return;
  for (const auto& part : parts_) part->over = true;
  if (ticket_->phase() == FetchPhase::pending) {
    FetchAnswer none;
    none.failure = origin::OriginFailureKind::overloaded;
    answer(FetchPhase::failed, std::move(none));
  }
  body_broken();
}

// What a request for this object is, whoever's fetch it is: the listener's end-to-end fields
// without its conditions, which are answered here from what the fetch brings. Requests that are not
// for the cache keep theirs.
origin::OriginRequest Fetch::lead_request() {
  const http::RequestHead& asked = request_.request;
  origin::OriginRequest out;
  out.method = asked.method_text;
  out.authority = asked.authority;
  out.path_and_query = request_.forward_target;
  out.fields = asked.fields;
  out.body = request_.content.take_text();  // of methods that are forwarded once only
  out.idempotent = http::is_idempotent(asked.method);
  http::remove_hop_by_hop(out.fields);
  if (asked.expect_continue) out.fields.remove("Expect");  // answered here
  http::append_via(out.fields, asked, request_.settings->node_name);

  if (asked.method == http::Method::kGet || asked.method == http::Method::kHead) {
    const std::optional<std::string> range = out.fields.combined("Range");
    http::remove_conditions(out.fields);
    if (request_.forward_range && range) out.fields.set("Range", *range);
    if (const auto& rest = request_.rest) {
      std::optional<std::uint64_t> last;
      if (rest->end && rest->end != rest->total_bytes) last = *rest->end - 1;
      http::add_range(out.fields, rest->begin, last, head_->fields(), head_->received());
    } else if (request_.extend) {
      const StoredResponse& stored = stored_response(*request_.extend);
      // The gap may have closed since it was seen (another worker's fetch): then the whole is asked
      // for, which is rare and right.
      if (const auto gap = request_.extend->blob->first_gap(request_.extend_from)) {
        const std::optional<std::uint64_t> total = request_.extend->blob->total_bytes();
        std::optional<std::uint64_t> last;
        if (gap->end && gap->end != total) last = *gap->end - 1;
        http::add_range(out.fields, gap->begin, last, stored.fields(), stored.received());
      }
    } else if (request_.validate) {
      http::add_validators(out.fields, stored_response(*request_.validate).fields());
    }
  }
  return out;
}

void Fetch::Part::on_interim(const http::ResponseHead& head) {
  if (over || !lead || fetch_.ticket_->phase() != FetchPhase::pending) return;
  auto copy = std::make_shared<http::ResponseHead>(head);
  http::remove_hop_by_hop(copy->fields);
  copy->fields.remove("Content-Length");  // there is none in a 1xx (RFC 9110 8.6)
  fetch_.ticket_->add_interim(std::move(copy));
}

void Fetch::Part::on_head(http::ResponseHead&& head) {
  if (over) return;
  head_seen = true;
  if (fetch_.ticket_->phase() == FetchPhase::pending) {
    fetch_.lead_head(*this, std::move(head));
    return;
  }
  // A further part: only the same representation, from the place that was asked for, may join what
  // is there.
  if (!fetch_.extends_with(*this, head)) {
    fetch_.part_failed(*this, {origin::OriginFailureKind::malformed,
                               "the object changed at the origin while it was fetched in parts"});
  }
}

void Fetch::lead_head(Part& part, http::ResponseHead&& head) {
  http::remove_hop_by_hop(head.fields);
  http::ensure_date(head.fields, context_.reactor.wall_now());
  if (request_.rest) {
    rest_head(part, head);
    return;
  }
  if (confirmed_by(head)) {
    part.over = true;
    finish();
    return;
  }
  if (head.status == 304 && request_.validate) {
    // Confirms something else than what we asked about: of no use to us, and asking without a
    // condition cannot be misunderstood.
    restart_unconditionally();
    return;
  }
  if (head.status == 304 && (request_.request.method == http::Method::kGet ||
                             request_.request.method == http::Method::kHead)) {
    // To a request without a condition: there is nothing that it could confirm.
    part.over = true;
    fail_malformed();
    return;
  }
  if (stale_stands_in_for(head)) {
    part.over = true;
    finish();
    return;
  }
  if (request_.extend) {
    if (extends_with(part, head) && take_up_part()) return;
    if (head.status == 206 || head.status == 416) {
      // The origin has another representation by now, or one that cannot be told apart: the part is
      // worth nothing.
      if (!blob_) context_.store.remove(request_.extend->object);
      restart_unconditionally();
      return;
    }
  }
  apply_side_effects(head);
  take_response(part, std::move(head));
}

void Fetch::begin_rest(Part& part) {
  const FetchRequest::Rest& rest = *request_.rest;
  head_ = Ref<const StoredResponse>(&stored_response(*rest.head));
  blob_ = context_.store.make_blob(cache::Blob::Kind::streaming, rest.total_bytes);
  blob_->begin_at(rest.begin);
  part.position = rest.begin;
}

// The rest of a response whose head is with the listener already: exactly that, or the response
// breaks.
void Fetch::rest_head(Part& part, const http::ResponseHead& head) {
  FetchAnswer rest;
  rest.origin_status = head.status;
  if (!extends_with(part, head)) {
    part.over = true;
    rest.failure = origin::OriginFailureKind::malformed;
    answer(FetchPhase::failed, std::move(rest));
    finish();
    return;
  }
  blob_->set_space_signal(signal_);
  ticket_->set_reader(cache::BlobReader(blob_, request_.rest->begin));
  rest.found = {nullptr, head_, blob_};
  answer(FetchPhase::answered, std::move(rest));
}

// Goes on with a stored part. Another fetch may have taken it up since (a blob has one writer), or
// the index may be full: then it is left alone.
bool Fetch::take_up_part() {
  if (!context_.table.attach_blob(*blob_, ticket_)) return false;
  if (blob_->state() != cache::Blob::State::growing ||
      blob_->kind() == cache::Blob::Kind::streaming) {
    context_.table.detach_blob(*blob_);
    return false;
  }
  const cache::Found& part = *request_.extend;
  // In the store as a growing object again, so that it is not evicted while it grows and weighed
  // anew when it has grown.
  auto again = context_.store.insert(
      request_.name, part.metadata, part.blob,
      [&](const cache::Metadata& other) { return &other == part.metadata.get(); });
  if (!again) {
    context_.table.detach_blob(*blob_);
    return false;
  }
  object_ = again->object;
  remove_if_purged();
  blob_->set_space_signal(signal_);
  FetchAnswer extended;
  extended.found = *again;
  extended.shareable = true;
  extended.origin_status = 206;
  extended.fills_all = may_fill();
  answer(FetchPhase::answered, std::move(extended));
  return true;
}

// A purge while the origin was asked: the answer may be from before it. Who waits still gets it.
void Fetch::remove_if_purged() {
  if (context_.store.purged_since(ticket_->purges_seen(), request_.name)) {
    context_.store.remove(object_);
  }
}

void Fetch::restart_unconditionally() {
  for (const auto& part : parts_) part->over = true;
  request_.validate.reset();
  request_.extend.reset();
  blob_.reset();
  object_.reset();
  head_.reset();
  sparse_ = false;
  if (std::exchange(restarted_, true)) {
    fail_malformed();
    return;
  }
  request_.forward_range = false;
  start();
}

void Fetch::fail_malformed() {
  FetchAnswer none;
  none.failure = origin::OriginFailureKind::malformed;
  answer(FetchPhase::failed, std::move(none));
  finish();
}

// A 304 to our own validators: the stored response gets the new fields and a new life (RFC
// 9111 4.3.4).
bool Fetch::confirmed_by(const http::ResponseHead& head) {
  if (head.status != 304 || !request_.validate) return false;
  const cache::Found& found = *request_.validate;
  const StoredResponse& stored = stored_response(found);
  if (!http::confirms(head.fields, stored.fields(), true)) return false;

  http::Fields fields = stored.fields();
  http::Fields fresh = head.fields;
  const http::CacheDirectives directives = http::parse_response_directives(fresh);
  http::prepare_for_storage(fresh, directives, request_.settings->cache);
  http::update_stored_fields(fields, fresh);
  fields.remove("Age");
  if (const auto age = fresh.find("Age")) fields.add("Age", *age);
  const bool shareable = stays_shareable(stored.status(), fields);
  auto metadata =
      make_ref<StoredResponse>(stored.status(), std::move(fields),
                               http::ExchangeTimes{request_time_, context_.precise_now()},
                               stored.vary_names(), stored.vary_key(), request_.settings->cache);

  FetchAnswer confirmed;
  confirmed.found = {found.object, metadata, found.blob};
  confirmed.shareable = shareable;
  confirmed.validated = true;
  confirmed.origin_status = 304;
  if (!shareable) {
    // From now on it is this listener's alone (private, no-store, an answer to its Authorization).
    context_.store.remove(found.object);
    confirmed.found.object.reset();
    answer(FetchPhase::answered, std::move(confirmed));
    return true;
  }
  // Purged or evicted meanwhile: then it stays so, and who waits is served from what we hold.
  context_.store.replace_metadata(found.object, metadata);
  answer(FetchPhase::answered, std::move(confirmed));
  return true;
}

// Whether a freshened response may still be everyone's.
bool Fetch::stays_shareable(std::uint16_t status, const http::Fields& fields) const {
  const http::CachePolicy& policy = request_.settings->cache;
  const auto directives = http::parse_response_directives(fields);
  const auto now = context_.precise_now();
  http::RequestHead as_get = request_.request;
  as_get.method = http::Method::kGet;
  return http::may_store(
             as_get, http::parse_request_directives(as_get.fields), status, fields, directives,
             http::compute_freshness(status, fields, directives, {request_time_, now}, policy),
             policy) == http::Storability::kStorable;
}

bool Fetch::stale_stands_in_for(const http::ResponseHead& head) {
  if (!request_.standby || !http::is_origin_error(head.status)) return false;
  const auto directives = http::parse_request_directives(request_.request.fields);
  if (!http::may_serve_on_error(stored_response(*request_.standby).freshness(), directives,
                                context_.precise_now(), request_.settings->cache)) {
    return false;
  }
  FetchAnswer stale;
  stale.found = *request_.standby;
  stale.origin_error = true;
  stale.origin_status = head.status;
  stale.shareable = true;
  answer(FetchPhase::answered, std::move(stale));
  return true;
}

// Whether this head continues the body we have: the range asked for, of the same length, under the
// same strong validator.
bool Fetch::extends_with(Part& part, const http::ResponseHead& head) {
  const cache::Found* base = request_.extend ? &*request_.extend : nullptr;
  const Ref<cache::Blob>& blob = blob_ ? blob_ : base->blob;
  const StoredResponse& stored = head_ ? *head_ : stored_response(*base);
  if (head.status != 206 || !stored.has_strong_validator()) return false;
  const auto text = head.fields.find("Content-Range");
  const auto range = text ? http::parse_content_range(*text) : std::nullopt;
  if (!range || !range->range) return false;
  std::uint64_t begin = part.position;
  if (part.lead && request_.extend) {
    const auto gap = blob->first_gap(request_.extend_from);
    if (!gap) return false;
    begin = gap->begin;
  }
  if (range->range->first != begin) return false;
  if (!range->complete_size) return false;
  if (blob->total_bytes() && *range->complete_size != *blob->total_bytes()) return false;
  const auto validators = http::Validators::of(head.fields, context_.reactor.wall_now());
  if (stored.validators().tag) {
    if (!validators.tag || !http::strong_equal(*validators.tag, *stored.validators().tag))
      return false;
  } else if (validators.last_modified != stored.validators().last_modified) {
    return false;
  }
  if (!blob->total_bytes()) {
    if (*range->complete_size <= part.position) return false;
    blob->set_total_bytes(*range->complete_size);
  }
  part.position = begin;
  part.end = range->range->last + 1;
  if (base != nullptr && !blob_) {
    blob_ = base->blob;
    head_ = Ref<const StoredResponse>(&stored);
    sparse_ = true;
  }
  return true;
}

// What a response does to what is stored, beside being stored itself: an unsafe method that
// succeeded invalidates (RFC 9111 4.4), a HEAD freshens or spoils (4.3.5). In force before the
// listener hears of it.
void Fetch::apply_side_effects(http::ResponseHead& head) {
  const http::RequestHead& asked = request_.request;
  if (!http::is_safe(asked.method)) {
    for (const std::string& key :
         http::invalidated_keys(asked, head.status, head.fields, request_.settings->query_rules)) {
      count(context_.counters.invalidations, context_.store.purge(key));
    }
    return;
  }
  if (asked.method != http::Method::kHead) return;
  for (const cache::Found& found : context_.store.find_all(request_.name)) {
    const StoredResponse& stored = stored_response(found);
    if (!stored.matches(asked.fields)) continue;
    switch (
        http::head_effect(head.status, head.fields, stored.fields(), found.blob->total_bytes())) {
      case http::HeadEffect::kNone:
        break;
      case http::HeadEffect::kInvalidate:
        context_.store.remove(found.object);
        break;
      case http::HeadEffect::kUpdate: {
        http::Fields fields = stored.fields();
        http::Fields fresh = head.fields;
        http::prepare_for_storage(fresh, http::parse_response_directives(fresh),
                                  request_.settings->cache);
        http::update_stored_fields(fields, fresh);
        if (!stays_shareable(stored.status(), fields))
          break;  // it speaks to this listener, not of what all share
        auto freshened = make_ref<StoredResponse>(
            stored.status(), std::move(fields),
            http::ExchangeTimes{request_time_, context_.precise_now()}, stored.vary_names(),
            stored.vary_key(), request_.settings->cache);
        context_.store.replace_metadata(found.object, freshened);
        // The listener hears all that is known now, also what the origin left out of this answer.
        for (const http::Field& field : freshened->fields()) {
          if (!head.fields.contains(field.name)) head.fields.add(field.name, field.value);
        }
        break;
      }
    }
  }
}

namespace {

// The one range a 206 brings, if its length is what it says.
std::optional<http::ContentRange> usable_part(const http::ResponseHead& head) {
  const auto text = head.fields.find("Content-Range");
  const auto range = text ? http::parse_content_range(*text) : std::nullopt;
  if (!range || !range->range || !range->complete_size) return std::nullopt;
  if (head.has_content_length && head.content_length != range->range->size()) return std::nullopt;
  return range;
}

// Whether it is the range that was asked for.
bool is_what_was_asked(const http::RequestHead& asked, const http::ContentRange& range) {
  const auto text = asked.fields.combined("Range");
  const auto wanted = text ? http::parse_range(*text) : std::nullopt;
  if (!wanted) return false;
  const http::RangeSet set = http::resolve_ranges(*wanted, *range.complete_size);
  return set.count == 1 && set.ranges[0] == *range.range;
}

}  // namespace

// A full answer to a validation says that what is stored is not what the resource is any more (RFC
// 9111 4.3.3). Where the new response takes no place in the store the old one must not go on as
// stale. Not for answers that are about this listener (401, 429, its Authorization) or that an
// origin gives in trouble.
void Fetch::drop_superseded(std::uint16_t status) {
  const auto& old = request_.validate ? request_.validate : request_.standby;
  if (!old || request_.request.fields.contains("Authorization")) return;
  if (status < 400 || status == 404 || status == 410) context_.store.remove(old->object);
}

void Fetch::take_response(Part& part, http::ResponseHead&& head) {
  const http::RequestHead& asked = request_.request;
  const Settings& settings = *request_.settings;
  http::append_via(head.fields, head.version_minor, settings.node_name);
  const http::ExchangeTimes times{request_time_, context_.precise_now()};
  const auto directives = http::parse_response_directives(head.fields);
  const auto freshness =
      http::compute_freshness(head.status, head.fields, directives, times, settings.cache);
  auto verdict = http::may_store(asked, http::parse_request_directives(asked.fields), head.status,
                                 head.fields, directives, freshness, settings.cache);
  std::optional<http::ContentRange> range;
  if (head.status == 206) {
    range = usable_part(head);
    if (!range) verdict = http::Storability::kPartial;
  }
  bool storable = verdict == http::Storability::kStorable && !request_.name.empty();

  const bool has_body = head.framing != http::BodyFraming::kNone;
  std::optional<std::uint64_t> total;
  if (range) {
    total = range->complete_size;
  } else if (!has_body) {
    total = 0;
  } else if (head.framing == http::BodyFraming::kLength) {
    total = head.content_length;
  }
  // The answer to a HEAD declares a length and brings nothing: waiting for that many bytes would
  // look like a broken body.
  std::optional<std::uint64_t> own_length = 0;
  if (has_body) {
    own_length =
        head.has_content_length ? std::optional<std::uint64_t>(head.content_length) : std::nullopt;
  }

  FetchAnswer response;
  response.origin_status = head.status;
  if (storable && total && !context_.store.keeps(*total)) {
    storable = false;
    response.not_stored_because = "too-large";
  }
  if (storable) {
    http::Fields kept = head.fields;
    http::prepare_for_storage(kept, directives, settings.cache);
    const std::string names = http::vary_names(kept).value_or("");
    std::string key;
    http::append_vary_key(key, names, asked.fields);
    const bool as_received_differs = kept.text() != head.fields.text();
    if (range) kept.remove("Content-Range");
    auto metadata =
        make_ref<StoredResponse>(range ? std::uint16_t{200} : head.status, std::move(kept), times,
                                 names, std::move(key), settings.cache);
    auto blob = context_.store.make_blob(cache::Blob::Kind::kept, total);
    const bool complete_now = total == 0;
    auto inserted = context_.store.insert(
        request_.name, metadata, blob,
        [&](const cache::Metadata& other) { return stored_response(other).matches(asked.fields); });
    if (inserted) {
      response.found = *inserted;
      response.shareable = true;
      object_ = inserted->object;
      remove_if_purged();
      head_ = metadata;
      blob_ = blob;
      if (range && !is_what_was_asked(asked, *range)) response.verbatim = *range->range;
      if ((as_received_differs && !range) || response.verbatim) {
        response.as_received =
            make_ref<StoredResponse>(head.status, head.fields, times, "", "", settings.cache);
      }
      sparse_ = range.has_value();
      if (range) {
        part.position = range->range->first;
        part.end = range->range->last + 1;
      } else if (total) {
        part.end = total;
      }
      response.fills_all = !sparse_ || may_fill();
      if (!complete_now) {
        const bool attached = context_.table.attach_blob(*blob_, ticket_);
        NEARFIELD_ASSERT(attached);
      }
    } else {
      storable = false;
      response.not_stored_because = "index-full";
    }
  }
  if (!storable) {
    drop_superseded(head.status);
    if (response.not_stored_because.empty()) {
      response.not_stored_because = request_.name.empty() ? "" : http::storability_token(verdict);
    }
    auto metadata =
        make_ref<StoredResponse>(head.status, head.fields, times, "", "", settings.cache);
    blob_ = context_.store.make_blob(cache::Blob::Kind::streaming, own_length);
    head_ = metadata;
    response.found = {nullptr, metadata, blob_};
    part.position = 0;
    part.end = own_length;
    if (!request_.collapse_key.empty()) {
      context_.table.remember_unshareable(request_.collapse_key,
                                          context_.reactor.now() + settings.unshareable_memory);
    }
    count(context_.counters.fetches_streamed);
  }
  blob_->set_space_signal(signal_);
  // Of a part, where the starter will read: a break before it does is then seen by it.
  ticket_->set_reader(cache::BlobReader(blob_, sparse_ ? part.position : 0));
  answer(FetchPhase::answered, std::move(response));
}

void Fetch::answer(FetchPhase phase, FetchAnswer answer) {
  if (phase == FetchPhase::failed) count(context_.counters.fetches_failed);
  // Later requests find the object, if there is one, in the store; so it leaves the table first.
  if (!request_.collapse_key.empty()) context_.table.end(request_.collapse_key, *ticket_);
  ticket_->settle(phase, std::move(answer));
}

}  // namespace nearfield::proxy
