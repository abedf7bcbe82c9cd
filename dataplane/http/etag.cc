#include "dataplane/http/etag.h"

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

// etagc: %x21, %x23-7E, obs-text. Commas may stand inside.
bool is_etag_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

// The size of the tag at the start of `text`, 0 when there is none.
std::size_t tag_size(std::string_view text) {
  std::size_t size = text.starts_with("W/") ? 2 : 0;
  if (size >= text.size() || text[size] != '"') return 0;
  ++size;
  while (size < text.size() && is_etag_char(text[size])) ++size;
  return size < text.size() && text[size] == '"' ? size + 1 : 0;
}

EntityTag tag_of(std::string_view text) {
  const bool weak = text.starts_with("W/");
  text.remove_prefix(weak ? 3 : 1);
  text.remove_suffix(1);
  return {weak, text};
}

}  // namespace

std::optional<EntityTag> parse_entity_tag(std::string_view value) {
  value = trim_ows(value);
  if (value.empty() || tag_size(value) != value.size()) return std::nullopt;
  return tag_of(value);
}

EntityTagList::EntityTagList(std::string_view value) : rest_(trim_ows(value)), any_(rest_ == "*") {
  if (any_) rest_ = {};
}

std::optional<EntityTag> EntityTagList::next() {
  while (!rest_.empty()) {
    if (is_ows(rest_.front()) || rest_.front() == ',') {
      rest_.remove_prefix(1);
      continue;
    }
    const std::size_t size = tag_size(rest_);
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    const std::string_view gap = rest_.substr(0, rest_.find(','));
    rest_.remove_prefix(gap.size());
    // Something stood where a tag should, or beside one: no tag either way.
    if (size > 0 && trim_ows(gap).empty()) return tag_of(text);
  }
  return std::nullopt;
}

std::optional<EntityTag> entity_tag_of(const Fields& response) {
  const auto first = response.find("ETag");
  if (!first) return std::nullopt;
  bool same = true;
  response.each_value("ETag", [&](std::string_view value) { same = same && value == *first; });
  return same ? parse_entity_tag(*first) : std::nullopt;
}

}  // namespace nearfield::http
