// Dictionaries of Structured Fields (RFC 9651, formerly RFC 8941), as far as CDN-Cache-Control
// needs them. All of the grammar is checked, because one error anywhere voids the whole field; of
// the values only booleans, integers, strings and tokens are kept, parameters are checked and
// dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nearfield::http {

struct DictionaryMember {
  enum class Type : std::uint8_t {
    kBoolean,
    kInteger,
    kString,
    kToken,
    kOther
  } type = Type::kBoolean;
  std::string key;
  bool boolean = true;
  std::int64_t integer = 0;
  std::string text;  // strings and tokens
};

// nullopt when the value does not parse. Of a repeated key the last counts, in the place of the
// first. More than 64 members are an error here; the standard asks for at least 1024, but no
// directive list comes near.
std::optional<std::vector<DictionaryMember>> parse_dictionary(std::string_view value);

}  // namespace nearfield::http
