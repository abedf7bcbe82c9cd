// With IOVA as VA the page size is only how finely DPDK keeps its table: the largest that fits the
// memory's ends keeps that table small.
#include "dataplane/net/dpdk/external_memory.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_memory.h>

#include <initializer_list>
#include <string>

namespace nearfield::net::dpdk {
namespace {

rte_device* device_of(std::uint16_t port) {
  rte_eth_dev_info info{};
  return rte_eth_dev_info_get(port, &info) == 0 ? info.device : nullptr;
}

}  // namespace

Result<std::unique_ptr<ExternalMemory>> ExternalMemory::create(std::span<std::byte> memory) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  std::size_t page_bytes = 0;
  for (const std::size_t candidate :
       {std::size_t{1} << 30, std::size_t{2} << 20, std::size_t{64} << 10, std::size_t{4} << 10}) {
    if (memory.empty() || begin % candidate != 0 || memory.size() % candidate != 0) continue;
    page_bytes = candidate;
    break;
  }
  if (page_bytes == 0) {
    return failure("memory of " + std::to_string(memory.size()) +
                   " bytes does not consist of whole pages: DPDK cannot register it");
  }
  const auto pages = static_cast<unsigned>(memory.size() / page_bytes);
  if (rte_extmem_register(memory.data(), memory.size(), nullptr, pages, page_bytes) != 0) {
    return failure("DPDK does not register " + std::to_string(memory.size() >> 20) +
                   " MB of the cache's memory: " + rte_strerror(rte_errno));
  }
  std::unique_ptr<ExternalMemory> made(new ExternalMemory);
  made->begin_ = begin;
  made->bytes_ = memory.size();
  made->page_bytes_ = page_bytes;
  return made;
}

ExternalMemory::~ExternalMemory() {
  rte_extmem_unregister(reinterpret_cast<void*>(begin_), bytes_);
}

Result<void> ExternalMemory::map_for(const Port& port) {
  rte_device* device = device_of(port.id());
  if (device == nullptr) return failure("port " + port.name() + " is gone");
  if (rte_dev_dma_map(device, reinterpret_cast<void*>(begin_), begin_, bytes_) == 0) {
    mapped_ports_.push_back(port.id());
    return {};
  }
  // Not supported: the device reads with the processor, or its driver maps on first use. Exists:
  // registering has mapped it for all VFIO devices there were.
  if (rte_errno == ENOTSUP || rte_errno == EEXIST) return {};
  return failure("port " + port.name() + " may not read the cache's memory (" +
                 rte_strerror(rte_errno) +
                 "): raise the locked-memory limit (LimitMEMLOCK=infinity)");
}

void ExternalMemory::unmap_for(const Port& port) {
  if (std::erase(mapped_ports_, port.id()) == 0) return;
  if (rte_device* device = device_of(port.id()); device != nullptr)
    rte_dev_dma_unmap(device, reinterpret_cast<void*>(begin_), begin_, bytes_);
}

}  // namespace nearfield::net::dpdk
