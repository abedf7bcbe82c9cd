// SendPlan: the bytes a connection owes its peer, a bounded queue of immutable pieces that the
// transport pulls from.
//
// Invariant: a byte offered by peek() reads the same until release() passed it, so a transport may
// pull the same bytes again (a lost TCP segment, a lost TLS record) and always sees what it saw.
// Nothing is copied into send buffers: text (response heads, part headers, chunk framing) is
// written once into blocks the plan owns, bodies are ranges of cache blobs that the plan keeps
// alive.
//
// The producer (an HTTP session) appends only bytes that exist; it is asked for more through
// StreamHandler::on_send_ready(). One thread.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "cache/base/ref.h"
#include "cache/blob.h"

namespace nearfield::net {

// PlanSource: bytes that do not exist until they are pulled, always the same ones for one place:
// TLS records, sealed just in time from a plan of clear text (tls/secure_stream.h).
class PlanSource {
 public:
  // As SendPlan::peek(), `offset` counted from this source's first unreleased byte. The bytes are
  // made in the stream's Staging and stay there as that says. Covers nothing when there is no room
  // to make them in: ask again later.
  virtual std::size_t peek(std::uint64_t offset, std::uint64_t maximum_bytes,
                           std::span<iovec> vectors, std::uint64_t* covered_bytes) = 0;
  virtual void release(std::uint64_t bytes) = 0;

 protected:
  ~PlanSource() = default;
};

class SendPlan {
 public:
  static constexpr std::size_t kMaximumPieces = 64;

  SendPlan();
  ~SendPlan();
  SendPlan(SendPlan&&) noexcept;
  SendPlan& operator=(SendPlan&&) noexcept;

  // --- producer ---
  // Pieces that still fit; append_* assert on a full plan. Adjacent text pieces and adjacent ranges
  // of one blob join.
  std::size_t room() const;
  void append_text(std::string_view text);
  // [offset, offset + length) must be published in `blob`.
  void append_blob(const Ref<cache::Blob>& blob, std::uint64_t offset, std::uint64_t length);
  // `length` more bytes of `source`, which outlives the plan's use of it. From then on a plan takes
  // bytes of this source only, until it is empty.
  void append_source(PlanSource& source, std::uint64_t length);
  // Of a plan that only collects what goes into another, and has no source. The bytes of its first
  // `pieces` pieces; and moving its first `bytes` to the end of `to`, which must have room for
  // their pieces. Text is copied, content is not.
  std::uint64_t front_bytes(std::size_t pieces) const;
  void move_front(std::uint64_t bytes, SendPlan& to);

  // --- transport ---
  std::uint64_t size_bytes() const;  // appended and not yet released
  // Addresses of up to `maximum_bytes` starting `offset` bytes after the first unreleased one.
  // Returns the vectors used; `*covered_bytes` says how much they hold: not nothing, but for bytes
  // of a source.
  std::size_t peek(std::uint64_t offset, std::uint64_t maximum_bytes, std::span<iovec> vectors,
                   std::uint64_t* covered_bytes) const;
  // Whether some of it comes from a source.
  bool has_source() const;
  // The first `bytes` will never be pulled again. At most size_bytes().
  void release(std::uint64_t bytes);
  void clear();

  // Memory held beyond the object itself; 0 when empty (an idle connection keeps nothing).
  std::size_t memory_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null while empty; recycled through a bounded pool of the thread
};

}  // namespace nearfield::net
