// Staging: the small ring of memory in which a worker makes bytes just before they are sent, when
// they are not in the cache as they go out: TLS records. One for all connections of a worker.
//
// Invariant: what take() gave stays as it was written until the transport retired the use it was
// settled for: a device, or the kernel, may read it until then. The ring gives back in the order
// in which it gave; a piece that is used again (renew()) keeps those behind it waiting, which is
// short.
//
// Its users (net/send_plan.h's sources) take and renew while they are asked for bytes; its
// transport says afterwards which use these bytes had, and when that is over. Uses are numbers that
// only grow: submissions of a ring, epochs of a device. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace nearfield::net {

class Staging {
 public:
  static constexpr std::size_t kMaximumPieces = 1024;
  // Pieces that may be renewed between two settle().
  static constexpr std::size_t kMaximumRenewed = 64;

  struct Piece {
    std::uint64_t number = 0;  // never given twice
    std::span<std::byte> bytes;
  };

  // `memory` outlives it.
  explicit Staging(std::span<std::byte> memory);

  // --- who makes bytes ---
  // Empty while there is no room: to be tried again when earlier uses are over. At most half of the
  // memory.
  Piece take(std::size_t bytes);
  // Whether the piece is still as it was written; then it stays for the use to come as well.
  bool renew(std::uint64_t number);

  // --- the transport ---
  // What was taken and renewed since the last settle() is used by `use` (not below earlier ones).
  void settle(std::uint64_t use);
  // All uses up to this one are over.
  void retire(std::uint64_t use);

 private:
  struct Entry {
    std::size_t end = 0;  // counted on from the beginning of time, as begin_ and end_
    std::uint64_t use = 0;
  };
  Entry& entry(std::uint64_t number) const { return entries_[number % kMaximumPieces]; }

  std::span<std::byte> memory_;
  std::unique_ptr<Entry[]> entries_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t first_ = 1;      // the oldest piece
  std::uint64_t next_ = 1;       // of the next piece
  std::uint64_t unsettled_ = 1;  // the first taken since the last settle()
  std::unique_ptr<std::uint64_t[]> renewed_;
  std::size_t renewed_count_ = 0;
};

}  // namespace nearfield::net
