#include "dataplane/net/uring/receive_buffers.h"

#include <sys/mman.h>

#include <cstring>
#include <string>

namespace nearfield::net::uring {

Result<std::unique_ptr<ReceiveBuffers>> ReceiveBuffers::create(io_uring& ring, int group,
                                                               unsigned count,
                                                               std::size_t buffer_bytes) {
  std::unique_ptr<ReceiveBuffers> result(new ReceiveBuffers(ring, group, count, buffer_bytes));
  void* memory = ::mmap(nullptr, count * buffer_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return failure("no memory for " + std::to_string(count * buffer_bytes / 1024) +
                   " KiB of receive buffers: use fewer workers or smaller buffers");
  }
  result->memory_ = static_cast<std::byte*>(memory);
  int error = 0;
  result->buffers_ = io_uring_setup_buf_ring(&ring, count, group, 0, &error);
  if (result->buffers_ == nullptr) {
    return failure(std::string("cannot register receive buffers with io_uring: ") +
                   std::strerror(-error) +
                   "; nearfield needs Linux 6.1 or newer and LimitMEMLOCK for them");
  }
  for (unsigned id = 0; id < count; ++id) result->give_back(id);
  return result;
}

ReceiveBuffers::~ReceiveBuffers() {
  if (buffers_ != nullptr) io_uring_free_buf_ring(&ring_, buffers_, count_, group_);
  if (memory_ != nullptr) ::munmap(memory_, count_ * buffer_bytes_);
}

void ReceiveBuffers::give_back(unsigned id) {
  io_uring_buf_ring_add(buffers_, memory_ + id * buffer_bytes_,
                        static_cast<unsigned>(buffer_bytes_), static_cast<unsigned short>(id),
                        io_uring_buf_ring_mask(count_), 0);
  io_uring_buf_ring_advance(buffers_, 1);
}

}  // namespace nearfield::net::uring
