#include "dataplane/access/token_tables.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nearfield::access {
namespace {

// List node, index node and bucket beside the token itself, and a renewal of its size.
constexpr std::size_t kOverheadBytes = 256;

std::uint64_t short_id(const Digest& ring) {
  std::uint64_t id = 0;
  std::memcpy(&id, ring.data(), sizeof(id));
  return id;
}

}  // namespace

GoodTokens::GoodTokens(std::size_t maximum_tokens, std::size_t maximum_bytes)
    : maximum_tokens_(maximum_tokens), maximum_bytes_(maximum_bytes) {
  index_.reserve(maximum_tokens);
}

std::size_t GoodTokens::cost(const Token& token) {
  const std::size_t renewal = token.renewal ? 2 * token.payload.size() + 512 : 0;
  return token.memory_bytes() + renewal + kOverheadBytes;
}

GoodToken* GoodTokens::find(const Digest& digest) {
  const auto found = index_.find(digest);
  if (found == index_.end()) return nullptr;
  tokens_.splice(tokens_.begin(), tokens_, found->second);
  return &tokens_.front();
}

GoodToken& GoodTokens::add(const Digest& digest, Token token) {
  remove(digest);
  const std::size_t bytes = cost(token);
  while (!tokens_.empty() &&
         (tokens_.size() >= maximum_tokens_ || bytes_ + bytes > maximum_bytes_)) {
    drop_oldest();
  }
  tokens_.emplace_front().digest = digest;
  tokens_.front().token = std::move(token);
  bytes_ += cost(tokens_.front().token);
  index_.emplace(digest, tokens_.begin());
  return tokens_.front();
}

void GoodTokens::remove(const Digest& digest) {
  const auto found = index_.find(digest);
  if (found == index_.end()) return;
  bytes_ -= cost(found->second->token);
  tokens_.erase(found->second);
  index_.erase(found);
}

void GoodTokens::drop_oldest() {
  bytes_ -= cost(tokens_.back().token);
  index_.erase(tokens_.back().digest);
  tokens_.pop_back();
}

BadTokens::BadTokens(std::size_t maximum_tokens, std::chrono::seconds lifetime, SipHashKey key)
    : lifetime_(lifetime), key_(key), entries_(maximum_tokens / kWays * kWays) {}

std::size_t BadTokens::place_of(const Digest& digest, std::uint64_t ring) const {
  const std::uint64_t hash = siphash(key_, std::as_bytes(std::span(digest))) ^ ring;
  return hash % (entries_.size() / kWays) * kWays;
}

std::optional<Reason> BadTokens::find(const Digest& digest, const Digest& ring,
                                      MonotonicTime now) const {
  if (entries_.empty()) return std::nullopt;
  const std::uint64_t id = short_id(ring);
  const std::size_t place = place_of(digest, id);
  for (std::size_t i = place; i < place + kWays; ++i) {
    const Entry& entry = entries_[i];
    if (entry.reason != Reason::kNoRules && entry.ring == id && entry.until > now &&
        entry.digest == digest) {
      return entry.reason;
    }
  }
  return std::nullopt;
}

void BadTokens::add(const Digest& digest, const Digest& ring, Reason reason, MonotonicTime now) {
  if (entries_.empty()) return;
  const std::uint64_t id = short_id(ring);
  const std::size_t place = place_of(digest, id);
  // Free places have `until` at the beginning of time: they, then the oldest.
  const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(place);
  const auto oldest = std::min_element(
      first, first + kWays, [](const Entry& a, const Entry& b) { return a.until < b.until; });
  *oldest = {digest, id, now + lifetime_, reason};
}

}  // namespace nearfield::access
