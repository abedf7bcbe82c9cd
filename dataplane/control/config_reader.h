// ConfigReader: the visitor that fills a Config from a parsed file and says everything that is
// wrong with it: types, ranges, unknown keys with the name that was probably meant. Values that are
// absent or wrong keep what they were.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/config_error.h"
#include "dataplane/control/config_tree.h"
#include "dataplane/control/config_visitor.h"

namespace nearfield::control {

class ConfigReader final : public ConfigVisitor {
 public:
  // `root` outlives the reader.
  ConfigReader(const ConfigNode& root, std::string file, ConfigErrors& errors);

  void boolean(std::string_view key, bool& value) override;
  void text(std::string_view key, std::string& value, const TextCheck& check) override;
  void texts(std::string_view key, std::vector<std::string>& values, std::size_t maximum,
             const TextCheck& check) override;
  void percent(std::string_view key, std::uint32_t& value) override;

  // Unknown keys at the top; call once, after everything was visited.
  void finish();
  // A complaint about a key path ("origin[0].servers[1].url"), at the line of it or of the nearest
  // thing around it.
  void complain(std::string_view path, std::string reason);

 protected:
  void enter(std::string_view key) override;
  std::size_t enter_list(std::string_view key, std::size_t count, std::size_t maximum) override;
  void enter_item(std::size_t index, std::string_view shorthand) override;
  void leave() override;
  void visit_integer(std::string_view key, std::uint64_t& value, std::uint64_t low,
                     std::uint64_t high) override;
  void visit_size(std::string_view key, std::uint64_t& bytes, std::uint64_t low,
                  std::uint64_t high) override;
  void visit_duration(std::string_view key, Duration& value, Duration low, Duration high,
                      Duration granularity) override;

 private:
  struct Frame {
    const ConfigNode* node = nullptr;  // null: not in the file
    std::string path;
    std::vector<std::string> known;
    ConfigNode expanded;  // a shorthand item written out
  };

  // The value of `key` in the current table, when it is there and of this kind; complains when it
  // is there and is not.
  const ConfigNode* take(std::string_view key, ConfigNode::Kind kind, std::string_view wanted);
  const ConfigNode* look_up(std::string_view key);
  std::string path_of(std::string_view key) const;
  void complain_at(const ConfigNode& node, std::string_view key, std::string reason);
  void report_unknown(const Frame& frame);

  const ConfigNode& root_;
  std::string file_;
  ConfigErrors& errors_;
  std::deque<Frame> frames_;  // frames stay where they are: `node` may point at `expanded`
};

// The known word nearest to `word`, if it is near enough to be a slip of the fingers; empty
// otherwise.
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

}  // namespace nearfield::control
