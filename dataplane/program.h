// The program: what nearfield-dataplane does from its command line to its end, but for the
// transports it was built with. Those come from the file that has main(), so that tests can build
// the same program over a transport with a bad link in it.
#pragma once

#include "cache/base/error.h"
#include "dataplane/control/config.h"
#include "dataplane/control/transport.h"

namespace nearfield {

// The transport that a checked configuration asks for. An error is one line with its mend.
using TransportOf = Result<control::TransportKind> (*)(const control::Config& config);

// Returns the exit status: 0 ended in order (or the configuration is good), 1 could not start (or
// the configuration is not good), 2 a wrong flag. Once in a process, on its first thread.
int run_program(int argc, char** argv, TransportOf transport_of);

}  // namespace nearfield
