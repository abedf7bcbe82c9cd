#include "dataplane/access/expressions.h"

#include <re2/re2.h>

#include <algorithm>
#include <functional>

namespace nearfield::access {
namespace {

// Program and automaton of one expression; RE2 gives up on what needs more, and works without
// automaton where only that does not fit.
constexpr std::int64_t kExpressionMemory = 40 << 10;

}  // namespace

struct ExpressionCache::Entry {
  Entry(const Match& match, const RE2::Options& options)
      : text(match.value),
        name{match.type, match.ignore_case, text},
        expression(std::make_unique<RE2>(text, options)) {}

  const std::string text;
  const Name name;
  const std::unique_ptr<RE2> expression;
};

std::size_t ExpressionCache::NameHash::operator()(const Name& name) const {
  const std::size_t kind = static_cast<std::size_t>(name.type) * 2 + (name.ignore_case ? 1 : 0);
  return std::hash<std::string_view>()(name.expression) + kind;
}

ExpressionCache::ExpressionCache(std::size_t maximum)
    : maximum_(std::max<std::size_t>(1, maximum)) {}
ExpressionCache::~ExpressionCache() = default;

const ExpressionCache::Entry& ExpressionCache::find(const Match& match) {
  const Name name{match.type, match.ignore_case, match.value};
  if (const auto found = index_.find(name); found != index_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front();
  }
  if (entries_.size() >= maximum_) {
    index_.erase(entries_.back().name);
    entries_.pop_back();
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kExpressionMemory);
  options.set_never_capture(true);
  options.set_case_sensitive(!match.ignore_case);
  options.set_encoding(
      RE2::Options::EncodingLatin1);  // URIs are ASCII; other bytes stand for themselves
  if (match.type == MatchType::kPosix) {
    options.set_posix_syntax(true);
    options.set_longest_match(true);
    options.set_one_line(true);
  }
  entries_.emplace_front(match, options);
  index_.emplace(entries_.front().name, entries_.begin());
  return entries_.front();
}

std::optional<bool> ExpressionCache::matches(const Match& match, std::string_view text) {
  switch (match.type) {
    case MatchType::kExact:
      return text == match.value;
    case MatchType::kPrefix:
      return text.starts_with(match.value);
    case MatchType::kSuffix:
      return text.ends_with(match.value);
    case MatchType::kContains:
      return text.contains(match.value);
    case MatchType::kSha256:
      return text_of(sha256(bytes_of(text))) == match.value;
    case MatchType::kSha512_256:
      return text_of(sha512_256(bytes_of(text))) == match.value;
    case MatchType::kExpression:
    case MatchType::kPosix:
      break;
  }
  const RE2& expression = *find(match).expression;
  if (!expression.ok()) return std::nullopt;
  const absl::string_view whole(text.data(), text.size());
  return match.type == MatchType::kPosix ? RE2::FullMatch(whole, expression)
                                         : RE2::PartialMatch(whole, expression);
}

}  // namespace nearfield::access
