// Multiplication of points on Curve25519 and P-256, which is nearly all that a handshake costs, by
// nettle instead of mbedTLS: in constant time as the library's own, and ten times as fast (0.07 ms
// instead of 1 ms for X25519). mbedTLS has no place for another implementation unless it is built
// anew, so the linker makes one: programs with this folder are linked with mbedTLS's archives and
// with `--wrap` (CMakeLists.txt), and what the library itself calls under the name of
// mbedtls_ecp_mul() comes here. One that is linked in another way lacks a symbol and is not made.
//
// Invariant: the result is that of mbedtls_ecp_mul(), for every curve, scalar and point, errors
// included. Other curves, and calls that may be interrupted, are left to the library. Secrets stay
// nowhere: not in what is freed, not on the stack.
#pragma once

namespace nearfield::tls {

// From here on GMP, of which nettle takes the memory for its arithmetic, wipes what it frees, in
// the whole process. Called once, by start_library(), before the first handshake.
void wipe_freed_numbers();

}  // namespace nearfield::tls
