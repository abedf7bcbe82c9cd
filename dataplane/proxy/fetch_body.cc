// See fetch.h. This file: from the settled ticket to the end of the body: parts, gaps, breaks and
// their mending.
#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/http/forward.h"
#include "dataplane/proxy/fetch.h"
#include "dataplane/proxy/fetch_part.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

namespace {

constexpr std::uint64_t kHashSliceBytes = 1024 * 1024;
constexpr Duration kResumeDelay = std::chrono::milliseconds(100);
// Slow readers of a streamed body may cost the others a fifth of their time. Beyond it what they
// cost adds up, and after a second of it they are cut loose.
constexpr Duration kLagSample = std::chrono::milliseconds(100);
constexpr Duration kLagGrace = std::chrono::seconds(1);
constexpr int kLagShare = 4;  // samples without lag that make up for one with

}  // namespace

void Fetch::Part::on_complete(http::Fields&& trailers) {
  // Trailers are dropped: a listener over HTTP/1.1 that did not ask for them (TE: trailers) has no
  // use for them, and merging them into a stored head is forbidden without knowing their definition
  // (RFC 9110 6.5.1).
  (void)trailers;
  if (over) return;
  fetch_.part_complete(*this);
}

std::size_t Fetch::part_body(Part& part, std::span<const std::byte> bytes) {
  NEARFIELD_ASSERT(blob_);
  if (nobody_cares()) {
    body_broken();
    return bytes.size();
  }
  std::uint64_t allowed = bytes.size();
  if (part.end) allowed = std::min<std::uint64_t>(allowed, *part.end - part.position);
  if (sparse_) {
    // What another part brought meanwhile is not brought twice.
    const auto gap = blob_->first_gap(part.position);
    if (!gap || gap->begin != part.position) {
      end_part(part);
      fill_next_gap();
      return bytes.size();
    }
    if (gap->end) allowed = std::min<std::uint64_t>(allowed, *gap->end - part.position);
  }
  const std::size_t taken =
      blob_->write(part.position, bytes.first(static_cast<std::size_t>(allowed)));
  part.position += taken;
  count(context_.counters.origin_body_bytes, taken);
  if (blob_->kind() == cache::Blob::Kind::kept) {
    if (!blob_->total_bytes() && !context_.store.keeps(part.position))
      stop_keeping();
    else
      blob_->advance_digest(2 * taken + cache::kBlockBytes);
  }
  if (taken < allowed) {
    part.paused = true;
    if (blob_->kind() == cache::Blob::Kind::kept) {
      out_of_memory();
    } else if (!lag_timer_.armed() && blob_->reader_count() > 1) {
      context_.reactor.arm(lag_timer_, context_.reactor.now() + kLagSample);
    }
    return finished_ ? bytes.size() : taken;
  }
  if (allowed < bytes.size()) {
    // More than was asked for (an open-ended range that ran into what is there).
    end_part(part);
    fill_next_gap();
    return bytes.size();
  }
  return taken;
}

// From here on it streams: it outgrew its share, or memory is short. It stays in the table, as it
// still has its one writer.
void Fetch::stop_keeping() {
  if (object_) context_.store.remove(object_);
  object_.reset();
  blob_->stop_keeping();
  count(context_.counters.fetches_streamed);
}

// All memory is held by listeners. To wait for it with a body that is to be kept would be to wait
// for others who do the same; as a stream it lives from what its own listeners have read.
void Fetch::out_of_memory() {
  stop_keeping();
  if (sparse_ && ticket_->answer().fills_all) {
    // Filled from several places it is no stream: what its listeners miss they fetch themselves.
    for (const auto& part : parts_) part->over = true;
    resumes_.clear();
    end_as_part();
    return;
  }
  signal_->raise();
}

