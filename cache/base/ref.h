// Ref<T>: an intrusive, thread-safe reference count; the object lives until its last Ref goes.
// T derives from RefCounted<T>. One word a pointer (shared_ptr has two and a control block), which
// matters in send plans of thousands of connections. The count starts at zero: make_ref gives the
// first reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield {

template <typename T>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void add_reference() const { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() const {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete static_cast<const T*>(this);
  }
  // A snapshot, for statistics and assertions only.
  std::uint32_t reference_count() const { return references_.load(std::memory_order_relaxed); }

 protected:
  ~RefCounted() { NEARFIELD_ASSERT(references_.load(std::memory_order_relaxed) == 0); }

 private:
  mutable std::atomic<std::uint32_t> references_{0};
};

template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) object_->add_reference();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
    requires std::is_convertible_v<U*, T*>
  Ref(const Ref<U>& other) : Ref(other.get()) {}
  ~Ref() { reset(); }

  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  void reset() {
    if (T* object = std::exchange(object_, nullptr)) object->drop_reference();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Arguments>
Ref<T> make_ref(Arguments&&... arguments) {
  return Ref<T>(new T(std::forward<Arguments>(arguments)...));
}

}  // namespace nearfield
