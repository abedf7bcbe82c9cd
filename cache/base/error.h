// Error: what the world did to us, in words for the person who must act on it.
// The message says what happened, to what, and what to do; it is one line without a final full stop
// or newline. Code that must branch on a failure returns an enum instead; Error is for what ends at
// a person.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace nearfield {

struct Error {
  std::string message;
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> failure(std::string message) {
  return std::unexpected(Error{std::move(message)});
}

}  // namespace nearfield
