// ConfigVisitor: walks every key of a configuration with its type and range. visit_config()
// (config_keys.h) is the single list of keys; the reader of files and the writer of `GET
// /v1/config` are two visitors, so a key added there is read, checked, suggested to whoever
// misspells it, and shown.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"

namespace nearfield::control {

// Accepts a text of the file, or says what is wrong with it. May keep what it parsed.
using TextCheck = std::function<Result<void>(std::string_view)>;

class ConfigVisitor {
 public:
  virtual ~ConfigVisitor() = default;

  // The keys `body` visits stand in the table `key`.
  void table(std::string_view key, const std::function<void()>& body) {
    enter(key);
    body();
    leave();
  }

  virtual void boolean(std::string_view key, bool& value) = 0;
  virtual void text(std::string_view key, std::string& value, const TextCheck& check) = 0;
  // At most `maximum` texts; `check` sees each.
  virtual void texts(std::string_view key, std::vector<std::string>& values, std::size_t maximum,
                     const TextCheck& check) = 0;

  template <std::unsigned_integral T>
  void integer(std::string_view key, T& value, std::uint64_t low, std::uint64_t high) {
    std::uint64_t wide = value;
    visit_integer(key, wide, low, high);
    value = static_cast<T>(wide);
  }
  void integer(std::string_view key, int& value, std::uint64_t low, std::uint64_t high) {
    auto wide = static_cast<std::uint64_t>(value);
    visit_integer(key, wide, low, high);
    value = static_cast<int>(wide);
  }
  // "64K" or a number of bytes.
  template <std::unsigned_integral T>
  void size(std::string_view key, T& bytes, std::uint64_t low, std::uint64_t high) {
    std::uint64_t wide = bytes;
    visit_size(key, wide, low, high);
    bytes = static_cast<T>(wide);
  }
  // "250ms"; finer than T counts is an error.
  template <typename Rep, typename Period>
  void duration(std::string_view key, std::chrono::duration<Rep, Period>& value, Duration low,
                Duration high) {
    Duration wide = value;
    visit_duration(key, wide, low, high, std::chrono::duration<Rep, Period>(1));
    value = std::chrono::duration_cast<std::chrono::duration<Rep, Period>>(wide);
  }
  virtual void percent(std::string_view key, std::uint32_t& value) = 0;

  // A list of tables, [[key]]. An item that is only a text stands for a table with that text under
  // `shorthand` (if not empty).
  template <typename T>
  void tables(std::string_view key, std::vector<T>& values, std::size_t maximum,
              std::string_view shorthand, const std::function<void(T&)>& body) {
    values.resize(enter_list(key, values.size(), maximum));
    for (std::size_t i = 0; i < values.size(); ++i) {
      enter_item(i, shorthand);
      body(values[i]);
      leave();
    }
    leave();
  }

 protected:
  virtual void enter(std::string_view key) = 0;
  // How many items there are; `count` are there already and stay when the key is absent.
  virtual std::size_t enter_list(std::string_view key, std::size_t count, std::size_t maximum) = 0;
  virtual void enter_item(std::size_t index, std::string_view shorthand) = 0;
  virtual void leave() = 0;
  virtual void visit_integer(std::string_view key, std::uint64_t& value, std::uint64_t low,
                             std::uint64_t high) = 0;
  virtual void visit_size(std::string_view key, std::uint64_t& bytes, std::uint64_t low,
                          std::uint64_t high) = 0;
  virtual void visit_duration(std::string_view key, Duration& value, Duration low, Duration high,
                              Duration granularity) = 0;
};

}  // namespace nearfield::control
