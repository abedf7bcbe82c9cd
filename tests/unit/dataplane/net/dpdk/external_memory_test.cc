// Which memory is known to DPDK, and no longer than it should be.
#include "dataplane/net/dpdk/external_memory.h"

#include "CppUTest/TestHarness.h"
#include "cache/arena.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "dataplane/net/dpdk/port.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {

TEST_GROUP(ExternalMemory){void setup() override{ensure_eal();
}
}
;

TEST(ExternalMemory, knows_what_is_in_it) {
  auto arena = *cache::Arena::create({.bytes = 2 << 20, .want_hugepages = false});
  const std::span<std::byte> bytes = arena->memory();
  auto memory = *ExternalMemory::create(bytes);
  CHECK(memory->holds(bytes.data()));
  CHECK(memory->holds(bytes.data() + bytes.size() - 1));
  CHECK_FALSE(memory->holds(bytes.data() + bytes.size()));
  CHECK_FALSE(memory->holds(bytes.data() - 1));
  CHECK_FALSE(memory->holds(nullptr));
  CHECK_FALSE(ExternalMemory::create(bytes).has_value());  // once
  CHECK_FALSE(ExternalMemory::create(bytes.subspan(1, 4096)).has_value());
  CHECK_FALSE(ExternalMemory::create({}).has_value());

  auto pool = *PacketPool::create({.name = "map", .packets = 63});
  PacketPool* pools[] = {pool.get()};
  auto port = *Port::open({.name = "net_null_map"}, pools);
  CHECK(memory->map_for(*port).has_value());
  memory->unmap_for(*port);
  memory->unmap_for(*port);  // nothing is left to take back
  memory.reset();
  CHECK(ExternalMemory::create(bytes).has_value());  // and again when it was given back
}

}  // namespace nearfield::net::dpdk
