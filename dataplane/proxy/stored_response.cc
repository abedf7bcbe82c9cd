// See stored_response.h.
#include "dataplane/proxy/stored_response.h"

#include <utility>

#include "dataplane/http/text.h"
#include "dataplane/http/vary.h"

namespace nearfield::proxy {

StoredResponse::StoredResponse(std::uint16_t status, http::Fields fields,
                               const http::ExchangeTimes& times, std::string vary_names,
                               std::string vary_key, const http::CachePolicy& policy)
    : status_(status),
      fields_(std::move(fields)),
      vary_names_(std::move(vary_names)),
      vary_key_(std::move(vary_key)) {
  freshness_ = http::compute_freshness(status_, fields_, http::parse_response_directives(fields_),
                                       times, policy);
  received_age_ = fields_.combined("Age");
  fields_.remove("Age");
  if (const auto length = fields_.find("Content-Length"))
    declared_length_ = http::parse_decimal(*length);
  fields_.remove("Content-Length");
  fields_.shrink_to_fit();
  validators_ =
      http::Validators::of(fields_, std::chrono::floor<std::chrono::seconds>(times.response_time));
}

bool StoredResponse::has_strong_validator() const {
  if (validators_.tag) return !validators_.tag->weak;
  return validators_.last_modified && validators_.last_modified_is_strong();
}

bool StoredResponse::matches(const http::Fields& request) const {
  return vary_names_.empty() || http::vary_matches(vary_names_, vary_key_, request,
                                                   fields_.find("Content-Language").value_or(""));
}

std::size_t StoredResponse::memory_bytes() const {
  return sizeof(*this) + fields_.memory_bytes() + vary_names_.capacity() + vary_key_.capacity() +
         (received_age_ ? received_age_->capacity() : 0);
}

}  // namespace nearfield::proxy
