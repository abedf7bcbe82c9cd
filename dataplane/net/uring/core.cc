#include "dataplane/net/uring/core.h"

#include <deque>
#include <new>

#include "cache/base/assert.h"
#include "dataplane/net/uring/uring_stream.h"

namespace nearfield::net::uring {
namespace {

constexpr std::size_t kSlabStreams = 256;
// After so many sockets in a row whose zero-copy sends were copied, new ones do not try for a
// while: all of this machine's traffic is likely on interfaces that copy (loopback, veth), and each
// try costs a second completion.
constexpr int kCopiedInARow = 8;
constexpr Duration kProbePause = std::chrono::seconds(30);

}  // namespace

struct Core::Slab {
  std::deque<UringStream> streams;
};

Core::Core(const UringOptions& wanted)
    : options(wanted),
      staging_memory(std::make_unique_for_overwrite<std::byte[]>(kStagingBytes)),
      now(std::chrono::steady_clock::now()),
      wheel(now),
      staging({staging_memory.get(), kStagingBytes}),
      slab_limit_((wanted.maximum_streams + kSlabStreams - 1) / kSlabStreams),
      scratches_(std::make_unique<std::array<SendScratch, kScratches>>()) {
  slabs_.reserve(slab_limit_);
}

Core::~Core() = default;

void Core::mark_ready(UringStream& stream) {
  if (stream.queued_) return;
  stream.queued_ = true;
  stream.next_ready_ = nullptr;
  (ready_first_ == nullptr ? ready_first_ : ready_last_->next_ready_) = &stream;
  ready_last_ = &stream;
}

void Core::note_submitted() {
  if (ring->has_unsubmitted()) return;
  scratches_used_ = 0;
  staging.retire(submissions_);
}

void Core::process_ready() {
  UringStream* const last = ready_last_;
  while (ready_first_ != nullptr && ring->room() >= kSubmissionsPerStream &&
         scratches_used_ < kScratches) {
    UringStream& stream = *ready_first_;
    ready_first_ = stream.next_ready_;
    stream.queued_ = false;
    stream.process();
    if (&stream == last) break;  // what became ready meanwhile has its turn in the next
  }
  staging.settle(++submissions_);
}

SendScratch& Core::take_scratch() {
  NEARFIELD_ASSERT(scratches_used_ < kScratches);
  return (*scratches_)[scratches_used_++];
}

UringStream* Core::take_stream() {
  if (counters.streams_now.value() >= options.maximum_streams) return nullptr;
  if (free_first_ == nullptr) {
    if (slabs_.size() == slab_limit_) return nullptr;
    slabs_.push_back(std::make_unique<Slab>());
    for (std::size_t count = 0; count < kSlabStreams; ++count) {
      UringStream& stream = slabs_.back()->streams.emplace_back(*this);
      stream.next_free_ = free_first_;
      free_first_ = &stream;
    }
  }
  UringStream* stream = free_first_;
  free_first_ = stream->next_free_;
  counters.streams_now.add();
  return stream;
}

void Core::return_stream(UringStream& stream) {
  stream.next_free_ = free_first_;
  free_first_ = &stream;
  counters.streams_now.subtract(1);
}

void Core::for_each_stream(const std::function<void(UringStream&)>& function) {
  for (const auto& slab : slabs_) {
    for (UringStream& stream : slab->streams) {
      if (stream.in_use()) function(stream);
    }
  }
}

bool Core::may_probe_zero_copy() const {
  return options.zero_copy == ZeroCopy::automatic && ring != nullptr &&
         ring->supports_zero_copy_send() && now >= probe_again_at_;
}

void Core::note_zero_copy(bool copied) {
  if (!copied) {
    copied_in_a_row_ = 0;
  } else if (++copied_in_a_row_ >= kCopiedInARow) {
    copied_in_a_row_ = 0;
    probe_again_at_ = now + kProbePause;
  }
}

}  // namespace nearfield::net::uring
