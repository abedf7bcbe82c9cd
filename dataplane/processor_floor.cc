// The least a processor must have, checked before anything else of the program runs.
//
// This program is built for x86-64-v2 (cmake/NearfieldTargets.cmake), and so is DPDK. On an older
// processor it would die of an illegal instruction without a word, and long before main(): DPDK's
// libraries run code when they are loaded. Only an executable's .preinit_array comes before the
// constructors of its libraries, so the check is there. The awkward part: this file alone is built
// for the plain x86-64 and without sanitizers, none of which has started yet
// (dataplane/CMakeLists.txt), and uses nothing of ours nor of C++'s library.
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

namespace {

constexpr int kFailed = 1;  // program.h: could not start
constexpr unsigned kBitLahfLm = 1U << 0;

struct Feature {
  const char* name;
  bool is_there;
};

void refuse_older_processors(int /*argc*/, char** /*argv*/, char** /*environment*/) {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned basic = 0;
  unsigned extended = 0;
  unsigned edx = 0;
  __get_cpuid(1, &eax, &ebx, &basic, &edx);
  __get_cpuid(0x80000001, &eax, &ebx, &extended, &edx);
  // What x86-64-v2 adds to the plain x86-64 (the psABI's table of micro-architecture levels).
  const Feature features[] = {
      {"CMPXCHG16B", (basic & bit_CMPXCHG16B) != 0}, {"LAHF", (extended & kBitLahfLm) != 0},
      {"POPCNT", (basic & bit_POPCNT) != 0},         {"SSE3", (basic & bit_SSE3) != 0},
      {"SSSE3", (basic & bit_SSSE3) != 0},           {"SSE4.1", (basic & bit_SSE4_1) != 0},
      {"SSE4.2", (basic & bit_SSE4_2) != 0},
  };
  iovec pieces[2 * (sizeof(features) / sizeof(features[0])) + 2];
  int count = 0;
  const auto add = [&pieces, &count](const char* text) {
    pieces[count++] = {const_cast<char*>(text), std::strlen(text)};
  };
  add("nearfield-dataplane: this processor lacks ");
  const int before = count;
  for (const Feature& feature : features) {
    if (feature.is_there) continue;
    if (count != before) add(", ");
    add(feature.name);
  }
  if (count == before) return;
  add(", which every x86 server since 2012 has (x86-64-v2): use a newer machine, or give the "
      "virtual machine a processor model that has it\n");
  [[maybe_unused]] const ssize_t said = ::writev(STDERR_FILENO, pieces, count);
  ::_exit(kFailed);
}

using Initializer = void (*)(int, char**, char**);
[[gnu::section(".preinit_array"), gnu::used]] Initializer first = refuse_older_processors;

}  // namespace
#endif
