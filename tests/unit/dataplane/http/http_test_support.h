// What the tests of this folder share: text to bytes and back, and running a whole message through
// a parser in pieces.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_parser.h"

namespace nearfield::http::test {

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view text_of(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}
inline Fields fields_of(std::initializer_list<Field> list) {
  Fields fields;
  for (const Field& field : list) fields.add(field.name, field.value);
  return fields;
}
inline std::string string_of(std::string_view text) { return std::string(text); }

// What became of one message.
struct Outcome {
  bool head = false;
  bool complete = false;
  bool error = false;
  std::size_t consumed = 0;
  std::string body;
  std::vector<int> interims;
};

// Feeds `input` in pieces of `piece` bytes (0: whole) until kComplete, kError or the end of the
// input.
template <typename Parser>
Outcome read_message(Parser& parser, std::string_view input, std::size_t piece = 0) {
  Outcome outcome;
  std::size_t offered = 0;  // end of the piece under way
  while (true) {
    if (outcome.consumed == offered && offered < input.size()) {
      offered = piece == 0 ? input.size() : std::min(input.size(), offered + piece);
    }
    const ParseStep step =
        parser.feed(bytes(input.substr(outcome.consumed, offered - outcome.consumed)));
    outcome.consumed += step.consumed;
    switch (step.event) {
      case ParseEvent::kNeedMore:
        if (outcome.consumed != offered) FAIL("kNeedMore with input left");
        if (offered == input.size()) return outcome;
        break;
      case ParseEvent::kInterim:
        if constexpr (requires { parser.head().status; }) {
          outcome.interims.push_back(parser.head().status);
        }
        break;
      case ParseEvent::kHead:
        outcome.head = true;
        break;
      case ParseEvent::kBody:
        outcome.body += text_of(step.body);
        break;
      case ParseEvent::kComplete:
        outcome.complete = true;
        return outcome;
      case ParseEvent::kError:
        outcome.error = true;
        return outcome;
    }
  }
}

}  // namespace nearfield::http::test

// CppUTest compares C strings; these compare what we have.
#define TEXT_EQUAL(expected, actual) \
  STRCMP_EQUAL(std::string(expected).c_str(), std::string(actual).c_str())
