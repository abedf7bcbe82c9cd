// The digest of a blob, computed from its own memory behind the published edge rather than from the
// bytes as they pass: a blob that fills from its middle has them in the wrong order. The bytes are
// read outside of the lock: published ones of a kept blob do not change, and only the writer, whose
// thread this is, could stop keeping it.
#include <array>

#include "cache/blob_state.h"

namespace nearfield::cache {

bool Blob::advance_digest(std::uint64_t budget_bytes) {
  Impl& state = *impl_;
  if (state.digest_known.load(std::memory_order_acquire)) return true;
  if (state.streams() || this->state() == State::broken) return false;
  if (!state.hasher) state.hasher = std::make_unique<BlobHasher>();
  BlobHasher& hasher = *state.hasher;
  while (budget_bytes > 0) {
    std::array<iovec, 16> vectors;
    const std::uint64_t bytes = std::min(budget_bytes, readable_from(hasher.hashed_bytes));
    if (bytes == 0) break;
    std::uint64_t covered = 0;
    const std::size_t used = addresses(hasher.hashed_bytes, bytes, vectors, &covered);
    for (const iovec& vector : std::span(vectors).first(used)) {
      sha256_update(&hasher.context, vector.iov_len,
                    static_cast<const std::uint8_t*>(vector.iov_base));
    }
    hasher.hashed_bytes += covered;
    budget_bytes -= covered;
  }
  if (!state.frozen() || hasher.hashed_bytes != state.length()) return false;
  sha256_digest(&hasher.context, state.digest.size(), state.digest.data());
  state.hasher.reset();
  state.digest_known.store(true, std::memory_order_release);
  return true;
}

std::optional<Digest> Blob::digest() const {
  if (!impl_->digest_known.load(std::memory_order_acquire)) return std::nullopt;
  return impl_->digest;
}

}  // namespace nearfield::cache
