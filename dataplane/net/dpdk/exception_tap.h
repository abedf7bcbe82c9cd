// ExceptionTap: the kernel beside us. Frames of a port that are not for our stack (BGP, SSH, DNS)
// go to a TAP interface, and what the kernel sends there leaves through the port.
//
// Invariant: both directions are bounded per turn and never wait; what finds no room is lost and
// counted, as on a wire. The interface exists while the object does, has the port's MAC address and
// MTU, and is up; addresses and routes are given to it by the operator (or copied from the
// configuration by whoever starts us). Checksums of frames from the kernel are complete.
//
// One thread; one object a worker, all with the same name, share the interface (a queue each).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cache/base/error.h"
#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/mac_address.h"

namespace nearfield::net::dpdk {

struct ExceptionTapOptions {
  std::string name;  // of the interface, at most 15 characters
  ip::MacAddress mac;
  std::uint16_t mtu = 1500;
};

struct ExceptionTapCounters {
  std::uint64_t to_kernel = 0;
  std::uint64_t to_kernel_lost = 0;  // its queue is full, or it refused the frame
  std::uint64_t from_kernel = 0;
  std::uint64_t from_kernel_lost = 0;  // the sink had no room, or longer than the MTU allows
};

class ExceptionTap {
 public:
  static constexpr std::size_t kFramesPerTurn = 32;

  // Needs CAP_NET_ADMIN and /dev/net/tun. Errors: those lacking, a name that is taken by something
  // else or too long.
  static Result<std::unique_ptr<ExceptionTap>> open(const ExceptionTapOptions& options);
  ~ExceptionTap();
  ExceptionTap(const ExceptionTap&) = delete;
  ExceptionTap& operator=(const ExceptionTap&) = delete;

  // A whole frame. False when it was lost.
  bool to_kernel(std::span<const std::byte> frame);
  // Moves at most kFramesPerTurn frames to `sink`; returns how many were read.
  std::size_t from_kernel(ip::FrameSink& sink);

  // Readable when the kernel has sent something: for a worker that sleeps.
  int descriptor() const { return descriptor_; }
  const ExceptionTapCounters& counters() const { return counters_; }

 private:
  ExceptionTap() = default;

  int descriptor_ = -1;
  std::size_t frame_bytes_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  ExceptionTapCounters counters_;
};

}  // namespace nearfield::net::dpdk
