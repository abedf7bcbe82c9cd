// EAL starts on ordinary pages without root, says in a line what is wrong with what it was given,
// and takes and gives back virtual devices one by one.
#include "dataplane/net/dpdk/eal.h"

#include <rte_lcore.h>
#include <sched.h>

#include <mutex>
#include <optional>
#include <thread>

#include "CppUTest/TestHarness.h"
#include "cache/base/assert.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {

std::vector<std::string>& logged_lines() {
  static std::vector<std::string> lines;
  return lines;
}

namespace {

class Recorder final : public LogSink {
 public:
  void write(LogLevel, std::string_view line) override {
    const std::lock_guard lock(mutex_);
    logged_lines().emplace_back(line);
  }

 private:
  std::mutex mutex_;
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

void ensure_eal() {
  static Recorder recorder;
  static std::optional<Eal> eal;
  if (eal) return;
  EalOptions options;
  options.hugepages = false;
  options.memory_mb = 192;
  options.log = &recorder;
  auto started = Eal::start(options);
  if (!started) std::fprintf(stderr, "%s\n", started.error().message.c_str());
  NEARFIELD_ASSERT(started.has_value());
  eal.emplace(std::move(*started));
}

TEST_GROUP(Eal){};

TEST(Eal, refuses_what_cannot_work_before_touching_dpdk) {
  EalOptions options;
  options.memory_mb = 1;
  CHECK(contains(Eal::start(options).error().message, "16 to 65536"));

  options.memory_mb = 65536;  // more than this machine has reserved
  const std::string hugepages = Eal::start(options).error().message;
  CHECK(contains(hugepages, "hugepages"));
  CHECK(contains(hugepages, "sysctl vm.nr_hugepages="));

  options.hugepages = false;
  options.pci_devices = {"ffff:ff:1f.7"};
  CHECK(contains(Eal::start(options).error().message, "no PCI device ffff:ff:1f.7"));
  options.pci_devices = {"../../../etc"};
  CHECK(contains(Eal::start(options).error().message, "no PCI device"));
}

TEST(Eal, starts_once) {
  ensure_eal();
  CHECK(contains(Eal::version(), "DPDK 24.11"));
  EalOptions options;
  options.hugepages = false;
  CHECK(contains(Eal::start(options).error().message, "before"));
}

TEST(Eal, leaves_the_starting_thread_where_it_may_run) {
  cpu_set_t before;
  CPU_ZERO(&before);
  CHECK_EQUAL(0, ::sched_getaffinity(0, sizeof before, &before));
  ensure_eal();
  cpu_set_t after;
  CPU_ZERO(&after);
  CHECK_EQUAL(0, ::sched_getaffinity(0, sizeof after, &after));
  CHECK(CPU_EQUAL(&before, &after) != 0);
}

TEST(Eal, knows_threads_while_they_say_so) {
  ensure_eal();
  unsigned inside = LCORE_ID_ANY;
  unsigned behind = 0;
  std::thread([&] {
    {
      auto thread = EalThread::enter();
      if (thread) inside = rte_lcore_id();
    }
    behind = rte_lcore_id();
  }).join();
  CHECK(inside != LCORE_ID_ANY);
  CHECK_EQUAL(LCORE_ID_ANY, behind);
  // The thread that started EAL is always known, and stays so.
  {
    auto again = EalThread::enter();
  }
  CHECK_EQUAL(0U, rte_lcore_id());
}

TEST(Eal, adds_and_removes_virtual_devices) {
  ensure_eal();
  CHECK(add_virtual_device("net_null_eal").has_value());
  CHECK(contains(add_virtual_device("net_null_eal").error().message, "already"));
  CHECK(remove_virtual_device("net_null_eal").has_value());
  CHECK_FALSE(remove_virtual_device("net_null_eal").has_value());
}

TEST(Eal, says_what_a_device_lacks) {
  ensure_eal();
  const std::string unknown = add_virtual_device("net_nonsense0").error().message;
  CHECK(contains(unknown, "net_nonsense0"));
  const std::string missing =
      add_virtual_device("net_af_packet_eal,iface=nearfield-none").error().message;
  CHECK(contains(missing, "nearfield-none"));
  CHECK_FALSE(contains(missing, "\n"));
}

TEST(Eal, writes_what_dpdk_says_line_by_line) {
  ensure_eal();
  logged_lines().clear();
  CHECK_FALSE(add_virtual_device("net_nonsense1").has_value());
  CHECK(!logged_lines().empty());
  for (const std::string& line : logged_lines()) CHECK_FALSE(contains(line, "\n"));
}

}  // namespace nearfield::net::dpdk
