// Fetch::Part: one origin call of a fetch and the stretch of the body it fills. A thin observer: it
// knows where the next byte goes, the fetch decides everything else. Included by the sources of
// Fetch only.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "dataplane/proxy/fetch.h"

namespace nearfield::proxy {

class Fetch::Part final : public origin::OriginObserver {
 public:
  Part(Fetch& fetch, bool is_lead) : fetch_(fetch), lead(is_lead) {}

  void begin(origin::OriginClient& client, origin::OriginRequest request) {
    call = client.start(std::move(request), *this);
  }

  void on_interim(const http::ResponseHead& head) override;
  void on_head(http::ResponseHead&& head) override;
  std::size_t on_body(std::span<const std::byte> bytes) override {
    return over ? bytes.size() : fetch_.part_body(*this, bytes);
  }
  void on_complete(http::Fields&& trailers) override;
  void on_failure(const origin::OriginFailure& failure) override {
    if (!over) fetch_.part_failed(*this, failure);
  }

 private:
  Fetch& fetch_;

 public:
  const bool lead;  // brings the first head of the fetch
  std::unique_ptr<origin::OriginCall> call;
  std::uint64_t position = 0;        // where the next byte goes
  std::optional<std::uint64_t> end;  // one past the last byte it is to bring, if known
  unsigned resumes = 0;
  bool head_seen = false;
  bool paused = false;
  bool over = false;  // nothing more is wanted of it
};

}  // namespace nearfield::proxy