// Looks now and then, while the writer waits for the slowest reader, whether another one waits for
// the writer.
void Fetch::watch_laggards() {
  if (finished_ || !blob_) return;
  if (blob_->held_back()) {
    lag_ += kLagSample;
  } else {
    lag_ -= std::min<Duration>(lag_, kLagSample / kLagShare);
  }
  if (lag_ >= kLagGrace) {
    if (const std::size_t cut = blob_->cut_laggards()) {
      count(context_.counters.listeners_cut_loose, cut);
      lag_ = {};
      resume_paused();
      if (finished_) return;
    }
  }
  const bool waits = std::any_of(parts_.begin(), parts_.end(),
                                 [](const auto& part) { return part->paused && !part->over; });
  if ((waits || lag_ > Duration::zero()) && blob_->reader_count() > 1)
    context_.reactor.arm(lag_timer_, context_.reactor.now() + kLagSample);
}

bool Fetch::brought_the_rest(const Part& part) const {
  return request_.rest && request_.rest->end && part.position >= *request_.rest->end;
}

void Fetch::part_complete(Part& part) {
  if (brought_the_rest(part)) {
    end_part(part);
    end_as_part();
    return;
  }
  if (blob_ && part.end && part.position < *part.end) {
    part_failed(part, {origin::OriginFailureKind::broken, "the origin ended the body early"});
    return;
  }
  if (!sparse_ && blob_->total_bytes() && blob_->first_gap(0)) {
    // A resumed part that brought less than the rest: go on from there.
    part_failed(part,
                {origin::OriginFailureKind::broken, "the origin sent less than it was asked for"});
    return;
  }
  end_part(part);
  if (sparse_) {
    fill_next_gap();
  } else {
    body_complete();
  }
}

// A broken body is continued where it stopped if the origin can prove that it is still the same;
// else it is lost.
void Fetch::part_failed(Part& part, const origin::OriginFailure& failure) {
  end_part(part);
  if (ticket_->phase() == FetchPhase::pending) {
    FetchAnswer none;
    none.failure = failure.kind;
    answer(FetchPhase::failed, std::move(none));
    finish();
    return;
  }
  if (failure.kind != origin::OriginFailureKind::malformed && resume(part)) return;
  if (running_parts() > 0 || !resumes_.empty()) {
    no_more_parts_ = true;
    return;
  }
  if (sparse_ && !blob_->has_readers() && ticket_->close()) {
    // Nobody waits for what is missing: what is there stays, a part of the object that is as good
    // as before.
    end_as_part();
    return;
  }
  body_broken();
}

bool Fetch::resume(Part& part) {
  if (!blob_ || nobody_cares() || !head_ || !head_->has_strong_validator()) return false;
  if (head_->status() != 200 || part.resumes >= request_.settings->limits.resumes_per_fetch)
    return false;
  const bool reached = part.end && *part.end <= part.position;
  resumes_.push_back({part.position, reached ? blob_->total_bytes() : part.end, part.resumes + 1});
  arm_retry(kResumeDelay * (1u << part.resumes));
  return true;
}

void Fetch::start_part(std::uint64_t begin, std::optional<std::uint64_t> end, unsigned resumes) {
  origin::OriginRequest request;
  const http::RequestHead& asked = request_.request;
  request.method = "GET";
  request.authority = asked.authority;
  request.path_and_query = request_.forward_target;
  request.fields = asked.fields;
  request.idempotent = true;
  http::remove_hop_by_hop(request.fields);
  http::remove_conditions(request.fields);
  http::append_via(request.fields, asked, request_.settings->node_name);
  std::optional<std::uint64_t> last;
  if (end && end != blob_->total_bytes()) last = *end - 1;
  http::add_range(request.fields, begin, last, head_->fields(), head_->received());

  auto part = std::make_unique<Part>(*this, false);
  part->position = begin;
  part->end = end;
  part->resumes = resumes;
  Part& started = *part;
  parts_.push_back(std::move(part));
  if (resumes > 0) count(context_.counters.fetches_resumed);
  started.begin(context_.origin, std::move(request));
}

void Fetch::end_part(Part& part) {
  part.over = true;
  signal_->raise();  // the call is destroyed in a later turn, not within its own callback
}

std::size_t Fetch::running_parts() const {
  return static_cast<std::size_t>(
      std::count_if(parts_.begin(), parts_.end(), [](const auto& part) { return !part->over; }));
}

// Fill behind and ahead only what can be combined, and only what is worth keeping.
bool Fetch::may_fill() const {
  return head_ && object_ && head_->has_strong_validator() &&
         head_->freshness().source != http::LifetimeSource::kNone;
}

