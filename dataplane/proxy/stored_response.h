// StoredResponse: the head of a response as the cache keeps it: fields ready to send, and
// everything a hit must know computed once.
//
// Invariant: immutable. Freshening (a 304, a HEAD) makes a new one around the same body. Fields
// stand as they go to a listener, less what differs from response to response (Age, framing, this
// node's own members); Age is computed at each hit. A response that is not kept has one too: a
// listener's side treats both alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cache/store.h"
#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_policy.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/freshness.h"
#include "dataplane/http/response_head.h"

namespace nearfield::proxy {

class StoredResponse final : public cache::Metadata {
 public:
  // `fields` less hop-by-hop ones; `vary_names` and `vary_key` as http/vary.h makes them.
  StoredResponse(std::uint16_t status, http::Fields fields, const http::ExchangeTimes& times,
                 std::string vary_names, std::string vary_key, const http::CachePolicy& policy);

  std::uint16_t status() const { return status_; }
  const http::Fields& fields() const { return fields_; }
  const http::Freshness& freshness() const { return freshness_; }
  const http::Validators& validators() const { return validators_; }
  const std::string& vary_names() const { return vary_names_; }
  const std::string& vary_key() const { return vary_key_; }
  bool has_strong_validator() const;
  // Content-Length as the origin declared it, also where no body followed (the answer to a HEAD).
  std::optional<std::uint64_t> declared_length() const { return declared_length_; }
  WallTime received() const {
    return std::chrono::floor<std::chrono::seconds>(freshness_.response_time);
  }
  // Age as the origin (or a cache before us) sent it: what a listener gets when nothing was stored
  // in between.
  const std::optional<std::string>& received_age() const { return received_age_; }

  bool matches(const http::Fields& request) const;

  std::size_t memory_bytes() const override;

 private:
  std::uint16_t status_;
  http::Fields fields_;
  std::optional<std::string> received_age_;
  std::optional<std::uint64_t> declared_length_;
  http::Freshness freshness_;
  std::string vary_names_;
  std::string vary_key_;
  http::Validators validators_;  // views into fields_, which never change
};

inline const StoredResponse& stored_response(const cache::Metadata& metadata) {
  return static_cast<const StoredResponse&>(metadata);
}
inline const StoredResponse& stored_response(const cache::Found& found) {
  return stored_response(*found.metadata);
}

}  // namespace nearfield::proxy
