// count(): counters with one writer that anybody may read: relaxed, without a locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace nearfield {

inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t amount = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace nearfield
