#include "dataplane/access/token_tables.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace nearfield::access {
namespace {

// List node, two index nodes and buckets beside the token itself.
constexpr std::size_t kOverheadBytes = 384;

std::uint64_t short_id(const Digest& ring) {
  std::uint64_t id = 0;
  std::memcpy(&id, ring.data(), sizeof(id));
  return id;
}

}  // namespace

GoodTokens::GoodTokens(std::size_t maximum_tokens, std::size_t maximum_bytes)
    : maximum_tokens_(maximum_tokens), maximum_bytes_(maximum_bytes) {
  index_.reserve(maximum_tokens);
  by_identity_.reserve(maximum_tokens);
}

std::size_t GoodTokens::cost(const Token& token) {
  const std::size_t renewal = token.renewal ? 2 * token.payload.size() + 512 : 0;
  return token.memory_bytes() + renewal + kOverheadBytes;
}

GoodToken* GoodTokens::touch(Place place) {
  tokens_.splice(tokens_.begin(), tokens_, place);
  return &tokens_.front();
}

GoodToken* GoodTokens::find(const Digest& digest) {
  const auto found = index_.find(digest);
  return found == index_.end() ? nullptr : touch(found->second);
}

GoodToken* GoodTokens::find_identity(const Digest& identity) {
  const auto found = by_identity_.find(identity);
  return found == by_identity_.end() ? nullptr : touch(found->second);
}

GoodToken& GoodTokens::add(const Digest& digest, const Digest& identity, Token token) {
  remove(digest);
  if (const auto same = by_identity_.find(identity); same != by_identity_.end()) drop(same->second);
  const std::size_t bytes = cost(token);
  while (!tokens_.empty() &&
         (tokens_.size() >= maximum_tokens_ || bytes_ + bytes > maximum_bytes_)) {
    drop(std::prev(tokens_.end()));
  }
  GoodToken& added = tokens_.emplace_front();
  added.digest = digest;
  added.identity = identity;
  added.token = std::move(token);
  bytes_ += cost(added.token);
  index_.emplace(digest, tokens_.begin());
  by_identity_.emplace(identity, tokens_.begin());
  return added;
}

void GoodTokens::remove(const Digest& digest) {
  if (const auto found = index_.find(digest); found != index_.end()) drop(found->second);
}

void GoodTokens::retain(const std::unordered_set<Digest, DigestHash>& keys) {
  for (Place place = tokens_.begin(); place != tokens_.end();) {
    const Place here = place++;
    const Token& token = here->token;
    const bool stays =
        keys.contains(token.key) && (!token.sealing_key || keys.contains(*token.sealing_key));
    if (!stays) drop(here);
  }
}

void GoodTokens::drop(Place place) {
  bytes_ -= cost(place->token);
  index_.erase(place->digest);
  by_identity_.erase(place->identity);
  tokens_.erase(place);
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
