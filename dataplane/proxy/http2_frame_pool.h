// Http2FramePool: the buffers in which the HTTP/2 sessions of a worker write their next frame, on
// pages of their own, so that a session that rests can do without (http2_memory.h).
//
// Apart from the heap, because Debian's kernel gives heaps huge pages unasked: a hole of some small
// pages in one of those saves nothing, or is filled again. Bound: as many slots as there ever were
// sessions at one time; what is not in use holds addresses, but no memory. One thread.
#pragma once

#include <cstddef>
#include <vector>

namespace nearfield::proxy {

class Http2FramePool {
 public:
  // Of one buffer: nghttp2's has 16,394 bytes.
  static constexpr std::size_t kSlotBytes = 20 * 1024;

  Http2FramePool() = default;
  Http2FramePool(const Http2FramePool&) = delete;
  Http2FramePool& operator=(const Http2FramePool&) = delete;
  ~Http2FramePool();  // all are back

  // On a page's beginning. Null: the system has no memory.
  void* take();
  void give_back(void* slot);
  // The slot's pages go back to the system and come again, with zeros, when it is written to.
  // False: the system refuses.
  static bool forget(void* slot);

 private:
  std::vector<void*> regions_;
  std::vector<void*> free_;
};

}  // namespace nearfield::proxy
