// Blob: the bytes of one response body, readable while they still arrive, alive until the last
// reader lets go.
//
// Invariant: a published byte never changes and never moves. Readers may hold addresses of
// published bytes for as long as they hold a reference. The awkward part is that a blob fills from
// anywhere (a listener who seeks starts in the middle), so what is readable is a set of intervals,
// and that a blob nobody keeps (kind streaming) forgets bytes behind its slowest reader.
//
// Kept: extents stay; the blob becomes complete and may be shared by every name with equal bytes.
// Streaming: a window. writable() gives nothing while the slowest attached reader lags window_bytes
// behind the writer, and extents behind the slowest reader go back to the arena. A kept blob may
// turn into a streaming one (it outgrew its share, or memory is short). Readers so slow that they
// hold up others can be cut loose.
//
// Threads: readers anywhere; writers of one blob all on the same thread (its fill's worker). Once
// complete and kept, reading takes no lock.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "cache/arena.h"
#include "cache/base/ref.h"
#include "cache/base/signal.h"

namespace nearfield::cache {

using Digest = std::array<std::uint8_t, 32>;  // SHA-256

// Where extents come from: the store, which evicts to make room. Outlives every blob. Any thread;
// called without a blob's lock.
class ExtentSource {
 public:
  // `bytes` is a multiple of kPageBytes, at most kBlockBytes. Gives that much, or less (at least a
  // page) when memory is fragmented.
  virtual std::optional<Extent> take_extent(std::size_t bytes) = 0;
  // All of an extent or any run of its pages.
  virtual void give_extent(Extent extent) = 0;
  // take_extent() gave nothing: raise `signal` once when it is worth another try. Bounded; the
  // caller tries once more after this call.
  virtual void await_extent(const Ref<Signal>& /*signal*/) {}
  // A blob that was to be kept will not be (it outgrew its share, or there was no room); for the
  // statistics.
  virtual void note_not_kept() {}

 protected:
  ~ExtentSource() = default;
};

class Blob;

// A place in a blob that is being read. Attached readers hold a streaming blob's window and keep
// its fill worth continuing. Owned by the reader, not thread-safe itself; detaches on destruction.
// Not needed (but harmless) for complete, kept blobs.
class BlobReader {
 public:
  BlobReader() = default;
  BlobReader(Ref<Blob> blob, std::uint64_t offset);
  BlobReader(BlobReader&&) noexcept;
  BlobReader& operator=(BlobReader&&) noexcept;
  ~BlobReader();

  // All bytes before `offset` will not be read again by this reader. Never goes back.
  void release_before(std::uint64_t offset);
  // Nothing at or after `end` will be read: as if cut loose there, it keeps what it has not
  // released and holds up nobody. Without effect while ReaderTable::kMaximumCuts of them are about.
  void end_at(std::uint64_t end);
  // Blob::subscribe() for who has released all it said it would: where this reader is holds from
  // here on, also if the blob has just turned into a streaming one. Needs a blob.
  bool subscribe(std::uint64_t offset, Ref<Signal> signal);
  void detach();
  // How many bytes are published without a gap from `offset` on, for this reader: one that was cut
  // loose still gets what there was at that time. Needs a blob.
  std::uint64_t readable_from(std::uint64_t offset) const;
  // What this reader has not found readable it will never get: the blob streams and has given it
  // back already, the reader was cut loose (Blob::cut_laggards), or the writer gave up
  // (Blob::disband). Whoever needs the rest starts a fetch of its own. Ask when nothing is
  // readable.
  bool too_late() const;
  explicit operator bool() const { return blob_.get() != nullptr; }
  // What is before it may be forgotten.
  std::uint64_t offset() const { return offset_; }
  Blob& blob() const { return *blob_; }

 private:
  friend class Blob;
  static constexpr std::uint32_t kNoSlot =
      UINT32_MAX;  // not in the blob's table: nothing to hold back

  Ref<Blob> blob_;
  std::uint64_t offset_ = 0;
  std::uint32_t slot_ = kNoSlot;
  bool too_late_ = false;
};

class Blob : public RefCounted<Blob> {
 public:
  enum class Kind { kept, streaming };
  enum class State { growing, complete, broken };

  // Separate runs of published bytes a growing blob may have.
  static constexpr std::size_t kMaximumIslands = 1024;

  // `total_bytes`: the length if it is known; a growing blob of unknown length gets it at
  // complete(). `window_bytes`: how far a streaming blob may run ahead of its slowest reader; at
  // least two blocks.
  static Ref<Blob> create(ExtentSource& source, Kind kind, std::optional<std::uint64_t> total_bytes,
                          std::uint64_t window_bytes);
  ~Blob();

