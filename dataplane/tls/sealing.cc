// See sealing.h.
#include "dataplane/tls/sealing.h"

#include <algorithm>
#include <array>

#include "cache/arena.h"
#include "cache/base/assert.h"
#include "dataplane/tls/record_sealer.h"

namespace nearfield::tls {
namespace {

// A record's clear text: every piece of a plan, and where content is cut into extents. Those begin
// and end on page boundaries of their blob (cache/extent_list.h), of which n pieces of L bytes
// together cross at most n + L / page.
constexpr std::size_t kPieces =
    2 * net::SendPlan::kMaximumPieces + kMaximumPlaintext / cache::kPageBytes;

}  // namespace

void Sealing::begin(const AeadEngine& engine, Version version, Aead aead, const TrafficKeys& keys,
                    std::uint32_t generation) {
  engine_ = &engine;
  version_ = version;
  aead_ = aead;
  layout_.begin(static_cast<std::uint32_t>(sealed_bytes(version, aead, 0)));
  made_ = {};
  change_keys(keys, generation);
}

void Sealing::change_keys(const TrafficKeys& keys, std::uint32_t generation) {
  Keys& place = keys_of(generation);
  place.generation = generation;
  place.iv = keys.iv;
  engine_->expand(aead_, std::span(keys.key).first(key_bytes(aead_)), place.expanded);
  place.guard.emplace(aead_, keys.next_sequence);
}

std::span<const std::byte> Sealing::made(const RecordLayout::Record& record,
                                         const net::SendPlan& clear, net::Staging& staging) {
  if (made_.number != 0 && made_sequence_ == record.sequence &&
      made_generation_ == record.generation && staging.renew(made_.number)) {
    return made_.bytes;
  }
  made_ = {};
  const net::Staging::Piece piece = staging.take(sealed_bytes(version_, aead_, record.plain_bytes));
  if (piece.bytes.empty()) return {};

  std::array<iovec, kPieces> pieces;
  std::size_t count = 1;
  if (record.type == ContentType::application_data) {
    std::uint64_t covered = 0;
    count = clear.peek(record.plain_offset, record.plain_bytes, pieces, &covered);
    NEARFIELD_ASSERT(covered == record.plain_bytes);
  } else {
    pieces[0] = {const_cast<std::byte*>(record.message.data()), record.message.size()};
  }
  Keys& keys = keys_of(record.generation);
  NEARFIELD_ASSERT(keys.generation == record.generation);
  const auto text = std::span<const iovec>(pieces).first(count);
  keys.guard->seal(record.sequence, record.type, text);
  const std::size_t sealed = seal_record(*engine_, version_, aead_, keys.expanded, keys.iv,
                                         record.sequence, record.type, text, piece.bytes.data());
  NEARFIELD_ASSERT(sealed == piece.bytes.size());
  made_ = piece;
  made_sequence_ = record.sequence;
  made_generation_ = record.generation;
  return made_.bytes;
}

std::size_t Sealing::peek(const net::SendPlan& clear, net::Staging& staging, std::uint64_t offset,
                          std::uint64_t maximum_bytes, std::span<iovec> vectors,
                          std::uint64_t* covered_bytes) {
  *covered_bytes = 0;
  std::size_t used = 0;
  while (maximum_bytes > 0) {
    const RecordLayout::Record record = layout_.find(offset);
    const std::span<const std::byte> sealed = made(record, clear, staging);
    if (sealed.empty()) break;
    const std::size_t skipped = offset + layout_.released_of_first() - record.sealed_offset;
    const std::size_t length = std::min<std::uint64_t>(sealed.size() - skipped, maximum_bytes);
    auto* start = const_cast<std::byte*>(sealed.data() + skipped);
    // Records made one after the other mostly lie so, too.
    if (used > 0 &&
        static_cast<std::byte*>(vectors[used - 1].iov_base) + vectors[used - 1].iov_len == start) {
      vectors[used - 1].iov_len += length;
    } else if (used < vectors.size()) {
      vectors[used++] = {start, length};
    } else {
      break;
    }
    *covered_bytes += length;
    offset += length;
    maximum_bytes -= length;
  }
  return used;
}

std::uint64_t Sealing::release(std::uint64_t sealed_bytes) {
  const std::uint64_t application_bytes = layout_.release(sealed_bytes);
  if (!layout_.is_empty()) {
    keys_of(layout_.oldest_generation()).guard->release_below(layout_.oldest_sequence());
  }
  return application_bytes;
}

void Sealing::end() {
  for (Keys& keys : keys_) {
    keys.guard.reset();
    wipe(keys.expanded.bytes);
    wipe(keys.iv);
  }
  made_ = {};
}

}  // namespace nearfield::tls
