#include "dataplane/access/key_set_maker.h"

#include <algorithm>
#include <format>
#include <utility>

#include "dataplane/access/jwk_set.h"

namespace nearfield::access {
namespace {

using Keys = std::vector<std::shared_ptr<const Key>>;

class KeySetMaker {
 public:
  KeySetMaker(const KeySetOptions& options, const std::string& place, const TellProblem& tell)
      : options_(options), place_(place), tell_(tell) {}

  std::shared_ptr<const KeySet> make(std::vector<std::string>& files_with_secrets) {
    set_->name = options_.name;
    set_->issuers = options_.issuers;
    set_->issuer_required = options_.issuer_required;
    if (options_.name.empty()) {
      complain(".name", "a key set has no name: rules refer to it by one");
    }
    for (std::size_t i = 0; i < options_.files.size(); ++i) {
      const std::string& path = options_.files[i];
      const auto keys = load_jwk_set(path, what_);
      append(keys, std::format(".files[{}]", i), std::format("{}, file {}", what_, path));
      if (keys && has_secrets(*keys) && !std::ranges::contains(files_with_secrets, path)) {
        files_with_secrets.push_back(path);
      }
    }
    const std::string origin = what_ + ", given inline";
    for (std::size_t i = 0; i < options_.inline_sets.size(); ++i) {
      append(parse_jwk_set(options_.inline_sets[i], origin), std::format(".inline_sets[{}]", i),
             origin);
    }
    if (set_->keys.size() > kMaximumKeysInSet) {
      complain("", std::format("{} has more than 64 keys: split it", what_));
    }
    if (is_good_ && set_->keys.empty()) {
      complain("", what_ +
                       " has no key that can be used: put an EC P-256 (ES256) or oct (HS256) "
                       "key in it, or remove it");
    }
    return is_good_ ? std::move(set_) : nullptr;
  }

 private:
  void complain(std::string_view key, std::string message) {
    is_good_ = false;
    tell_(std::format("{}{}", place_, key), std::move(message));
  }

  static bool has_secrets(const Keys& keys) {
    return std::ranges::any_of(
        keys, [](const auto& key) { return key->can_sign() || !key->can_verify(); });
  }

  void append(const Result<Keys>& keys, const std::string& file, const std::string& origin) {
    if (!keys) return complain(file, keys.error().message);
    for (const auto& key : *keys) {
      if (set_->keys.size() > kMaximumKeysInSet) return;  // which is told
      const bool is_taken = std::ranges::any_of(set_->keys, [&key](const auto& other) {
        return !key->id().empty() && other->id() == key->id() &&
               other->algorithm() == key->algorithm() && other->fingerprint() != key->fingerprint();
      });
      if (is_taken) {
        complain(file, origin + ": the kid '" + key->id() +
                           "' is another key in the same set already: give each its own");
      } else {
        set_->keys.push_back(key);
      }
    }
  }

  const KeySetOptions& options_;
  const std::string& place_;
  const TellProblem& tell_;
  const std::string what_ = "key set '" + options_.name + "'";
  std::shared_ptr<KeySet> set_ = std::make_shared<KeySet>();
  bool is_good_ = true;  // nothing was told
};

}  // namespace

std::shared_ptr<const KeySet> make_key_set(const KeySetOptions& options, const std::string& place,
                                           const TellProblem& tell,
                                           std::vector<std::string>& files_with_secrets) {
  return KeySetMaker(options, place, tell).make(files_with_secrets);
}

}  // namespace nearfield::access
