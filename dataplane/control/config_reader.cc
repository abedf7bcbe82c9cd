// Every method looks its key up even where the table is missing, so that the list of known keys is
// whole.
#include "dataplane/control/config_reader.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <numeric>
#include <utility>

#include "dataplane/control/units.h"

namespace nearfield::control {
namespace {

// Levenshtein's distance, two rows.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substituted});
    }
    std::swap(previous, current);
  }
  return previous[b.size()];
}

constexpr std::size_t kLongestWord = 64;  // longer ones are no slip of the fingers and cost time

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > kLongestWord) return {};
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::string best;
  for (const std::string& one : known) {
    const std::size_t distance = edit_distance(word, one);
    if (distance < best_distance && distance < one.size()) {
      best_distance = distance;
      best = one;
    }
  }
  return best;
}

ConfigReader::ConfigReader(const ConfigNode& root, std::string file, ConfigErrors& errors)
    : root_(root), file_(std::move(file)), errors_(errors) {
  frames_.push_back(Frame{.node = &root_, .path = "", .known = {}, .expanded = {}});
}

std::string ConfigReader::path_of(std::string_view key) const {
  const std::string& path = frames_.back().path;
  return path.empty() ? std::string(key) : std::format("{}.{}", path, key);
}

void ConfigReader::complain_at(const ConfigNode& node, std::string_view key, std::string reason) {
  errors_.add({.file = file_, .line = node.line, .key = path_of(key), .reason = std::move(reason)});
}

void ConfigReader::complain(std::string_view path, std::string reason) {
  const ConfigNode* node = &root_;
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t end = rest.find_first_of(".[");
    const std::string_view word = rest.substr(0, end);
    const ConfigNode* next = node->find(word);
    if (next == nullptr) break;
    node = next;
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
    if (rest.starts_with('[')) {
      std::size_t index = 0;
      const std::size_t close = std::min(rest.find(']'), rest.size());
      std::from_chars(rest.data() + 1, rest.data() + close, index);
      if (index >= node->items.size()) break;
      node = &node->items[index];
      rest.remove_prefix(std::min(close + 1, rest.size()));
    }
    if (rest.starts_with('.')) rest.remove_prefix(1);
  }
  errors_.add({.file = file_,
               .line = node == &root_ ? 0 : node->line,
               .key = std::string(path),
               .reason = std::move(reason)});
}

const ConfigNode* ConfigReader::look_up(std::string_view key) {
  Frame& frame = frames_.back();
  frame.known.emplace_back(key);
  return frame.node == nullptr ? nullptr : frame.node->find(key);
}

const ConfigNode* ConfigReader::take(std::string_view key, ConfigNode::Kind kind,
                                     std::string_view wanted) {
  const ConfigNode* node = look_up(key);
  if (node == nullptr || node->kind == kind) return node;
  complain_at(*node, key, std::format("is {}: write {}", kind_text(node->kind), wanted));
  return nullptr;
}

void ConfigReader::enter(std::string_view key) {
  std::string path = path_of(key);
  const ConfigNode* node = take(key, ConfigNode::Kind::table, std::format("a table, [{}]", path));
  frames_.push_back(Frame{.node = node, .path = std::move(path), .known = {}, .expanded = {}});
}

std::size_t ConfigReader::enter_list(std::string_view key, std::size_t count, std::size_t maximum) {
  std::string path = path_of(key);
  const ConfigNode* node =
      take(key, ConfigNode::Kind::array, std::format("a list, or tables under [[{}]]", path));
  if (node != nullptr) {
    count = node->items.size();
    if (count > maximum) {
      complain_at(*node, key, std::format("has {} entries: use at most {}", count, maximum));
      count = maximum;
    }
  }
  frames_.push_back(Frame{.node = node, .path = std::move(path), .known = {}, .expanded = {}});
  return count;
}

void ConfigReader::enter_item(std::size_t index, std::string_view shorthand) {
  const Frame& list = frames_.back();
  Frame frame{.node = nullptr,
              .path = std::format("{}[{}]", list.path, index),
              .known = {},
              .expanded = {}};
  if (list.node != nullptr && index < list.node->items.size()) {
    const ConfigNode& item = list.node->items[index];
    if (item.kind == ConfigNode::Kind::table) {
      frame.node = &item;
    } else if (item.kind == ConfigNode::Kind::text && !shorthand.empty()) {
      frame.expanded.line = item.line;
      frame.expanded.items.push_back(item);
      frame.expanded.items.back().key = shorthand;
    } else {
      errors_.add({.file = file_,
                   .line = item.line,
                   .key = frame.path,
                   .reason = std::format("is {}: write a table", kind_text(item.kind))});
    }
  }
  frames_.push_back(std::move(frame));
  Frame& last = frames_.back();
  if (!last.expanded.items.empty()) last.node = &last.expanded;
}

