// Http2Memory: where one nghttp2 session has its memory from, so that a connection without work can
// do without most of it.
//
// Of the 23 KB that a session of the library holds after a request (5 the session, some 2 its
// tables of fields), 16 KiB are the buffer in which it writes its next frame
// (NGHTTP2_FRAMEBUF_CHUNKLEN of its sources, one block, from the session's beginning to its end).
// Once the frame is sent nothing in it is read again. The block is taken from a pool of pages, and
// these go back to the system while the connection is idle; all other memory is malloc()'s.
//
// Invariant: what is handed back holds no frame: forget_frame() is only called while the library
// has nothing to send. One thread.
#pragma once

#include <cstddef>

#include "dataplane/proxy/http2_frame_pool.h"

namespace nearfield::proxy {

class Http2Memory {
 public:
  explicit Http2Memory(Http2FramePool& pool) : pool_(pool) {}
  Http2Memory(const Http2Memory&) = delete;
  Http2Memory& operator=(const Http2Memory&) = delete;

  // As malloc(), free() and realloc(), for one session, which ends before this does.
  void* take(std::size_t bytes);
  void give_back(void* block);
  void* resize(void* block, std::size_t bytes);

  // nghttp2_session_want_write() is 0. False: there is no such block, or the system refuses, which
  // costs memory and nothing else.
  bool forget_frame() { return frame_ != nullptr && Http2FramePool::forget(frame_); }

 private:
  Http2FramePool& pool_;
  void* frame_ = nullptr;  // the session's buffer for a frame
};

}  // namespace nearfield::proxy
