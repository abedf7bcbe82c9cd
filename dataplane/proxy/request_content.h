// RequestContent: the content of one request, held whole so that it can be sent to an origin again,
// and its share of what the process may hold of such content in all. The share lasts as long as
// this does or until clear(), also after the bytes went on to the origin's side, which keeps them
// for as long as its call. Bytes count, not what the allocator takes for them (up to twice that
// while a text grows). One thread; the sum is shared by all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace nearfield::proxy {

class RequestContent {
 public:
  RequestContent() = default;
  ~RequestContent() { clear(); }
  RequestContent(RequestContent&& other) noexcept { *this = std::move(other); }
  RequestContent& operator=(RequestContent&& other) noexcept {
    if (this == &other) return *this;
    clear();
    text_.swap(other.text_);
    held_bytes_ = std::exchange(other.held_bytes_, nullptr);
    share_bytes_ = std::exchange(other.share_bytes_, 0);
    return *this;
  }

  // False: with these bytes `held_bytes`, which is the sum over all contents, would be more than
  // `most_bytes`; nothing was taken. `held_bytes` is the same with every call and outlives this.
  bool append(std::span<const std::byte> bytes, std::atomic<std::uint64_t>& held_bytes,
              std::uint64_t most_bytes) {
    if (held_bytes.fetch_add(bytes.size(), std::memory_order_relaxed) + bytes.size() > most_bytes) {
      held_bytes.fetch_sub(bytes.size(), std::memory_order_relaxed);
      return false;
    }
    held_bytes_ = &held_bytes;
    share_bytes_ += bytes.size();
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }

  // Of what was appended, taken or not.
  std::uint64_t size_bytes() const { return share_bytes_; }
  // The share stays.
  std::string take_text() { return std::exchange(text_, {}); }

  // Gives back share and memory: whoever has one is pooled, and a large content is rare. (Assigning
  // an empty text would keep the memory.)
  void clear() {
    std::string().swap(text_);
    if (held_bytes_ != nullptr) held_bytes_->fetch_sub(share_bytes_, std::memory_order_relaxed);
    held_bytes_ = nullptr;
    share_bytes_ = 0;
  }
  std::size_t capacity_bytes() const { return text_.capacity(); }

 private:
  std::string text_;
  std::atomic<std::uint64_t>* held_bytes_ = nullptr;
  std::uint64_t share_bytes_ = 0;
};

}  // namespace nearfield::proxy
