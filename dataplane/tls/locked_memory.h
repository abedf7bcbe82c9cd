// Locked memory: keeps private keys and session secrets out of swap and core files. The TLS library
// allocates with malloc() and offers no allocator of ours in this build, so single pages cannot be
// picked: the whole process is locked, pages as they are touched.
#pragma once

#include <string>
#include <vector>

namespace nearfield::tls {

// Once at start, before keys are loaded. Locks present and future memory as it is touched
// (mlockall(2) with MCL_ONFAULT); returns what could not be done, for the log: empty is good. Needs
// RLIMIT_MEMLOCK as large as the process will grow, or CAP_IPC_LOCK.
std::vector<std::string> lock_memory();

// Sets the soft limit of core files to 0: a core of this process holds private keys, wherever the
// library put them. Not PR_SET_DUMPABLE, which would also take /proc/self and debuggers away; an
// operator who wants a core raises the limit (`prlimit --core=unlimited --pid N`).
void forbid_core_files();

}  // namespace nearfield::tls
