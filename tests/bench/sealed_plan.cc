#include "tests/bench/sealed_plan.h"

#include <cstring>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/staging.h"
#include "dataplane/tls/record.h"

namespace nearfield::bench {

std::unique_ptr<tls::Sealing> SealingPool::lend() {
  if (idle_.empty()) return std::make_unique<tls::Sealing>();
  std::unique_ptr<tls::Sealing> sealing = std::move(idle_.back());
  idle_.pop_back();
  return sealing;
}

void SealingPool::give_back(std::unique_ptr<tls::Sealing> sealing) {
  sealing->end();
  idle_.push_back(std::move(sealing));
}

std::uint64_t SealedPlan::sealed_bytes(std::uint64_t clear_bytes) {
  return clear_bytes + tls::RecordLayout::records_of(clear_bytes, tls::kMaximumPlaintext) *
                           tls::sealed_bytes(kVersion, kAead, 0);
}

void SealedPlan::open(net::Stream& stream, SealingPool& pool, std::uint64_t number) {
  stream_ = &stream;
  pool_ = &pool;
  std::memcpy(keys_.key.data(), &number, sizeof number);
}

bool SealedPlan::has_room(const net::SendPlan& plan) const {
  return plan.room() >= 1 && clear_.room() >= 2 && (!sealing_ || sealing_->layout().has_room());
}

void SealedPlan::append(net::SendPlan& plan, std::string_view head,
                        const Ref<cache::Blob>& content) {
  if (!sealing_) {
    sealing_ = pool_->lend();
    sealing_->begin(pool_->engine(), kVersion, kAead, keys_, 0);
  }
  const std::uint64_t bytes = head.size() + *content->total_bytes();
  clear_.append_text(head);
  clear_.append_blob(content, 0, *content->total_bytes());
  plan.append_source(
      *this, sealing_->layout().append(0, keys_.next_sequence, bytes, tls::kMaximumPlaintext));
  keys_.next_sequence += tls::RecordLayout::records_of(bytes, tls::kMaximumPlaintext);
}

std::size_t SealedPlan::peek(std::uint64_t offset, std::uint64_t maximum_bytes,
                             std::span<iovec> vectors, std::uint64_t* covered_bytes) {
  net::Staging* const staging = stream_->staging();
  NEARFIELD_ASSERT(staging != nullptr);
  return sealing_->peek(clear_, *staging, offset, maximum_bytes, vectors, covered_bytes);
}

void SealedPlan::release(std::uint64_t bytes) {
  clear_.release(sealing_->release(bytes));
  if (sealing_->layout().is_empty()) pool_->give_back(std::move(sealing_));
}

}  // namespace nearfield::bench