void Fetch::fill_next_gap() {
  if (running_parts() > 0 || !resumes_.empty()) return;
  const auto gap = blob_->first_gap(0);
  if (!gap) {
    body_complete();
    return;
  }
  // A listener may have been told just now that the bytes will come, and not read yet.
  if (may_fill() &&
      (context_.store.contains(object_) || blob_->has_readers() || !ticket_->close())) {
    start_part(gap->begin, gap->end, 0);
    return;
  }
  end_as_part();
}

// What is there stands for itself: in the store for whoever has use for it, else for those who read
// it now.
void Fetch::end_as_part() {
  context_.table.detach_blob(*blob_);
  if (object_)
    context_.store.settle(object_);
  else
    blob_->disband();
  finish();
}

void Fetch::body_complete() {
  blob_->complete();
  context_.table.detach_blob(*blob_);
  if (!object_) {
    finish();
    return;
  }
  count(context_.counters.fetches_stored);
  hashing_ = true;
  hash_on();
}

void Fetch::hash_on() {
  if (blob_->advance_digest(kHashSliceBytes)) {
    context_.store.settle(object_);
    finish();
    return;
  }
  arm_retry(Duration::zero());
}

void Fetch::body_broken() {
  for (const auto& part : parts_) part->over = true;
  if (blob_) context_.table.detach_blob(*blob_);
  if (blob_ && blob_->state() == cache::Blob::State::growing) {
    count(context_.counters.fetches_failed);
    if (object_) context_.store.remove(object_);
    blob_->break_off();
  }
  finish();
}

// A body that is not kept matters only while its listener is there.
bool Fetch::nobody_cares() const {
  return blob_ && blob_->kind() == cache::Blob::Kind::streaming && ticket_->abandoned() &&
         !blob_->has_readers();
}

void Fetch::on_signal() {
  if (finished_) return;
  parts_.erase(
      std::remove_if(parts_.begin(), parts_.end(), [](const auto& part) { return part->over; }),
      parts_.end());
  if (hashing_) {
    hash_on();
    return;
  }
  if (ticket_->phase() == FetchPhase::pending || !blob_) return;
  if (nobody_cares()) {
    body_broken();
    return;
  }
  if (!resumes_.empty() && !timer_.armed()) {
    for (const Resume& each : std::exchange(resumes_, {}))
      start_part(each.begin, each.end, each.resumes);
  }
  resume_paused();
  if (finished_) return;
  const Limits& limits = request_.settings->limits;
  for (const std::uint64_t offset : ticket_->take_wanted()) {
    if (no_more_parts_ || !may_fill() || running_parts() >= limits.parts_per_fetch) break;
    const auto gap = blob_->first_gap(offset);
    if (!gap) continue;
    const bool someone_is_near = std::any_of(parts_.begin(), parts_.end(), [&](const auto& part) {
      return !part->over && part->position <= gap->begin &&
             gap->begin - part->position <= limits.seek_ahead_bytes;
    });
    const bool mending_is_near =
        std::any_of(resumes_.begin(), resumes_.end(), [&](const Resume& resume) {
          return resume.begin <= gap->begin && gap->begin - resume.begin <= limits.seek_ahead_bytes;
        });
    if (someone_is_near || mending_is_near) continue;
    sparse_ = true;
    start_part(gap->begin, gap->end, 0);
  }
}

void Fetch::resume_paused() {
  for (std::size_t index = 0; index < parts_.size() && !finished_; ++index) {
    Part& part = *parts_[index];
    if (!part.paused || part.over) continue;
    part.paused = false;
    part.call->resume();
  }
}

void Fetch::arm_retry(Duration delay) {
  context_.reactor.arm(timer_, context_.reactor.now() + delay);
}

void Fetch::finish() {
  if (std::exchange(finished_, true)) return;
  NEARFIELD_ASSERT(ticket_->phase() != FetchPhase::pending);
  ticket_->shut();
  context_.reactor.cancel(timer_);
  context_.reactor.cancel(lag_timer_);
  ticket_->set_owner_signal(nullptr);
  context_.retire(*this);
}

}  // namespace nearfield::proxy
