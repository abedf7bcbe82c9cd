// Fetch: one request to the origin on behalf of everyone who waits for its answer, and the body it
// brings into a blob.
//
// Invariants: its ticket is settled exactly once; what it puts into the store is either whole, or
// growing while it runs, or a part with nothing wrong in it; a body that cannot be completed ends
// broken and leaves the store. It outlives the request that began it: a listener who leaves does
// not stop it (unless nobody can use what it brings). Bytes are written by this worker only.
//
// The awkward part is objects with holes. A listener may begin in the middle (Range on a cold
// object): the fetch then begins there, and what is missing is filled behind it and ahead of other
// listeners by further parts, each an origin request with Range and If-Range. A part is only ever
// combined with others under the same strong validator (RFC 9111 3.4).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.h"
#include "dataplane/http/request_head.h"
#include "dataplane/net/timer.h"
#include "dataplane/origin/client.h"
#include "dataplane/proxy/context.h"
#include "dataplane/proxy/fetch_table.h"
#include "dataplane/proxy/request_content.h"
#include "dataplane/proxy/settings.h"
#include "dataplane/proxy/stored_response.h"

namespace nearfield::proxy {

struct FetchRequest {
  // Where it stands in the collapse table; empty: nowhere, it is this request's alone.
  std::string collapse_key;
  // The cache key; what is stored goes under it, and an unsafe method invalidates it. Empty:
  // nothing is stored.
  std::string name;
  // As the listener sent it: decides Vary, Authorization and what may be stored.
  http::RequestHead request;
  // Goes to the origin in place of request.target (query rules).
  std::string forward_target;
  // Counts as held until the fetch ends.
  RequestContent content;
  // Validate this stored response rather than fetch a new one.
  std::optional<cache::Found> validate;
  // Stale, and perhaps without a validator: stands in when the origin answers with an error.
  std::optional<cache::Found> standby;
  // Fill the holes of this stored part, beginning at `extend_from`.
  std::optional<cache::Found> extend;
  std::uint64_t extend_from = 0;
  // Bring one listener the rest of a response that has begun (its shared body left it behind):
  // these bytes, of the same representation, or nothing. Nothing of it is stored.
  struct Rest {
    Ref<const cache::Metadata> head;  // with a strong validator
    std::uint64_t begin;
    std::optional<std::uint64_t> end;  // one past the last byte wanted; none: to the body's end
    std::optional<std::uint64_t> total_bytes;  // of the whole body, if known
  };
  std::optional<Rest> rest;
  // Send the listener's Range on: the object is cold and one range of it is wanted.
  bool forward_range = false;
  std::shared_ptr<const Settings> settings;
};

class Fetch {
 public:
  Fetch(WorkerContext& context, FetchRequest request, Ref<FetchTicket> ticket);
  ~Fetch();
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  void start();
  // Ends it now; waiters see a failure, readers a break.
  void abort();

 private:
  class Part;

  // Making requests.
  origin::OriginRequest lead_request();
  void start_part(std::uint64_t begin, std::optional<std::uint64_t> end, unsigned resumes);
  void restart_unconditionally();
  void fail_malformed();

  // Steps of the first answer; each decides whether it is the one that applies.
  void lead_head(Part& part, http::ResponseHead&& head);
  bool confirmed_by(const http::ResponseHead& head);
  bool stays_shareable(std::uint16_t status, const http::Fields& fields) const;
  bool stale_stands_in_for(const http::ResponseHead& head);
  bool extends_with(Part& part, const http::ResponseHead& head);
  bool take_up_part();
  void remove_if_purged();
  void begin_rest(Part& part);
  void rest_head(Part& part, const http::ResponseHead& head);
  void apply_side_effects(http::ResponseHead& head);
  void drop_superseded(std::uint16_t status);
  void take_response(Part& part, http::ResponseHead&& head);
  void answer(FetchPhase phase, FetchAnswer answer);

  // Body.
  std::size_t part_body(Part& part, std::span<const std::byte> bytes);
  void part_complete(Part& part);
  void part_failed(Part& part, const origin::OriginFailure& failure);
  bool resume(Part& part);
  void end_part(Part& part);
  void stop_keeping();
  void out_of_memory();
  bool brought_the_rest(const Part& part) const;
  void end_as_part();
  void resume_paused();
  void watch_laggards();
  void fill_next_gap();
  void body_complete();
  void body_broken();
  void hash_on();
  void finish();

  void on_signal();
  bool may_fill() const;
  bool nobody_cares() const;
  std::size_t running_parts() const;
  void arm_retry(Duration delay);

  WorkerContext& context_;
  FetchRequest request_;
  Ref<FetchTicket> ticket_;
  Ref<Signal> signal_;
  http::PreciseTime request_time_{};

  std::vector<std::unique_ptr<Part>> parts_;
  Ref<cache::Blob> blob_;
  Ref<cache::Object> object_;  // null: not (or no longer) in the store
  Ref<const StoredResponse> head_;
  bool sparse_ = false;         // began in the middle, or several parts
  bool no_more_parts_ = false;  // one failed: what it was for comes with the others
  bool restarted_ = false;
  bool finished_ = false;
  bool hashing_ = false;

  net::Timer timer_;  // resume after a break, the next slice of hashing
  struct Resume {
    std::uint64_t begin;
    std::optional<std::uint64_t> end;
    unsigned resumes;
  };
  std::vector<Resume> resumes_;

  // Whether slow readers of a streamed body hold up others: what they cost, see watch_laggards().
  net::Timer lag_timer_;
  Duration lag_{};
};

}  // namespace nearfield::proxy
