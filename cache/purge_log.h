// PurgeLog: which names were purged lately, so that a response on its way when its name was purged
// is not kept afterwards as if nothing had been.
//
// A purge takes away what is in the store; what an origin was asked for before it, and answers
// after it, is as old. Whoever asks an origin notes count() first and asks purged_since() once its
// response is in the store. The log is bounded: of purges longer ago than it remembers it says that
// they may have meant any name, which costs a response its place and nothing else. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace nearfield::cache {

class PurgeLog {
 public:
  // A purge of a thousand names within one answer of an origin is a flood of unsafe requests, or an
  // operator's script.
  static constexpr std::size_t kRemembered = 1024;

  // To be called before anything is removed: who inserts later and asks finds it here, who inserted
  // before is removed.
  void note_name(std::string_view name) { note(name, false); }
  void note_prefix(std::string_view prefix) { note(prefix, true); }

  std::uint64_t count() const;
  bool purged_since(std::uint64_t count, std::string_view name) const;

 private:
  struct Entry {
    std::string text;
    bool is_prefix = false;
  };
  void note(std::string_view text, bool is_prefix);

  mutable std::mutex mutex_;
  std::uint64_t count_ = 0;
  std::array<Entry, kRemembered> entries_;  // number n lies at n % kRemembered
};

}  // namespace nearfield::cache
