// ReceiveBuffers: a provided buffer ring. The kernel takes a buffer when bytes arrive, not when a
// receive is armed, so that idle connections hold none.
//
// Invariant: a buffer the kernel filled is given back within the turn that sees its completion
// (what a paused handler leaves is copied out), so the ring can only run dry within one batch of
// completions.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "cache/base/error.h"

namespace nearfield::net::uring {

class ReceiveBuffers {
 public:
  // `count`: a power of two up to 32768. Memory is touched when first used.
  static Result<std::unique_ptr<ReceiveBuffers>> create(io_uring& ring, int group, unsigned count,
                                                        std::size_t buffer_bytes);
  // The ring must outlive this.
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  int group() const { return group_; }
  std::size_t buffer_bytes() const { return buffer_bytes_; }
  std::span<const std::byte> filled(unsigned id, std::size_t bytes) const {
    return {memory_ + id * buffer_bytes_, bytes};
  }
  void give_back(unsigned id);

 private:
  ReceiveBuffers(io_uring& ring, int group, unsigned count, std::size_t buffer_bytes)
      : ring_(ring), group_(group), count_(count), buffer_bytes_(buffer_bytes) {}

  io_uring& ring_;
  const int group_;
  const unsigned count_;
  const std::size_t buffer_bytes_;
  io_uring_buf_ring* buffers_ = nullptr;
  std::byte* memory_ = nullptr;
};

}  // namespace nearfield::net::uring
