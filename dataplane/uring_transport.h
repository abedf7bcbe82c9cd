// The io_uring transport as the node runs it.
#pragma once

#include "dataplane/control/transport.h"

namespace nearfield {

control::TransportKind uring_transport();

}  // namespace nearfield
