// AccessPolicy: the rules, keys and databases in force, checked and ready. Immutable: any number of
// threads read it at once; a reload makes a new one and hands it to each AccessCheck, and the old
// one goes, with its keys wiped and its databases unmapped, when the last of them lets go.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/access/options.h"
#include "dataplane/access/prefix_database.h"

namespace nearfield::access {

// Gets one thing that is wrong: where, as the key of a configuration below its [access]
// ("key_sets[1].files[0]", "rules[2].renewal_key"), and what.
using TellProblem = std::function<void(std::string_view place, std::string message)>;

class AccessPolicy {
 public:
  // Reads key files, each once, and maps databases (the only I/O of this folder). Tells all that is
  // wrong, and nothing that only follows from it; null when it told anything. Every message names
  // the rule, key set, key or file, and what to do.
  static std::shared_ptr<const AccessPolicy> make_or_tell(const AccessOptions& options,
                                                          const TellProblem& tell);
  // The same with the first problem alone.
  static Result<std::shared_ptr<const AccessPolicy>> make(const AccessOptions& options);
  // With databases that the caller brings (either may be null: there is none); the paths of the
  // options are not looked at.
  static Result<std::shared_ptr<const AccessPolicy>> make(
      const AccessOptions& options, std::shared_ptr<const PrefixDatabase> territories,
      std::shared_ptr<const PrefixDatabase> networks);
  // Everything is open.
  static std::shared_ptr<const AccessPolicy> open();

  ~AccessPolicy();
  AccessPolicy(const AccessPolicy&) = delete;
  AccessPolicy& operator=(const AccessPolicy&) = delete;

  // True when there is no rule: a caller may then skip the check altogether.
  bool is_open() const;
  // Whether a clock that says `now` is to be believed where that decides who may listen:
  // `is_synchronised` by the word of whoever knows, and not before ClockOptions::not_before.
  bool trusts_clock(bool is_synchronised, WallTime now) const;
  // The request fields that rules take tokens from.
  const std::vector<std::string>& token_headers() const;
  // The key files in which there is more than public keys: who may read them matters.
  const std::vector<std::string>& files_with_secrets() const;
  // What is in force, for a log line: "3 rules, 2 key sets with 5 keys, territory database of
  // 2026-11-01".
  std::string summary() const;

  // For this folder.
  struct Parts;
  const Parts& parts() const { return *parts_; }

 private:
  explicit AccessPolicy(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace nearfield::access