void ConfigReader::report_unknown(const Frame& frame) {
  if (frame.node == nullptr || frame.node->kind != ConfigNode::Kind::table) return;
  for (const ConfigNode& item : frame.node->items) {
    if (std::ranges::find(frame.known, item.key) != frame.known.end()) continue;
    const std::string meant = nearest_word(item.key, frame.known);
    errors_.add(
        {.file = file_,
         .line = item.line,
         .key = frame.path.empty() ? item.key : std::format("{}.{}", frame.path, item.key),
         .reason = meant.empty()
                       ? std::string("is not known: remove it, or see docs/configuration.md")
                       : std::format("is not known: did you mean '{}'?", meant)});
  }
}

void ConfigReader::leave() {
  report_unknown(frames_.back());
  frames_.pop_back();
}

void ConfigReader::finish() { report_unknown(frames_.front()); }

void ConfigReader::boolean(std::string_view key, bool& value) {
  const ConfigNode* node = take(key, ConfigNode::Kind::boolean, "true or false");
  if (node != nullptr) value = node->boolean;
}

void ConfigReader::text(std::string_view key, std::string& value, const TextCheck& check) {
  const ConfigNode* node = take(key, ConfigNode::Kind::text, "a text in quotes");
  if (node == nullptr) return;
  if (const auto good = check(node->text); !good) {
    complain_at(*node, key, good.error().message);
  } else {
    value = node->text;
  }
}

void ConfigReader::texts(std::string_view key, std::vector<std::string>& values,
                         std::size_t maximum, const TextCheck& check) {
  const ConfigNode* node = take(key, ConfigNode::Kind::array, "a list of texts, [\"...\"]");
  if (node == nullptr) return;
  if (node->items.size() > maximum) {
    complain_at(*node, key,
                std::format("has {} entries: use at most {}", node->items.size(), maximum));
    return;
  }
  std::vector<std::string> result;
  for (const ConfigNode& item : node->items) {
    const std::string item_key = std::format("{}[{}]", key, result.size());
    if (item.kind != ConfigNode::Kind::text) {
      complain_at(item, item_key, std::format("is {}: write a text", kind_text(item.kind)));
    } else if (std::ranges::find(result, item.text) != result.end()) {
      complain_at(item, item_key, std::format("'{}' is there twice: remove one", item.text));
    } else if (const auto good = check(item.text); !good) {
      complain_at(item, item_key, good.error().message);
    }
    result.push_back(item.text);
  }
  values = std::move(result);
}

void ConfigReader::percent(std::string_view key, std::uint32_t& value) {
  const ConfigNode* node = take(key, ConfigNode::Kind::text, "a share in quotes, \"10%\"");
  if (node == nullptr) return;
  if (const auto parsed = parse_percent(node->text); !parsed) {
    complain_at(*node, key, parsed.error().message);
  } else {
    value = *parsed;
  }
}

void ConfigReader::visit_integer(std::string_view key, std::uint64_t& value, std::uint64_t low,
                                 std::uint64_t high) {
  const ConfigNode* node = take(key, ConfigNode::Kind::integer, "a whole number");
  if (node == nullptr) return;
  const bool negative = node->integer < 0;
  const auto number = static_cast<std::uint64_t>(node->integer);
  if (negative || number < low || number > high) {
    complain_at(*node, key, std::format("is {}: use {} to {}", node->integer, low, high));
  } else {
    value = number;
  }
}

void ConfigReader::visit_size(std::string_view key, std::uint64_t& bytes, std::uint64_t low,
                              std::uint64_t high) {
  const ConfigNode* node = look_up(key);
  if (node == nullptr) return;
  Result<std::uint64_t> parsed = failure("");
  if (node->kind == ConfigNode::Kind::text) {
    parsed = parse_size(node->text);
  } else if (node->kind == ConfigNode::Kind::integer && node->integer >= 0) {
    parsed = static_cast<std::uint64_t>(node->integer);
  } else {
    parsed = failure(
        std::format("is {}: write a size in quotes, \"512M\"",
                    node->kind == ConfigNode::Kind::integer ? "negative" : kind_text(node->kind)));
  }
  if (!parsed) {
    complain_at(*node, key, parsed.error().message);
  } else if (*parsed < low || *parsed > high) {
    complain_at(*node, key,
                std::format("is {}: use {} to {}", format_size(*parsed), format_size(low),
                            format_size(high)));
  } else {
    bytes = *parsed;
  }
}

void ConfigReader::visit_duration(std::string_view key, Duration& value, Duration low,
                                  Duration high, Duration granularity) {
  const ConfigNode* node = take(key, ConfigNode::Kind::text, "a duration in quotes, \"10s\"");
  if (node == nullptr) return;
  const auto parsed = parse_duration(node->text);
  if (!parsed) {
    complain_at(*node, key, parsed.error().message);
  } else if (*parsed < low || *parsed > high) {
    complain_at(*node, key,
                std::format("is {}: use {} to {}", format_duration(*parsed), format_duration(low),
                            format_duration(high)));
  } else if (*parsed % granularity != Duration::zero()) {
    complain_at(*node, key,
                std::format("is {}: use whole multiples of {}", format_duration(*parsed),
                            format_duration(granularity)));
  } else {
    value = *parsed;
  }
}

}  // namespace nearfield::control