  // --- for readers, any thread ---
  State state() const;
  Kind kind() const;
  std::optional<std::uint64_t> total_bytes() const;
  // How many bytes are published without a gap from `offset` on; 0 at or past the end.
  std::uint64_t readable_from(std::uint64_t offset) const;
  // Fills `vectors` with the addresses of [offset, offset+length), which must be published (and, in
  // a streaming blob, not yet released by this reader); neighbours in memory are joined. Returns
  // how many vectors were used; `*covered_bytes` is what they cover, less than `length` only when
  // the vectors ran out.
  std::size_t addresses(std::uint64_t offset, std::uint64_t length, std::span<iovec> vectors,
                        std::uint64_t* covered_bytes) const;
  // Raises `signal` once when something becomes readable at `offset`, or the blob is completed or
  // broken, or its length becomes known, or it turns into a streaming one. If something is already
  // readable at `offset` or the blob is no longer growing, returns false and does not subscribe.
  // unsubscribe() is idempotent; a raise may still be on its way when it returns.
  bool subscribe(std::uint64_t offset, Ref<Signal> signal);
  void unsubscribe(const Signal& signal);
  // What its extents cost the arena, in bytes.
  std::uint64_t charged_bytes() const;
  // What it costs beside them. Exact once complete, an estimate while it grows.
  std::uint64_t memory_bytes() const;

  // --- for the fill that writes it, one thread ---
  // Memory to put bytes at `offset` into: at most to the end of its extent, the next published
  // byte, or total_bytes; taken from the source when missing. Empty when
  //   - `offset` is already published, or at or past total_bytes, or the blob no longer grows: look
  //   at first_gap();
  //   - the source has nothing. A kept blob had better stop_keeping() then: others may be waiting
  //   for its memory in turn;
  //   - it streams and its window is full, or nobody reads it and it holds a window full (then
  //   has_readers() is false);
  //   - `offset` would begin a new island and there are kMaximumIslands: begin at a first_gap()
  //   instead.
  // In the latter three cases the space signal is raised when it is worth another try. The memory
  // stays the writer's (an asynchronous receive may go into it) until published, or until the blob
  // is destroyed; hold a reference meanwhile.
  std::span<std::byte> writable(std::uint64_t offset);
  // Publishes [offset, offset+bytes), which must have been written through writable(). Overlap with
  // published bytes is a programming error.
  void publish(std::uint64_t offset, std::uint64_t bytes);
  // Publishes a copy of `bytes` at `offset`; returns how many were taken (less when writable() ran
  // dry). Bytes that are already published are skipped and count as taken: an answer may overlap
  // what another gap's filler has brought.
  std::size_t write(std::uint64_t offset, std::span<const std::byte> bytes);
  // Whom to wake when writable() may give again, and when the last reader leaves. One signal a
  // blob; replaces the one before.
  void set_space_signal(Ref<Signal> signal);
  // The length has become known. Not below what is published; asserts that it does not contradict
  // an earlier one.
  void set_total_bytes(std::uint64_t total_bytes);
  // The first gap at or after `offset`: [begin, end); end is where published bytes begin again,
  // else total_bytes, else unlimited. Nothing when all is there. In a streaming blob what readers
  // have left behind counts as there.
  struct Gap {
    std::uint64_t begin;
    std::optional<std::uint64_t> end;
  };
  std::optional<Gap> first_gap(std::uint64_t offset) const;
  // Of a streaming blob into which nothing was written: nobody will ask for bytes before `offset`.
  void begin_at(std::uint64_t offset);
  // Turns a kept blob into a streaming one (only while growing; else no effect). From then on it is
  // nobody's to share. What its slowest reader has passed, or all of it when there is none, goes
  // back at once.
  void stop_keeping();
  // All bytes are there: unknown length becomes what was published. Asserts that there is no gap in
  // a kept blob.
  void complete();
  // What cannot be completed: readers get what was published, then see State::broken. No effect
  // once complete.
  void break_off();
  // Gives up although the origin would go on (what is missing cannot be brought in the order of a
  // stream): as break_off(), but readers are too_late() and may see to the rest themselves.
  void disband();
  // Attached ones; who was cut loose counts no more.
  bool has_readers() const;
  std::size_t reader_count() const;
  // The writer waits for the slowest reader of a streaming blob while another has read all there is
  // (but for less than a block).
  bool held_back() const;
  // Cuts loose all readers that lag more than half a window behind, if the writer waits for them:
  // they hold the window no more, and may read on to where the writer is now and no further. What
  // they have not read stays that long. Returns how many; none while ReaderTable::kMaximumCuts cuts
  // are being read. The writer goes on by itself, no space signal is raised.
  std::size_t cut_laggards();

  // Hashes up to `budget_bytes` more of the gapless beginning; true once the digest of a complete,
  // kept blob is known. Bounded work, so that a blob filled from its middle does not stall a worker
  // when its beginning arrives last.
  bool advance_digest(std::uint64_t budget_bytes);
  // Known after advance_digest() returned true.
  std::optional<Digest> digest() const;

 private:
  friend class BlobReader;
  struct Impl;
  explicit Blob(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::cache
