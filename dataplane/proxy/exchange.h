// Exchange: one request and its response: looks into the cache, fetches where it must, and feeds
// the answer to the connection.
//
// The steps are visible: open() judges the head, decide() chooses, answer_from() builds, produce()
// sends; between them an exchange waits for the request's content, then for a ticket. A response
// leaves as HTTP/1.1 text with the body in its framing, or in parts, for a session that frames by
// itself (HTTP/2): heads to be taken, and bare content. Invariants: exactly one final head is sent;
// a body is either whole or visibly cut; a stored response is only used when RFC 9111 4 lets it.
// Pooled and reused; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cache/store.h"
#include "dataplane/access/check.h"
#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_status.h"
#include "dataplane/http/request_head.h"
#include "dataplane/net/security.h"
#include "dataplane/net/send_plan.h"
#include "dataplane/proxy/body_feeder.h"
#include "dataplane/proxy/context.h"
#include "dataplane/proxy/fetch_table.h"
#include "dataplane/proxy/request_content.h"
#include "dataplane/proxy/stored_response.h"

namespace nearfield::proxy {

class Exchange {
 public:
  // Who sends what this makes: told (on this thread) that produce() has something new; must not
  // call back at once.
  class Host {
   public:
    virtual void exchange_has_more() = 0;
    virtual const net::Endpoint& exchange_peer() const = 0;
    // Null: clear text.
    virtual const net::StreamSecurity* exchange_security() const = 0;

   protected:
    ~Host() = default;
  };

  enum class Delivery : std::uint8_t {
    message,  // heads and chunk framing go into the plan
    parts     // heads are taken by their functions below, the plan gets content only
  };

  enum class Progress : std::uint8_t {
    plan_full,  // call again when the plan has room
    waiting,    // call again after exchange_has_more()
    finished,   // the response is in the plan
    broken      // it cannot be completed: reset the connection
  };

  explicit Exchange(WorkerContext& context);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Who it works for from now on; only between end() and start().
  void bind(Host* host, Delivery delivery = Delivery::message) {
    host_ = host;
    delivery_ = delivery;
  }
  // A request begins with its head, before any of its content is taken: who may listen, its method,
  // what is answered here. True: go on with proceed() once the content is whole, or with
  // refuse_content(). False: it is answered, and what content follows is not wanted; an HTTP/1.1
  // connection then ends with the response. `head` stays the caller's until the exchange ended, and
  // loses the tokens in it; `close_after`: the connection ends with this response in any case.
  bool open(http::RequestHead& head, bool close_after);
  bool awaits_content() const { return step_ == Step::content; }
  void proceed(RequestContent content, bool close_after);
  // The content is wrong, too large or too slow: the connection ends with this.
  void refuse_content(std::uint16_t status, std::string_view reason);
  // A response made here (an error, a refusal) in place of open(); `head` may be null when there is
  // none to speak of.
  void start_error(const http::RequestHead* head, std::uint16_t status, std::string_view reason);

  Progress produce(net::SendPlan& plan);
  void released(std::uint64_t outstanding_bytes) { feeder_.released(outstanding_bytes); }
  void take_readers(std::vector<cache::BlobReader>& readers) { feeder_.take_readers(readers); }
  // Whether released() matters to it: nothing of a body that is whole and kept is forgotten.
  bool holds_readers() const { return feeder_.holds_readers(); }

  // Delivery in parts. Interim heads first, "HTTP/1.1 103 Early Hints\r\nfields\r\n\r\n" each,
  // none, one or several; then, once head_ready(), the final one without its empty line, which
  // counts as sent with the next produce(). The text stays until then.
  std::string take_interim() { return std::exchange(interim_text_, {}); }
  bool head_ready() const { return step_ == Step::head; }
  std::uint16_t status() const { return status_; }
  std::string_view head_text() const { return std::string_view(head_text_).substr(0, head_bytes_); }

  // Waits for a head: how long, for the response time-out. The exchange answers 504 on
  // give_up_waiting().
  bool waiting_for_head() const { return step_ == Step::waiting; }
  void give_up_waiting();
  bool closes() const { return close_; }

  // The end, finished or not: writes the access record, lets go of everything, ready for the next
  // start().
  void end(bool cut_short);
  bool running() const { return step_ != Step::idle; }

 private:
  // content: of the request, is awaited. continuing: in mid-body, waits for a fetch of its own that
  // brings the rest.
  enum class Step : std::uint8_t { idle, content, waiting, head, body, continuing };

  void begin(const http::RequestHead* head);

  // Who may listen (exchange_access.cc).
  bool admit(http::RequestHead& head);
  void answer_refused(std::uint16_t status);
  std::string_view logged_path(std::string& cleaned) const;

  // Decisions.
  void decide();
  bool answer_here();
  bool answer_elsewhere();
  bool answer_circle();
  void use_or_validate(const cache::Found& found);
  bool covers(const cache::Found& found);
  void fetch_for(const cache::Found* validate, const cache::Found* extend, http::Forwarded why);
  void forward_alone(http::Forwarded why);
  void begin_fetch(struct FetchRequest request, bool shared);
  void revalidate_behind(const cache::Found& found);
  void on_ticket();
  void on_answer();
  void on_failure();
  bool stale_on_error();
  void on_signal();
  bool continue_alone();
  void on_rest();

  // Responses.
  void answer_from(const cache::Found& found, bool from_origin);
  void answer_verbatim(const cache::Found& found, const http::ByteRange& range);
  void answer_not_modified(const StoredResponse& stored, bool from_origin);
  void answer_unsatisfiable(const StoredResponse& stored, std::uint64_t total, bool from_origin);
  void answer_error(std::uint16_t status, std::string_view reason);
  void begin_head(std::uint16_t status);
  void append_stored_fields(const StoredResponse& stored, std::uint16_t status, bool multipart,
                            bool from_origin);
  void finish_head(const http::Fields* stored);
  void append_field(std::string_view name, std::string_view value);
  void append_hsts(const http::Fields* stored);
  bool is_for_tls_only(std::string_view field_name) const;
  void append_length(std::uint64_t bytes);
  std::string& cache_status_text(const StoredResponse* stored, bool from_origin);
  void count_status();

  WorkerContext& context_;
  Host* host_ = nullptr;
  Delivery delivery_ = Delivery::message;
  Ref<Signal> signal_;

  Step step_ = Step::idle;
  const http::RequestHead* request_ = nullptr;
  std::shared_ptr<const Settings> settings_;
  RequestContent content_;  // only while it is decided who gets it
  std::string key_;
  http::CacheDirectives directives_;
  bool close_ = false;

  // While a ticket is pending.
  Ref<FetchTicket> ticket_;
  bool began_ticket_ = false;
  std::size_t interim_seen_ = 0;
  std::string interim_text_;
  std::optional<cache::Found> candidate_;  // stored, to be validated or to stand in on error
  unsigned rounds_ = 0;

  // The response.
  std::string head_text_;       // of an error also its text
  std::size_t head_bytes_ = 0;  // of it, the status line and the fields
  BodyFeeder feeder_;
  // What the body belongs to, so that it can be continued if a shared fetch leaves it behind.
  Ref<const cache::Metadata> source_;
  std::optional<std::uint64_t> source_bytes_;
  bool rest_failed_ = false;
  std::uint16_t status_ = 0;
  http::CacheStatus cache_status_;
  std::string cache_status_line_;
  std::vector<access::Renewal> renewals_;
  bool from_cache_ = false;

  // For the access record.
  MonotonicTime started_{};
  std::chrono::milliseconds started_wall_{};
  MonotonicTime first_byte_{};
};

}  // namespace nearfield::proxy
