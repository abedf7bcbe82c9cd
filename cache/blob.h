// Blob: the bytes of one response body, readable while they still arrive, alive until the last reader lets go.
//
// Invariant: a published byte never changes and never moves. Readers may hold addresses of published bytes for as long as they
// hold a reference. The awkward part is that a blob fills from anywhere (a listener who seeks starts in the middle), so what
// is readable is a set of intervals, and that a blob nobody keeps (kind streaming) forgets bytes behind its slowest reader.
//
//   kept       extents stay; the blob becomes complete and may be shared by every name with equal bytes.
//   streaming  a window: writable() gives nothing while the slowest attached reader lags window_bytes behind the writer, and pages
//              behind the slowest reader go back to the arena. A kept blob may turn into a streaming one (it outgrew its share).
//
// Threads: readers anywhere; writers of one blob all on the same thread (its fill's worker). Once complete and kept, reading takes no lock.
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

// Where extents come from: the store, which evicts to make room. Outlives every blob.
class ExtentSource {
 public:
  virtual std::optional<Extent> take_extent(std::size_t bytes) = 0;  // any thread
  virtual void give_extent(Extent extent) = 0;                       // any thread

 protected:
  ~ExtentSource() = default;
};

class Blob;

// A place in a blob that is being read. Attached readers hold a streaming blob's window and keep its fill worth continuing.
// Owned by the reader, not thread-safe itself; detaches on destruction. Not needed (but harmless) for complete, kept blobs.
class BlobReader {
 public:
  BlobReader() = default;
  BlobReader(Ref<Blob> blob, std::uint64_t offset);
  BlobReader(BlobReader&&) noexcept;
  BlobReader& operator=(BlobReader&&) noexcept;
  ~BlobReader();

  // All bytes before `offset` will not be read again by this reader. Never goes back.
  void release_before(std::uint64_t offset);
  void detach();
  explicit operator bool() const { return blob_.get() != nullptr; }
  Blob& blob() const { return *blob_; }

 private:
  friend class Blob;
  Ref<Blob> blob_;
  std::uint64_t offset_ = 0;
  std::uint32_t slot_ = 0;
};

class Blob : public RefCounted<Blob> {
 public:
  enum class Kind { kept, streaming };
  enum class State { growing, complete, broken };

  // `total_bytes`: the length if it is known; a growing blob of unknown length gets it at complete().
  // `window_bytes`: how far a streaming blob may run ahead of its slowest reader; at least two blocks.
  static Ref<Blob> create(ExtentSource& source, Kind kind, std::optional<std::uint64_t> total_bytes,
                          std::uint64_t window_bytes);
  ~Blob();

  // --- for readers, any thread ---
  State state() const;
  Kind kind() const;
  std::optional<std::uint64_t> total_bytes() const;
  // How many bytes are published without a gap from `offset` on; 0 at or past the end.
  std::uint64_t readable_from(std::uint64_t offset) const;
  // Fills `vectors` with the addresses of [offset, offset+length), which must be published (and, in a streaming blob, not yet
  // released by this reader); neighbours in memory are joined. Returns how many vectors were used; `*covered_bytes` is what they
  // cover, less than `length` only when the vectors ran out.
  std::size_t addresses(std::uint64_t offset, std::uint64_t length, std::span<iovec> vectors,
                        std::uint64_t* covered_bytes) const;
  // Raises `signal` once at the next change (bytes published, completed, broken, length learnt). If something beyond `offset` is
  // already readable or the blob is no longer growing, returns false and does not subscribe. unsubscribe() is idempotent.
  bool subscribe(std::uint64_t offset, Ref<Signal> signal);
  void unsubscribe(const Signal& signal);
  // What its extents cost the arena, in bytes.
  std::uint64_t charged_bytes() const;

  // --- for the fill that writes it, one thread ---
  // Memory to put bytes at `offset` into: at most to the end of its extent or total_bytes; taken from the source when missing. Empty when the
  // window is full or the source has nothing; then `space_signal` (set once) is raised when a reader moved on.
  std::span<std::byte> writable(std::uint64_t offset);
  // Publishes [offset, offset+bytes), which must have been written through writable(). Overlap with published bytes is a
  // programming error.
  void publish(std::uint64_t offset, std::uint64_t bytes);
  // Publishes a copy of `bytes` at `offset`; returns how many were taken (less when writable() ran dry).
  std::size_t write(std::uint64_t offset, std::span<const std::byte> bytes);
  void set_space_signal(Ref<Signal> signal);
  void set_total_bytes(std::uint64_t total_bytes);
  // The first gap at or after `offset`: [begin, end); end is total_bytes or unlimited. Nothing when all is there.
  struct Gap {
    std::uint64_t begin;
    std::optional<std::uint64_t> end;
  };
  std::optional<Gap> first_gap(std::uint64_t offset) const;
  // Turns a kept blob into a streaming one (only while growing). From then on it is nobody's to share.
  void stop_keeping();
  // All bytes are there: unknown length becomes what was published. Asserts that there is no gap in a kept blob.
  void complete();
  // What cannot be completed: readers get what was published, then see State::broken.
  void break_off();
  bool has_readers() const;

  // Hashes up to `budget_bytes` more of the gapless beginning; true once the digest of a complete, kept blob is known. Bounded work, so
  // that a blob filled from its middle does not stall a worker when its beginning arrives last.
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
