// ExternalMemory: memory of ours, the cache's arena, made known to DPDK so that packets may point
// into it and NICs may read it.
//
// Invariant: the memory stays mapped and at its place until this object is gone, and this object
// until every port it was mapped for is closed. Contents are ours; a NIC only reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/net/dpdk/port.h"

namespace nearfield::net::dpdk {

class ExternalMemory {
 public:
  // `memory` begins and ends at 4 KiB pages. Errors: misaligned, overlaps what is registered, too
  // many pages for DPDK's tables.
  static Result<std::unique_ptr<ExternalMemory>> create(std::span<std::byte> memory);
  ~ExternalMemory();
  ExternalMemory(const ExternalMemory&) = delete;
  ExternalMemory& operator=(const ExternalMemory&) = delete;

  // Lets the port's device read it. Virtual devices read with the processor and need nothing.
  Result<void> map_for(const Port& port);
  // Takes that back, when the port has stopped and before it is closed: its device is not known
  // afterwards.
  void unmap_for(const Port& port);

  // Whether the byte at `address` is in it. Any thread.
  bool holds(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - begin_ < bytes_;
  }
  std::size_t page_bytes() const { return page_bytes_; }

 private:
  ExternalMemory() = default;

  std::uintptr_t begin_ = 0;
  std::uintptr_t bytes_ = 0;
  std::size_t page_bytes_ = 0;
  std::vector<std::uint16_t> mapped_ports_;
};

}  // namespace nearfield::net::dpdk
