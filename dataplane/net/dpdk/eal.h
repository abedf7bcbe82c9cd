// Eal: DPDK's environment, started once a process: its memory, its drivers, its log. Arguments are
// derived from a few settings, so that an operator never writes an EAL command line.
//
// Invariant: after start() every DPDK call of this process may be made; threads that use a pool or
// a port make an EalThread first. IOVA is always the virtual address, which lets a NIC read the
// cache's arena where it is. The awkward part is that EAL can be started once only and explains
// itself in its log: what it is known to fail for (hugepages, a PCI device that is not there or
// belongs to the kernel) is looked at before, and the first error it logs ends in ours.
//
// Nothing is shared with other processes: no files are left behind, no telemetry socket is opened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"

namespace nearfield::net::dpdk {

enum class LogLevel { debug, information, warning, error };

// Where DPDK's own lines go, one call a line without its newline. Any thread.
class LogSink {
 public:
  virtual void write(LogLevel level, std::string_view line) = 0;

 protected:
  ~LogSink() = default;
};

struct EalOptions {
  // PCI devices that may be touched, as 0000:3b:00.0, with arguments for their driver behind a
  // comma. Empty: the PCI bus is left alone.
  std::vector<std::string> pci_devices;
  // For packet pools and rings; the arena is not part of it. 16 to 65536.
  std::uint32_t memory_mb = 256;
  // Without them DPDK takes ordinary pages: fine for every virtual device, not for a NIC.
  bool hugepages = true;
  LogSink* log = nullptr;  // null: dropped; must live as long as the process
};

class Eal {
 public:
  // Once a process: a second call fails, also after the first one failed inside DPDK. The thread
  // that calls keeps the processors it may run on. Errors: memory out of range, hugepages missing,
  // a PCI device unknown or not handed to user space, and whatever DPDK says.
  static Result<Eal> start(const EalOptions& options);
  ~Eal();
  Eal(Eal&& other) noexcept;
  Eal& operator=(Eal&&) = delete;

  // As DPDK names itself: "DPDK 24.11.0".
  static std::string version();

 private:
  Eal() = default;
  bool running_ = true;
};

// Tells DPDK of a thread for as long as it exists, which gives it caches in the packet pools. At
// most 127 threads at a time. Made and destroyed on that thread.
class EalThread {
 public:
  static Result<EalThread> enter();
  ~EalThread();
  EalThread(EalThread&& other) noexcept;
  EalThread& operator=(EalThread&&) = delete;

 private:
  EalThread() = default;
  bool entered_ = true;
};

// While it exists, what DPDK logs on this thread is dropped: for questions that may have the answer
// no, which DPDK logs as errors.
class EalSilence {
 public:
  EalSilence();
  ~EalSilence();
  EalSilence(const EalSilence&) = delete;
  EalSilence& operator=(const EalSilence&) = delete;
};

// A virtual device by its devargs, "net_ring0" or "net_af_packet0,iface=veth1". Errors: unknown
// driver, missing interface, permission. Names must differ within a process.
Result<void> add_virtual_device(std::string_view devargs);
Result<void> remove_virtual_device(std::string_view name);

}  // namespace nearfield::net::dpdk
