// See frequency_sketch.h.
#include "cache/policy/frequency_sketch.h"

#include <algorithm>
#include <bit>

namespace nearfield::cache {

FrequencySketch::FrequencySketch(std::uint64_t entries)
    : blocks_(std::bit_ceil(entries / 8 + 1)),
      mask_(blocks_.size() - 1),
      halved_blocks_(blocks_.size()) {}

void FrequencySketch::use(std::uint64_t name_hash, std::uint64_t sample) {
  Block& block = blocks_[name_hash & mask_];
  const std::uint64_t bits = remix(name_hash);
  unsigned least = kMostCount;
  std::array<Place, 4> places;
  std::array<unsigned, 4> counts;
  for (unsigned row = 0; row < 4; ++row) {
    places[row] = place(bits, row);
    counts[row] = static_cast<unsigned>(block.words[places[row].word] >> places[row].shift) & 15;
    least = std::min(least, counts[row]);
  }
  if (least < kMostCount) {
    for (unsigned row = 0; row < 4; ++row) {
      if (counts[row] == least)
        block.words[places[row].word] += std::uint64_t{1} << places[row].shift;
    }
  }
  if (++uses_ >= sample && halved_blocks_ == blocks_.size()) {
    uses_ = 0;
    halved_blocks_ = 0;
  }
  if (halved_blocks_ < blocks_.size()) halve_slice();
}

unsigned FrequencySketch::count(std::uint64_t name_hash) const {
  const Block& block = blocks_[name_hash & mask_];
  const std::uint64_t bits = remix(name_hash);
  unsigned least = kMostCount;
  for (unsigned row = 0; row < 4; ++row) {
    const Place at = place(bits, row);
    least = std::min(least, static_cast<unsigned>(block.words[at.word] >> at.shift) & 15);
  }
  return least;
}

void FrequencySketch::halve_slice() {
  const std::uint64_t end = std::min<std::uint64_t>(halved_blocks_ + kSliceBlocks, blocks_.size());
  for (; halved_blocks_ < end; ++halved_blocks_) {
    for (std::uint64_t& word : blocks_[halved_blocks_].words) {
      word = (word >> 1) & 0x7777777777777777;
    }
  }
}

}  // namespace nearfield::cache
