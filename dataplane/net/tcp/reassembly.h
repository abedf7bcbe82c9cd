// Reassembly: what one connection received and nobody took yet: bytes that came out of order, and
// bytes in order that the application left. And the SACK blocks that tell the peer of it (RFC 2018
// 4, with D-SACK by RFC 2883).
//
// Invariant: every held byte lies in one of a few sorted intervals that neither overlap nor touch;
// a chunk of memory is held only while an interval reaches into it; and a byte once held never
// changes, whatever a later segment says is there (no peer or injector can rewrite what is already
// vouched for, and both readings of an overlap are the same here on every day). A connection that
// holds nothing has no memory but the 16 bytes of this class.
//
// The awkward part is memory that strangers can make us hold. It is the worker's, of a fixed size,
// and when it or the list of intervals is used up a segment is simply not kept: the peer sends it
// again, and a segment that is in order goes to the application without coming here at all, so that
// a full pool slows connections down and stops none. What was reported in a SACK block is never
// dropped.
//
// One thread. No allocation after the pool is made.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/net/tcp/segment.h"
#include "dataplane/net/tcp/sequence.h"

namespace nearfield::net::tcp {

class Reassembly;

// The memory behind all reassemblies of a worker. Must outlive them.
class ReceivePool {
 public:
  static constexpr std::size_t kChunkBytes = 2048;
  static constexpr std::size_t kShareAlways =
      2;  // chunks of a connection, as long as there are any

  // `chunks`: at least 1. As many states are made: a connection that holds bytes holds a chunk.
  explicit ReceivePool(std::size_t chunks);
  ~ReceivePool();
  ReceivePool(const ReceivePool&) = delete;
  ReceivePool& operator=(const ReceivePool&) = delete;

  std::size_t chunk_count() const { return chunk_count_; }
  std::size_t free_chunks() const { return free_chunk_count_; }
  std::size_t free_states() const { return free_state_count_; }
  // What one connection may hold just now: the fewer are free the less, so that some that hold much
  // leave something to all others, who keep what they have (Choudhury and Hahne 1998, "Dynamic
  // queue length thresholds").
  std::size_t most_for_one() const { return std::max(kShareAlways, free_chunk_count_ / 16); }

 private:
  friend class Reassembly;
  struct State;

  static constexpr std::uint32_t kNone = 0xffffffff;

  std::byte* chunk(std::uint32_t index) { return memory_.get() + index * kChunkBytes; }
  std::uint32_t take_chunk();  // kNone when there is none
  void return_chunk(std::uint32_t index);
  State* take_state();  // null when there is none
  void return_state(State* state);

  std::size_t chunk_count_;
  std::size_t free_chunk_count_;
  std::size_t free_state_count_;
  std::unique_ptr<std::byte[]> memory_;
  std::unique_ptr<std::uint32_t[]> free_chunks_;  // a stack
  std::unique_ptr<State[]> states_;
  std::unique_ptr<std::uint32_t[]> free_states_;  // a stack
};

class Reassembly {
 public:
  // The widest receive window a connection may offer, counted from the first byte the application
  // has not taken.
  static constexpr std::uint32_t kWindowBytes = 64 * 1024;
  // Runs of bytes beyond a gap; what is in order is one more.
  static constexpr std::size_t kMaximumIntervals = 8;

  Reassembly() = default;
  ~Reassembly();  // gives everything back
  Reassembly(const Reassembly&) = delete;
  Reassembly& operator=(const Reassembly&) = delete;

  // Holds what of `bytes`, whose first is at `begin`, lies in [consumed, consumed + kWindowBytes)
  // and is not held yet. `consumed`: the first byte the application has not taken; never goes back.
  // `*next`: in, the position expected next (RCV.NXT, not below `consumed`); out, moved on over
  // what is now held contiguously. What was held already is noted as a duplicate.
  // False when memory or intervals were used up: then what is kept of `bytes` is a front part of
  // it, maybe nothing; `*next` is right all the same.
  bool store(ReceivePool& pool, StreamPosition begin, std::span<const std::byte> bytes,
             StreamPosition consumed, StreamPosition* next);

  // Held bytes from `consumed` on, as far as they lie together in memory: empty when the byte at
  // `consumed` is not held; more may follow after consume(). Valid until the next call that is not
  // const.
  std::span<const std::byte> readable(StreamPosition consumed) const;

  // Lets go of everything before `to`.
  void consume(ReceivePool& pool, StreamPosition to);

  // Lets go of everything: the connection ends.
  void clear(ReceivePool& pool);

  // The first position from `from` on that is not held.
  StreamPosition contiguous_end(StreamPosition from) const;

  bool empty() const { return state_ == nullptr; }
  // Whether something is held beyond a gap at `next`: ACKs then carry SACK blocks and go at once
  // (RFC 5681 4.2).
  bool has_gap(StreamPosition next) const;

  // The segment just received carried [begin, end) a second time; sack_blocks() begins with it
  // until it is reported. For what lies below RCV.NXT and is not held any more; store() notes the
  // rest itself and does not replace a note that was not reported yet.
  void note_duplicate(StreamPosition begin, StreamPosition end);
  bool has_duplicate() const { return duplicate_begin_ != duplicate_end_; }
  // An ACK with it has left; it is told once (RFC 2883 4).
  void on_duplicate_reported() { duplicate_begin_ = duplicate_end_ = 0; }

  // The blocks of the next ACK: the noted duplicate and the held block around it (RFC 2883 4); then
  // the blocks beyond `next`, the most recently changed first (RFC 2018 4), at most as many as
  // SackBlocks holds. Only for a connection that agreed on SACK.
  SackBlocks sack_blocks(const SequenceSpace& space, StreamPosition next) const;

 private:
  bool acquire_state(ReceivePool& pool);
  void forget_all(ReceivePool& pool);

  ReceivePool::State* state_ = nullptr;  // null: nothing is held
  // The low 32 bits of two positions, which is all that a sequence number needs; equal: none noted.
  std::uint32_t duplicate_begin_ = 0;
  std::uint32_t duplicate_end_ = 0;
};

static_assert(sizeof(Reassembly) <= 16);

}  // namespace nearfield::net::tcp
