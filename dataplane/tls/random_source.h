// RandomSource: where keys and nonces come from, as a parameter. The system's is the kernel's
// generator: it needs no seeding, survives forks, has no state of ours to wipe, and at about a
// microsecond a call is nothing beside a handshake.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace nearfield::tls {

// Fills the whole span; called from several threads at once.
using RandomSource = std::function<void(std::span<std::byte>)>;

// getrandom(2). Ends the program when the kernel refuses: nothing secret can be made then.
void system_random(std::span<std::byte> bytes);

// As mbedTLS asks for it. `source`: a const RandomSource, null for the system's. Never fails.
int library_random(void* source, unsigned char* bytes, std::size_t count);

}  // namespace nearfield::tls
