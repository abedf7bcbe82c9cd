#include "dataplane/access/rules.h"

#include <algorithm>
#include <chrono>

#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

// All digits, as many as there are characters.
std::optional<int> digits(std::string_view text) {
  int number = 0;
  for (const char c : text) {
    if (!http::is_digit(c)) return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return number;
}

}  // namespace

const TrustedKey* KeyRing::find(const Digest& fingerprint) const {
  for (const TrustedKey& each : keys) {
    if (each.key->fingerprint() == fingerprint) return &each;
  }
  return nullptr;
}

bool KeyRing::opens(const Digest& fingerprint) const {
  return std::ranges::any_of(
      sealing, [&fingerprint](const auto& key) { return key->fingerprint() == fingerprint; });
}

bool KeyRing::has(Algorithm algorithm) const {
  return std::ranges::any_of(
      keys, [algorithm](const TrustedKey& each) { return each.key->algorithm() == algorithm; });
}

bool Rule::looks_at_territory() const {
  return !allowed_territories.empty() || !refused_territories.empty() ||
         std::ranges::any_of(licence,
                             [](const Window& window) { return !window.territories.empty(); });
}

bool PathTree::add(std::string_view path, const Rule* rule) {
  Node* node = &root_;
  while (true) {
    path.remove_prefix(1);  // '/'
    if (path.empty()) {
      if (node->below != nullptr) return false;
      node->below = rule;
      return true;
    }
    const std::size_t end = std::min(path.find('/'), path.size());
    auto& child = node->children[std::string(path.substr(0, end))];
    if (child == nullptr) child = std::make_unique<Node>();
    node = child.get();
    path.remove_prefix(end);
    if (path.empty()) {
      if (node->here != nullptr) return false;
      node->here = rule;
      return true;
    }
  }
}

const Rule* PathTree::find(std::string_view path) const {
  const Node* node = &root_;
  const Rule* best = nullptr;
  while (path.starts_with('/')) {
    if (node->below != nullptr) best = node->below;
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    const auto child = node->children.find(path.substr(0, end));
    if (child == node->children.end()) break;
    node = child->second.get();
    if (node->here != nullptr) best = node->here;
    path.remove_prefix(end);
  }
  return best;
}

bool RuleIndex::add(std::string_view host, std::string_view path, const Rule* rule) {
  if (host == "*") {
    if (!any_) any_.emplace();
    return any_->add(path, rule);
  }
  if (host.starts_with("*.")) return below_[std::string(host.substr(2))].add(path, rule);
  return exact_[std::string(host)].add(path, rule);
}

template <typename Visit>
bool RuleIndex::each_tree(std::string_view host, Visit visit) const {
  if (const auto found = exact_.find(host); found != exact_.end() && visit(found->second)) {
    return true;
  }
  if (!below_.empty()) {
    for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
         dot = host.find('.', dot + 1)) {
      const auto found = below_.find(host.substr(dot + 1));
      if (found != below_.end() && visit(found->second)) return true;
    }
  }
  return any_ && visit(*any_);
}

const Rule* RuleIndex::find(std::string_view host, std::string_view path) const {
  const Rule* rule = nullptr;
  each_tree(host, [&](const PathTree& tree) {
    rule = tree.find(path);
    return rule != nullptr;
  });
  return rule;
}

bool RuleIndex::knows(std::string_view host) const {
  return each_tree(host, [](const PathTree&) { return true; });
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  // 2026-12-01T00:00:00 and Z or +hh:mm
  if (text.size() != 20 && text.size() != 25) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  const auto year = digits(text.substr(0, 4));
  const auto month = digits(text.substr(5, 2));
  const auto day = digits(text.substr(8, 2));
  const auto hour = digits(text.substr(11, 2));
  const auto minute = digits(text.substr(14, 2));
  const auto second = digits(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  // Second 60 is a leap second, which has no place in Unix time but before the next one.
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  WallTime time = std::chrono::sys_days(date) + std::chrono::hours(*hour) +
                  std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  if (text.size() == 20)
    return text[19] == 'Z' || text[19] == 'z' ? std::optional(time) : std::nullopt;
  if ((text[19] != '+' && text[19] != '-') || text[22] != ':') return std::nullopt;
  const auto offset_hours = digits(text.substr(20, 2));
  const auto offset_minutes = digits(text.substr(23, 2));
  if (!offset_hours || !offset_minutes || *offset_hours > 23 || *offset_minutes > 59) {
    return std::nullopt;
  }
  const auto offset = std::chrono::hours(*offset_hours) + std::chrono::minutes(*offset_minutes);
  return text[19] == '+' ? time - offset : time + offset;
}

}  // namespace nearfield::access
