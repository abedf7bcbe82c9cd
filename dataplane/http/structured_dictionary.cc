#include "dataplane/http/structured_dictionary.h"

#include <algorithm>

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

constexpr std::size_t kMaxMembers = 64;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_alpha(char c) { return is_lower(to_lower(c)); }
bool is_base64(char c) { return is_alpha(c) || is_digit(c) || c == '+' || c == '/' || c == '='; }

// One function per rule of RFC 9651 4.2; each consumes what it recognises and returns false where
// parsing fails.
class Parser {
 public:
  explicit Parser(std::string_view rest) : rest_(rest) {}

  bool dictionary(std::vector<DictionaryMember>& members) {
    skip_spaces();
    while (!rest_.empty()) {
      DictionaryMember member;
      if (!key(member.key)) return false;
      if (take('=')) {
        if (!item_or_inner_list(member)) return false;
      } else if (!parameters()) {
        return false;
      }
      const auto same = std::ranges::find(members, member.key, &DictionaryMember::key);
      if (same != members.end()) {
        *same = std::move(member);
      } else if (members.size() == kMaxMembers) {
        return false;
      } else {
        members.push_back(std::move(member));
      }
      skip_ows();
      if (rest_.empty()) return true;
      if (!take(',')) return false;
      skip_ows();
      if (rest_.empty()) return false;  // trailing comma
    }
    return true;
  }

 private:
  bool at(char c) const { return !rest_.empty() && rest_.front() == c; }
  bool take(char c) {
    if (!at(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_spaces() {
    while (take(' ')) {
    }
  }
  void skip_ows() {
    while (!rest_.empty() && is_ows(rest_.front())) rest_.remove_prefix(1);
  }

  bool key(std::string& out) {
    if (rest_.empty() || !(is_lower(rest_.front()) || rest_.front() == '*')) return false;
    std::size_t size = 0;
    while (size < rest_.size() && (is_lower(rest_[size]) || is_digit(rest_[size]) ||
                                   std::string_view("_-.*").contains(rest_[size]))) {
      ++size;
    }
    out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  bool parameters() {
    while (take(';')) {
      skip_spaces();
      std::string ignored_key;
      if (!key(ignored_key)) return false;
      DictionaryMember ignored;
      if (take('=') && !bare_item(ignored)) return false;
    }
    return true;
  }

  bool item_or_inner_list(DictionaryMember& member) {
    if (!take('(')) return bare_item(member) && parameters();
    member.type = DictionaryMember::Type::kOther;
    while (true) {
      skip_spaces();
      if (take(')')) return parameters();
      DictionaryMember ignored;
      if (!bare_item(ignored) || !parameters()) return false;
      if (!at(' ') && !at(')')) return false;
    }
  }

  bool bare_item(DictionaryMember& member) {
    using Type = DictionaryMember::Type;
    if (rest_.empty()) return false;
    const char c = rest_.front();
    member.type = Type::kOther;
    if (c == '-' || is_digit(c)) return number(member);
    if (c == '"') return string(member);
    if (c == '*' || is_alpha(c)) return token(member);
    if (c == ':') return byte_sequence();
    if (c == '?') {
      if (rest_.size() < 2 || (rest_[1] != '0' && rest_[1] != '1')) return false;
      member.type = Type::kBoolean;
      member.boolean = rest_[1] == '1';
      rest_.remove_prefix(2);
      return true;
    }
    if (c == '@') {  // Date
      rest_.remove_prefix(1);
      const bool valid = number(member) && member.type == Type::kInteger;
      member.type = Type::kOther;
      return valid;
    }
    if (c == '%') return display_string();
    return false;
  }

  bool number(DictionaryMember& member) {
    const bool negative = take('-');
    std::size_t size = 0;
    while (size < rest_.size() && is_digit(rest_[size])) ++size;
    if (size == 0 || size > 15) return false;
    std::int64_t value = 0;
    for (char c : rest_.substr(0, size)) value = value * 10 + (c - '0');
    rest_.remove_prefix(size);
    if (!take('.')) {
      member.type = DictionaryMember::Type::kInteger;
      member.integer = negative ? -value : value;
      return true;
    }
    if (size > 12) return false;
    std::size_t fraction = 0;
    while (fraction < rest_.size() && is_digit(rest_[fraction])) ++fraction;
    if (fraction == 0 || fraction > 3) return false;
    rest_.remove_prefix(fraction);
    return true;
  }

  bool string(DictionaryMember& member) {
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') {
        member.type = DictionaryMember::Type::kString;
        return true;
      }
      if (c == '\\') {
        if (!at('"') && !at('\\')) return false;
        c = rest_.front();
        rest_.remove_prefix(1);
      } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
        return false;
      }
      member.text += c;
    }
    return false;
  }

  bool token(DictionaryMember& member) {
    std::size_t size = 1;
    while (size < rest_.size() &&
           (is_token_char(rest_[size]) || rest_[size] == ':' || rest_[size] == '/')) {
      ++size;
    }
    member.type = DictionaryMember::Type::kToken;
    member.text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  bool byte_sequence() {
    const std::size_t end = rest_.find(':', 1);
    if (end == std::string_view::npos) return false;
    const std::string_view content = rest_.substr(1, end - 1);
    if (!std::ranges::all_of(content, is_base64)) return false;
    rest_.remove_prefix(end + 1);
    return true;
  }

  bool display_string() {
    if (!rest_.starts_with("%\"")) return false;
    rest_.remove_prefix(2);
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e)
        return false;
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c != '%') continue;
      for (int i = 0; i < 2; ++i) {
        if (rest_.empty() ||
            !(is_digit(rest_.front()) || (rest_.front() >= 'a' && rest_.front() <= 'f'))) {
          return false;
        }
        rest_.remove_prefix(1);
      }
    }
    return false;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<std::vector<DictionaryMember>> parse_dictionary(std::string_view value) {
  // The standard strips spaces only at the ends, and OWS of the field line is gone before.
  std::vector<DictionaryMember> members;
  if (!Parser(trim_ows(value)).dictionary(members)) return std::nullopt;
  return members;
}

}  // namespace nearfield::http
