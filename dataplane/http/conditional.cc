#include "dataplane/http/conditional.h"

#include <array>

#include "dataplane/http/date.h"
#include "dataplane/http/freshness.h"

namespace nearfield::http {
namespace {

std::optional<WallTime> date_of(const Fields& fields, std::string_view name, WallTime now) {
  if (fields.count(name) != 1) return std::nullopt;
  return parse_http_date(*fields.find(name), now);
}

bool none_match_names(std::string_view value, const Validators& stored) {
  EntityTagList list(value);
  if (list.is_any()) return true;
  bool is_list = false;
  while (const auto tag = list.next()) {
    is_list = true;
    if (stored.tag && weak_equal(*tag, *stored.tag)) return true;
  }
  return !is_list && !stored.tag_text.empty() && trim_ows(value) == stored.tag_text;
}

bool match_names(std::string_view value, const Validators& stored) {
  EntityTagList list(value);
  if (list.is_any()) return true;
  while (const auto tag = list.next()) {
    if (stored.tag && strong_equal(*tag, *stored.tag)) return true;
  }
  return false;
}

}  // namespace

Validators Validators::of(const Fields& response, WallTime response_time) {
  Validators validators;
  validators.tag = entity_tag_of(response);
  validators.tag_text = response.find("ETag").value_or(std::string_view());
  validators.last_modified = date_of(response, "Last-Modified", response_time);
  validators.date = date_value(response, response_time);
  return validators;
}

bool Validators::last_modified_is_strong() const {
  return last_modified && date - *last_modified >= std::chrono::seconds(60);
}

Precondition evaluate_preconditions(const Fields& request, const Validators& stored, WallTime now) {
  if (const auto match = request.combined("If-Match")) {
    if (!match_names(*match, stored)) return Precondition::kFailed;
  } else if (const auto limit = date_of(request, "If-Unmodified-Since", now)) {
    if (stored.last_modified && *stored.last_modified > *limit) return Precondition::kFailed;
  }
  if (const auto none_match = request.combined("If-None-Match")) {
    return none_match_names(*none_match, stored) ? Precondition::kNotModified
                                                 : Precondition::kServe;
  }
  if (const auto since = date_of(request, "If-Modified-Since", now)) {
    const WallTime modified = stored.last_modified.value_or(stored.date);
    if (modified <= *since) return Precondition::kNotModified;
  }
  return Precondition::kServe;
}

bool if_range_holds(const Fields& request, const Validators& stored, WallTime now) {
  const std::size_t count = request.count("If-Range");
  if (count == 0) return true;
  if (count > 1) return false;
  const std::string_view value = *request.find("If-Range");
  if (const auto tag = parse_entity_tag(value))
    return stored.tag && strong_equal(*tag, *stored.tag);
  const auto date = parse_http_date(value, now);
  return date && stored.last_modified_is_strong() && *date == *stored.last_modified;
}

bool has_preconditions(const Fields& request) {
  return request.contains("If-None-Match") || request.contains("If-Modified-Since") ||
         request.contains("If-Match") || request.contains("If-Unmodified-Since");
}

bool belongs_in_not_modified(std::string_view name) {
  // Of the Content-* only Content-Location is asked for; the security policy is about the use of
  // the document, not about its bytes. Last-Modified is left out by the RFC only where there is an
  // ETag, and harmless.
  static constexpr std::string_view kContent = "content-";
  if (name.size() < kContent.size() ||
      !equals_ignoring_case(name.substr(0, kContent.size()), kContent)) {
    return !equals_ignoring_case(name, "Accept-Ranges") && !equals_ignoring_case(name, "Trailer");
  }
  const std::string_view rest = name.substr(kContent.size());
  return equals_ignoring_case(rest, "Location") || equals_ignoring_case(rest, "Security-Policy") ||
         equals_ignoring_case(rest, "Security-Policy-Report-Only");
}

}  // namespace nearfield::http
