#include "dataplane/access/policy.h"

#include <optional>
#include <utility>

#include "dataplane/access/policy_maker.h"
#include "dataplane/access/policy_parts.h"

namespace nearfield::access {
namespace {

// For who wants a single error.
TellProblem keep_first(std::optional<Error>& first) {
  return [&first](std::string_view, std::string message) {
    if (!first) first = Error{std::move(message)};
  };
}

}  // namespace

AccessPolicy::AccessPolicy(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
AccessPolicy::~AccessPolicy() = default;

std::shared_ptr<const AccessPolicy> AccessPolicy::make_or_tell(const AccessOptions& options,
                                                               const TellProblem& tell) {
  auto parts = make_policy_parts(options, tell);
  if (parts == nullptr) return nullptr;
  return std::shared_ptr<const AccessPolicy>(new AccessPolicy(std::move(parts)));
}

Result<std::shared_ptr<const AccessPolicy>> AccessPolicy::make(const AccessOptions& options) {
  std::optional<Error> first;
  auto policy = make_or_tell(options, keep_first(first));
  if (first) return std::unexpected(*std::move(first));
  return policy;
}

Result<std::shared_ptr<const AccessPolicy>> AccessPolicy::make(
    const AccessOptions& options, std::shared_ptr<const PrefixDatabase> territories,
    std::shared_ptr<const PrefixDatabase> networks) {
  std::optional<Error> first;
  auto parts =
      make_policy_parts(options, std::move(territories), std::move(networks), keep_first(first));
  if (first) return std::unexpected(*std::move(first));
  return std::shared_ptr<const AccessPolicy>(new AccessPolicy(std::move(parts)));
}

std::shared_ptr<const AccessPolicy> AccessPolicy::open() {
  return std::shared_ptr<const AccessPolicy>(new AccessPolicy(std::make_unique<Parts>()));
}

FoundRule find_rule(const AccessPolicy::Parts& parts, std::string_view host,
                    std::string_view path) {
  if (!parts.index.knows(host)) return {};
  if (is_ambiguous_path(path)) return {nullptr, true};
  std::string normal;
  if (path.contains('%')) {
    append_normal_path(normal, path);
    path = normal;
  }
  const Rule* rule = parts.index.find(host, path);
  const bool has_parameters = path.contains(';') || path.contains("%3B");
  if (has_parameters && parts.index.find(host, without_path_parameters(path)) != rule) {
    return {nullptr, true};
  }
  return {rule, false};
}

const std::vector<std::string>& AccessPolicy::files_with_secrets() const {
  return parts_->files_with_secrets;
}

bool AccessPolicy::is_open() const { return parts_->rules.empty(); }

bool AccessPolicy::trusts_clock(bool is_synchronised, WallTime now) const {
  return is_synchronised && now >= parts_->clock.not_before;
}

const std::vector<std::string>& AccessPolicy::token_headers() const { return parts_->headers; }

std::string AccessPolicy::summary() const {
  if (is_open()) return "no access rules: everything is open";
  std::size_t keys = 0;
  for (const auto& set : parts_->key_sets) keys += set->keys.size();
  std::string text = std::to_string(parts_->rules.size()) + " access rules, " +
                     std::to_string(parts_->key_sets.size()) + " key sets with " +
                     std::to_string(keys) + " keys";
  if (parts_->territories != nullptr) {
    text += ", territories by " + parts_->territories->description();
  }
  if (parts_->networks != nullptr && parts_->networks != parts_->territories) {
    text += ", networks by " + parts_->networks->description();
  }
  return text;
}

}  // namespace nearfield::access
