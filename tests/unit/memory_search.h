// Looks through all memory of the process that can be written, freed memory included, for bytes
// that must not be there any more. Stacks are left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nearfield {

// How often the bytes stand somewhere but in `wanted` itself.
std::size_t count_in_memory(std::span<const std::uint8_t> wanted);

}  // namespace nearfield
