// Http2Memory: an idle nghttp2 session without its frame buffer.
#include "dataplane/proxy/http2_memory.h"

#include <nghttp2/nghttp2.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "CppUTest/TestHarness.h"
#include "dataplane/proxy/http2_callbacks.h"

using namespace nearfield::proxy;

namespace {

constexpr std::size_t kPageBytes = 4096;
// nghttp2 1.64: 16,385 bytes of frame behind nine of its head.
constexpr std::size_t kFrameBytes = 16394;

}  // namespace

TEST_GROUP(Http2Memory) {
  Http2FramePool pool;
  Http2Memory memory{pool};
};

TEST(Http2Memory, gives_back_the_pages_of_the_frame) {
  auto* frame = static_cast<std::uint8_t*>(memory.take(kFrameBytes));
  LONGS_EQUAL(0, reinterpret_cast<std::uintptr_t>(frame) % kPageBytes);
  std::memset(frame, 0xff, kFrameBytes);
  CHECK_TRUE(memory.forget_frame());
  LONGS_EQUAL(0, frame[0]);
  LONGS_EQUAL(0, frame[kFrameBytes - 1]);
  memory.give_back(frame);
  CHECK_FALSE(memory.forget_frame());
}

TEST(Http2Memory, a_second_long_block_and_short_ones_are_kept) {
  void* frame = memory.take(kFrameBytes);
  auto* second = static_cast<std::uint8_t*>(memory.take(kFrameBytes));
  auto* small = static_cast<std::uint8_t*>(memory.resize(nullptr, 100));
  std::memset(second, 0xff, kFrameBytes);
  std::memset(small, 0xff, 100);
  CHECK_TRUE(memory.forget_frame());
  LONGS_EQUAL(0xff, second[0]);
  small = static_cast<std::uint8_t*>(memory.resize(small, 200));
  LONGS_EQUAL(0xff, small[99]);
  memory.give_back(second);
  CHECK_TRUE(memory.forget_frame());
  // The library never does this; then there is nothing that could be given back.
  std::memset(frame, 0x55, kFrameBytes);
  frame = memory.resize(frame, 2 * kFrameBytes);
  LONGS_EQUAL(0x55, static_cast<std::uint8_t*>(frame)[kFrameBytes - 1]);
  CHECK_FALSE(memory.forget_frame());
  memory.give_back(frame);
  memory.give_back(small);
}

// What it takes for the frame buffer is the library's: it asks for it by realloc() of nothing.
TEST(Http2Memory, finds_the_frame_buffer_of_the_library_which_goes_on_without_its_content) {
  nghttp2_session_callbacks* callbacks = nullptr;
  LONGS_EQUAL(0, nghttp2_session_callbacks_new(&callbacks));
  nghttp2_mem hooks = hooks_of(memory);
  nghttp2_session* session = nullptr;
  LONGS_EQUAL(0, nghttp2_session_server_new3(&session, callbacks, nullptr, nullptr, &hooks));
  const auto sent = [&] {
    const std::uint8_t* bytes = nullptr;
    const nghttp2_ssize size = nghttp2_session_mem_send2(session, &bytes);
    return std::string(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  };
  LONGS_EQUAL(0, nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, nullptr));
  const std::string ping = sent();
  LONGS_EQUAL(17, ping.size());
  LONGS_EQUAL(0, sent().size());
  CHECK_TRUE(memory.forget_frame());
  LONGS_EQUAL(0, nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, nullptr));
  CHECK_TRUE(sent() == ping);
  nghttp2_session_del(session);
  nghttp2_session_callbacks_del(callbacks);
}

// The whole process is locked where there are private keys (found when nothing was given back).
TEST(Http2Memory, gives_back_locked_pages) {
  auto* frame = static_cast<std::uint8_t*>(memory.take(kFrameBytes));
  LONGS_EQUAL(0, mlock(frame, Http2FramePool::kSlotBytes));
  std::memset(frame, 0xff, Http2FramePool::kSlotBytes);
  CHECK_TRUE(memory.forget_frame());
  for (std::size_t at = 0; at < Http2FramePool::kSlotBytes; ++at) LONGS_EQUAL(0, frame[at]);
  munlock(frame, Http2FramePool::kSlotBytes);
  memory.give_back(frame);
}
