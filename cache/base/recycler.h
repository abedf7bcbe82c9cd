// Recycler: objects that are in use only now and then, kept for the next who needs one. Last in,
// first out, so that the next finds warm memory; bounded, so that a burst is not remembered for
// ever. One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace nearfield {

template <typename Object, std::size_t kMost>
class Recycler {
 public:
  Recycler() { idle_.reserve(kMost); }

  // One that was given back, or what `make()` makes.
  template <typename Make>
  std::unique_ptr<Object> take(Make make) {
    if (idle_.empty()) return make();
    std::unique_ptr<Object> object = std::move(idle_.back());
    idle_.pop_back();
    return object;
  }
  // As new again but for its memory; freed when there are kMost.
  void give(std::unique_ptr<Object> object) {
    if (idle_.size() < kMost) idle_.push_back(std::move(object));
  }
  void clear() { idle_.clear(); }

 private:
  std::vector<std::unique_ptr<Object>> idle_;
};

}  // namespace nearfield
