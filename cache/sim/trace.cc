// See trace.h.
#include "cache/sim/trace.h"

#include <algorithm>

namespace nearfield::cache::sim {

Result<std::size_t> MemoryTrace::read(std::span<Request> into) {
  const std::size_t count = std::min(into.size(), requests_.size() - next_);
  std::copy_n(requests_.begin() + static_cast<std::ptrdiff_t>(next_), count, into.begin());
  next_ += count;
  return count;
}

Result<std::vector<Request>> read_all(TraceSource& source) {
  constexpr std::size_t kBatch = 65536;
  std::vector<Request> requests;
  for (;;) {
    const std::size_t before = requests.size();
    requests.resize(before + kBatch);
    auto got = source.read(std::span(requests).subspan(before));
    if (!got) return std::unexpected(got.error());
    requests.resize(before + *got);
    if (*got == 0) return requests;
  }
}

}  // namespace nearfield::cache::sim
