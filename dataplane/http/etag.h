// Entity tags (RFC 9110 8.8.3) and lists of them. Views into the field values; a malformed tag is
// no tag.
#pragma once

#include <optional>
#include <string_view>

#include "dataplane/http/fields.h"

namespace nearfield::http {

struct EntityTag {
  bool weak = false;
  std::string_view opaque;  // between the quotes
};

// Exactly one tag: ["W/"] DQUOTE *etagc DQUOTE.
std::optional<EntityTag> parse_entity_tag(std::string_view value);
constexpr bool strong_equal(const EntityTag& a, const EntityTag& b) {
  return !a.weak && !b.weak && a.opaque == b.opaque;
}
constexpr bool weak_equal(const EntityTag& a, const EntityTag& b) { return a.opaque == b.opaque; }

// Reads "*" or a list of tags, as If-Match and If-None-Match have them. Members that are no tags
// are skipped.
class EntityTagList {
 public:
  explicit EntityTagList(std::string_view value);
  bool is_any() const { return any_; }
  std::optional<EntityTag> next();

 private:
  std::string_view rest_;
  bool any_ = false;
};

// The ETag of a response; nullopt when absent, repeated with different values, or malformed.
std::optional<EntityTag> entity_tag_of(const Fields& response);

}  // namespace nearfield::http
