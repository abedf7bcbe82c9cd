// nearfield-dataplane: the program with the transports of this build. program.h tells its exit
// status.
#include "dataplane/program.h"
#include "dataplane/uring_transport.h"
#ifdef NEARFIELD_HAS_DPDK
#include "dataplane/dpdk_transport.h"
#endif

namespace {

using nearfield::control::Config;
using nearfield::control::TransportChoice;
using nearfield::control::TransportKind;

nearfield::Result<TransportKind> transport_of(const Config& config) {
  if (config.transport == TransportChoice::uring) return nearfield::uring_transport();
#ifdef NEARFIELD_HAS_DPDK
  return nearfield::dpdk_transport(config.dpdk);
#else
  return nearfield::failure(
      "transport \"dpdk\" is not in this build: build where pkg-config finds libdpdk, without "
      "-DNEARFIELD_DPDK=OFF, or use transport = \"uring\"");
#endif
}

}  // namespace

int main(int argc, char** argv) { return nearfield::run_program(argc, argv, transport_of); }
