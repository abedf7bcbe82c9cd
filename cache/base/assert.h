// NEARFIELD_ASSERT: what we got wrong, as opposed to what the world does (that is
// cache/base/error.h). A failed assertion prints where and what and aborts, in release builds too:
// a node that restarts is better than one that serves from a structure it no longer understands. On
// paths run per byte use plain assert() from <cassert> instead.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace nearfield {

[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "nearfield: assertion failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace nearfield

#define NEARFIELD_ASSERT(condition) \
  ((condition) ? (void)0 : ::nearfield::assertion_failed(#condition, __FILE__, __LINE__))
