// Http2FramePool: the buffers in which the HTTP/2 sessions of a worker write their next frame, on
// pages of their own, so that a session that rests can do without (http2_memory.h).
//
// Apart from the heap, because Debian's kernel gives heaps huge pages unasked: a hole of some small
// pages in one of those saves nothing, or is filled again. Bound: as many slots as there ever were
// sessions at one time. Of those not in use the last kWarmSlots keep their memory, so that short
// connections one after the other do not each pay for giving it back and taking it again (a system
// call, page faults, and word to every processor that runs this process); the others hold addresses
// only. One thread.
#pragma once

#include <cstddef>
#include <vector>

namespace nearfield::proxy {

class Http2FramePool {
 public:
  // Of one buffer: nghttp2's has 16,394 bytes.
  static constexpr std::size_t kSlotBytes = 20 * 1024;
  static constexpr std::size_t kWarmSlots = 64;

  Http2FramePool() = default;
  Http2FramePool(const Http2FramePool&) = delete;
  Http2FramePool& operator=(const Http2FramePool&) = delete;
  ~Http2FramePool();  // all are back

  // On a page's beginning; of any content. Null: the system has no memory.
  void* take();
  void give_back(void* slot);
  // The slot's pages go back to the system and come again, with zeros, when it is written to.
  // False: the system refuses, which costs memory and nothing else.
  static bool forget(void* slot);

 private:
  std::vector<void*> regions_;
  std::vector<void*> free_;
  std::size_t warm_ = 0;  // of free_, at its end: those that may have memory
};

}  // namespace nearfield::proxy
