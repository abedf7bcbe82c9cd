// Fields: the header (or trailer) section of one message, in order, in one buffer.
// The buffer is the wire form itself, "Name: value\r\n" per field: sending a stored response is one
// append, a field costs its bytes and nothing more, and one allocation holds them all. A 64-bit
// filter over the names answers most lookups of absent fields without a scan, which is what a cache
// asks most. The awkward part: views handed out die with the next change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/http/text.h"

namespace nearfield::http {

// One field as it stands in the buffer; the value has no whitespace at its ends.
struct Field {
  std::string_view name;
  std::string_view value;
};

class Fields {
 public:
  // Forward iteration in received order.
  class Iterator {
   public:
    explicit Iterator(std::string_view rest) : rest_(rest) { read(); }
    const Field& operator*() const { return field_; }
    const Field* operator->() const { return &field_; }
    Iterator& operator++() {
      rest_.remove_prefix(line_size_);
      read();
      return *this;
    }
    bool operator==(const Iterator& other) const { return rest_.size() == other.rest_.size(); }

   private:
    void read();
    std::string_view rest_;
    Field field_;
    std::size_t line_size_ = 0;
  };

  Iterator begin() const { return Iterator(text_); }
  Iterator end() const { return Iterator(std::string_view(text_).substr(text_.size())); }

  // Appends. `name` must be a token; a value is trimmed, and a CR, LF or NUL in it becomes a space
  // (RFC 9110 5.5), so that no value, wherever it came from, can start a second field.
  void add(std::string_view name, std::string_view value);
  // Appends a field from the wire, or refuses it: false, and nothing added, when the name is no
  // token or the value holds a control character other than HTAB.
  bool add_received(std::string_view name, std::string_view value);
  // Replaces every field of this name by one, in the place of the first (at the end if there was
  // none). `value` may be a view into these fields.
  void set(std::string_view name, std::string_view value);
  // Returns how many were removed.
  std::size_t remove(std::string_view name);
  // Removes each field for which predicate(const Field&) is true; the views are valid during the
  // call only.
  template <typename Predicate>
  std::size_t remove_if(Predicate predicate);

  // The first value of this name.
  std::optional<std::string_view> find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name).has_value(); }
  std::size_t count(std::string_view name) const;
  // Calls visit(std::string_view value) for every field of this name in order.
  template <typename Visit>
  void each_value(std::string_view name, Visit visit) const;
  // All values of this name joined by ", " (RFC 9110 5.3); nullopt when there is none.
  std::optional<std::string> combined(std::string_view name) const;
  // True when any field of this name, read as a comma list, has this element.
  bool list_contains(std::string_view name, std::string_view token) const;

  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  // The whole section as it goes on the wire, without the final empty line.
  std::string_view text() const { return text_; }
  void append_to(std::string& out) const { out += text_; }

  // Empties without giving memory back.
  void clear();
  void reserve(std::size_t bytes) { text_.reserve(bytes); }
  void shrink_to_fit() { text_.shrink_to_fit(); }
  // Heap bytes held (capacity), for the accounting of the cache.
  std::size_t memory_bytes() const { return text_.capacity() > 15 ? text_.capacity() + 1 : 0; }

  friend bool operator==(const Fields& a, const Fields& b) { return a.text_ == b.text_; }

 private:
  static std::uint64_t filter_bit(std::string_view name) {
    if (name.empty()) return 1;
    const unsigned hash = static_cast<unsigned char>(to_lower(name.front())) * 7u +
                          static_cast<unsigned char>(to_lower(name.back())) * 13u +
                          static_cast<unsigned>(name.size()) * 31u;
    return std::uint64_t{1} << (hash % 64);
  }
  // May hold bits of names that were removed since: a set bit only means "look".
  bool maybe(std::string_view name) const { return (filter_ & filter_bit(name)) != 0; }

  // Where the first field of this name begins on a line after that of `from` (0: on any line);
  // text_.size() when there is none.
  std::size_t find_line(std::string_view name, std::size_t from) const;

  std::string text_;
  std::uint32_t count_ = 0;
  std::uint64_t filter_ = 0;
};

template <typename Predicate>
std::size_t Fields::remove_if(Predicate predicate) {
  std::size_t removed = 0;
  std::size_t kept_end = 0;
  std::size_t position = 0;
  while (position < text_.size()) {
    const std::size_t line_end = text_.find('\n', position) + 1;
    const std::string_view rest = std::string_view(text_).substr(position);
    if (predicate(*Iterator(rest))) {
      ++removed;
    } else {
      if (kept_end != position)
        text_.replace(kept_end, line_end - position, rest, 0, line_end - position);
      kept_end += line_end - position;
    }
    position = line_end;
  }
  text_.resize(kept_end);
  count_ -= static_cast<std::uint32_t>(removed);
  return removed;
}

template <typename Visit>
void Fields::each_value(std::string_view name, Visit visit) const {
  if (!maybe(name)) return;
  for (std::size_t at = find_line(name, 0); at < text_.size(); at = find_line(name, at + 1)) {
    visit(Iterator(std::string_view(text_).substr(at))->value);
  }
}

}  // namespace nearfield::http
