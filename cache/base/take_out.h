// take_out(): removal from a list whose order means nothing and whose elements know their place.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace nearfield {

// The element at `index`, whose place the last one takes: `moved(last, index)` tells it.
template <typename Element, typename Moved>
std::unique_ptr<Element> take_out(std::vector<std::unique_ptr<Element>>& list, std::size_t index,
                                  Moved moved) {
  std::unique_ptr<Element> taken = std::move(list[index]);
  if (index + 1 != list.size()) {
    list[index] = std::move(list.back());
    moved(*list[index], index);
  }
  list.pop_back();
  return taken;
}

}  // namespace nearfield
