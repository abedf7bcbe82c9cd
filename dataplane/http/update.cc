#include "dataplane/http/update.h"

#include <algorithm>
#include <array>

#include "dataplane/http/etag.h"
#include "dataplane/http/text.h"

namespace nearfield::http {

bool is_updatable(std::string_view name) {
  // What describes the stored bytes or the connection stays with them (RFC 9111 3.2); Content-Type
  // may be corrected.
  static constexpr std::array<std::string_view, 13> kKept = {"Content-Length",
                                                             "Content-Encoding",
                                                             "Content-Range",
                                                             "Transfer-Encoding",
                                                             "Connection",
                                                             "Keep-Alive",
                                                             "Proxy-Connection",
                                                             "Proxy-Authenticate",
                                                             "Proxy-Authorization",
                                                             "Proxy-Authentication-Info",
                                                             "TE",
                                                             "Trailer",
                                                             "Upgrade"};
  return std::ranges::none_of(
      kKept, [name](std::string_view kept) { return equals_ignoring_case(kept, name); });
}

void update_stored_fields(Fields& stored, const Fields& fresh) {
  const auto stored_tag = entity_tag_of(stored);
  const auto fresh_tag = entity_tag_of(fresh);
  // W/"x" confirming "x" must not take the strength away that ranges rely on.
  const bool keep_tag =
      stored_tag && fresh_tag && !stored_tag->weak && weak_equal(*stored_tag, *fresh_tag);
  const auto replaces = [keep_tag](const Field& field) {
    return is_updatable(field.name) && !(keep_tag && equals_ignoring_case(field.name, "ETag"));
  };
  stored.remove_if([&fresh](const Field& field) {
    return equals_ignoring_case(field.name, "Age") || equals_ignoring_case(field.name, "Date") ||
           (is_updatable(field.name) && fresh.contains(field.name) &&
            !equals_ignoring_case(field.name, "ETag"));
  });
  if (fresh.contains("ETag") && !keep_tag) stored.remove("ETag");
  for (const Field& field : fresh) {
    if (replaces(field)) stored.add(field.name, field.value);
  }
}

bool confirms(const Fields& not_modified, const Fields& stored, bool was_asked_with) {
  if (const auto text = not_modified.find("ETag")) {
    const auto fresh_tag = entity_tag_of(not_modified);
    const auto stored_tag = entity_tag_of(stored);
    if (fresh_tag && stored_tag) {
      // A strong tag selects by strong comparison (RFC 9111 4.3.4), a weak one by weak.
      return fresh_tag->weak
                 ? weak_equal(*fresh_tag, *stored_tag)
                 : fresh_tag->opaque == stored_tag->opaque && (!stored_tag->weak || was_asked_with);
    }
    const auto stored_text = stored.find("ETag");
    return stored_text ? *stored_text == *text : was_asked_with;
  }
  if (const auto modified = not_modified.find("Last-Modified")) {
    const auto stored_modified = stored.find("Last-Modified");
    return stored_modified ? *stored_modified == *modified : was_asked_with;
  }
  return was_asked_with;
}

HeadEffect head_effect(std::uint16_t status, const Fields& head_response, const Fields& stored,
                       std::optional<std::uint64_t> stored_size_bytes) {
  if (status != 200) return HeadEffect::kNone;
  for (std::string_view name : {"ETag", "Last-Modified"}) {
    const auto fresh = head_response.find(name);
    if (!fresh) continue;
    const auto kept = stored.find(name);
    if (!kept || *kept != *fresh) return HeadEffect::kInvalidate;
  }
  if (const auto length = head_response.find("Content-Length")) {
    if (!stored_size_bytes) {
      stored_size_bytes = parse_decimal(stored.find("Content-Length").value_or(std::string_view()));
    }
    if (!stored_size_bytes || parse_decimal(*length) != stored_size_bytes) {
      return HeadEffect::kInvalidate;
    }
  }
  return HeadEffect::kUpdate;
}

}  // namespace nearfield::http
