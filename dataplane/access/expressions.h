// ExpressionCache: compiled expressions, so that a token's is compiled once and not per request,
// and how a claim's match is evaluated. RE2: linear in the text, bounded in memory, whatever the
// expression. Not thread-safe.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dataplane/access/token.h"

namespace nearfield::access {

class ExpressionCache {
 public:
  explicit ExpressionCache(std::size_t maximum);
  ~ExpressionCache();
  ExpressionCache(const ExpressionCache&) = delete;
  ExpressionCache& operator=(const ExpressionCache&) = delete;

  // nullopt: the expression is not one.
  std::optional<bool> matches(const Match& match, std::string_view text);
  std::size_t size() const { return entries_.size(); }

 private:
  // What an expression is known by: a view, so that looking for one costs no memory.
  struct Name {
    MatchType type = MatchType::kExpression;
    bool ignore_case = false;
    std::string_view expression;
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& name) const;
  };
  struct Entry;
  const Entry& find(const Match& match);

  std::size_t maximum_;
  std::list<Entry> entries_;  // the last used first
  // Views are into the entries.
  std::unordered_map<Name, std::list<Entry>::iterator, NameHash> index_;
};

}  // namespace nearfield::access
