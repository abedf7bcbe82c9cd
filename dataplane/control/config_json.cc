// A visitor that writes: it never changes the values it is shown (visit_config() takes a copy to be
// sure).
#include "dataplane/control/config_json.h"

#include <boost/json.hpp>
#include <deque>
#include <utility>

#include "dataplane/control/config_keys.h"

namespace nearfield::control {
namespace {

namespace json = boost::json;

std::string with_unit(std::string_view key, std::string_view unit) {
  // limits.header_bytes and limits.minimum_send_bytes_per_second name theirs already.
  return key.contains("bytes") ? std::string(key) : std::string(key) + std::string(unit);
}

class Writer final : public ConfigVisitor {
 public:
  Writer() { frames_.emplace_back(); }

  json::object take() { return std::move(frames_.front().object); }

  void boolean(std::string_view key, bool& value) override { put(key, value); }
  void text(std::string_view key, std::string& value, const TextCheck&) override {
    put(key, json::string(value));
  }
  void texts(std::string_view key, std::vector<std::string>& values, std::size_t,
             const TextCheck&) override {
    json::array array;
    for (const std::string& value : values) array.emplace_back(value);
    put(key, std::move(array));
  }
  void percent(std::string_view key, std::uint32_t& value) override {
    put(std::string(key) + "_percent", value);
  }

 protected:
  void enter(std::string_view key) override {
    frames_.emplace_back();
    frames_.back().key = key;
  }
  std::size_t enter_list(std::string_view key, std::size_t count, std::size_t) override {
    enter(key);
    frames_.back().is_list = true;
    return count;
  }
  void enter_item(std::size_t, std::string_view) override {
    frames_.emplace_back();
    frames_.back().is_item = true;
  }
  void leave() override {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.is_item) {
      frames_.back().array.emplace_back(std::move(frame.object));
    } else if (frame.is_list) {
      put(frame.key, std::move(frame.array));
    } else {
      put(frame.key, std::move(frame.object));
    }
  }
  void visit_integer(std::string_view key, std::uint64_t& value, std::uint64_t,
                     std::uint64_t) override {
    put(key, value);
  }
  void visit_size(std::string_view key, std::uint64_t& bytes, std::uint64_t,
                  std::uint64_t) override {
    put(with_unit(key, "_bytes"), bytes);
  }
  void visit_duration(std::string_view key, Duration& value, Duration, Duration,
                      Duration) override {
    put(std::string(key) + "_ms",
        std::chrono::duration_cast<std::chrono::milliseconds>(value).count());
  }

 private:
  struct Frame {
    std::string key;
    bool is_list = false;
    bool is_item = false;
    json::object object;
    json::array array;
  };

  void put(std::string_view key, json::value value) {
    frames_.back().object.emplace(key, std::move(value));
  }

  std::deque<Frame> frames_;
};

}  // namespace

std::string config_json(const Config& config) {
  Config copy = config;
  Writer writer;
  visit_config(writer, copy);
  json::object object = writer.take();
  json::object result{{"schema", 1}, {"source", config.source}};
  result.emplace("config", std::move(object));
  return json::serialize(result);
}

}  // namespace nearfield::control
