// How the arguments are derived, each with its reason:
//   --in-memory            nothing on disk and no hugetlbfs mount needed; anonymous memory
//   --no-huge --no-shconf  instead, without hugepages: the two exclude one another, as --no-huge
//                          implies the old memory layout. An empty run-time folder stays behind
//   --no-telemetry         no socket that answers whoever may open it
//   --iova-mode=va         external buffers carry virtual addresses
//   --lcores=0@(cpus)      EAL pins the thread that starts it; this lets it float where it could
//   -m                     the memory asked for
//   --no-pci / -a address  only what was named; -b and defaults would grab every bound NIC
// Virtual devices are added afterwards, one by one: a failure then has a name and is no end.
#include "dataplane/net/dpdk/eal.h"

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_version.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield::net::dpdk {
namespace {

constexpr std::uint32_t kMinimumMemoryMb = 16;
constexpr std::uint32_t kMaximumMemoryMb = 65536;

thread_local int silences = 0;

// Receives what DPDK prints. It writes a line in one call or in several.
class LogCapture {
 public:
  void write(std::string_view text) {
    if (silences > 0) return;
    const std::lock_guard lock(mutex_);
    const int level = rte_log_cur_msg_loglevel();
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::size_t room = kMaximumLine - line_.size();
      line_.append(text.substr(0, std::min(end, room)));
      if (end == std::string_view::npos) return;
      text.remove_prefix(end + 1);
      finish_line(level);
    }
  }
  void set_sink(LogSink* sink) {
    const std::lock_guard lock(mutex_);
    sink_ = sink;
  }
  // Starts listening for the first error; what was heard before is forgotten.
  void listen() {
    const std::lock_guard lock(mutex_);
    first_error_.clear();
  }
  std::string first_error() {
    const std::lock_guard lock(mutex_);
    return first_error_;
  }

 private:
  static constexpr std::size_t kMaximumLine = 1000;

  static LogLevel translate(int level) {
    if (level <= 0) return LogLevel::information;  // not written through rte_log()
    if (level <= static_cast<int>(RTE_LOG_ERR)) return LogLevel::error;
    if (level == static_cast<int>(RTE_LOG_WARNING)) return LogLevel::warning;
    return level == static_cast<int>(RTE_LOG_DEBUG) ? LogLevel::debug : LogLevel::information;
  }
  void finish_line(int level) {
    const LogLevel translated = translate(level);
    if (!line_.empty()) {
      if (translated == LogLevel::error && first_error_.empty()) first_error_ = line_;
      if (sink_ != nullptr) sink_->write(translated, line_);
    }
    line_.clear();
  }

  std::mutex mutex_;
  LogSink* sink_ = nullptr;
  std::string line_;
  std::string first_error_;
};

LogCapture& capture() {
  static auto* instance = new LogCapture;  // DPDK's threads may log until the process is gone
  return *instance;
}

void route_log() {
  cookie_io_functions_t functions{};
  functions.write = [](void*, const char* bytes, std::size_t size) -> ssize_t {
    capture().write({bytes, size});
    return static_cast<ssize_t>(size);
  };
  std::FILE* stream = ::fopencookie(nullptr, "w", functions);
  if (stream == nullptr) return;  // its lines go to standard error then
  std::setvbuf(stream, nullptr, _IOLBF, 1024);
  rte_openlog_stream(stream);
}

// What DPDK said, else what its error number means.
std::string reason(int error_number) {
  std::string said = capture().first_error();
  return said.empty() ? std::string(rte_strerror(error_number)) : said;
}

std::string cpu_list() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return "0";
  std::string list;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    if (!list.empty()) list += ',';
    list += std::to_string(cpu);
  }
  return list.empty() ? "0" : list;
}

std::uint64_t read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  file >> number;
  return file ? number : 0;
}

Result<void> check_hugepages(const EalOptions& options) {
  namespace fs = std::filesystem;
  const fs::path root = "/sys/kernel/mm/hugepages";
  std::uint64_t free_mb = 0;
  std::error_code ignored;
  for (const char* size : {"2048kB", "1048576kB"}) {
    const fs::path path = root / (std::string("hugepages-") + size) / "free_hugepages";
    free_mb += read_number(path) * (size[0] == '2' ? 2 : 1024);
  }
  if (free_mb >= options.memory_mb) return {};
  const std::uint64_t missing = (options.memory_mb - free_mb + 1) / 2;
  const std::uint64_t now = read_number(root / "hugepages-2048kB" / "nr_hugepages");
  return failure("DPDK needs " + std::to_string(options.memory_mb) + " MB of hugepages and " +
                 std::to_string(free_mb) + " MB are free: run sysctl vm.nr_hugepages=" +
                 std::to_string(now + missing) + ", or let it use ordinary pages");
}

// A NIC is either handed to user space or shared with the kernel (mlx5, mana). Handed over means to
// VFIO: the other ways (uio) know nothing of virtual addresses, which are all that we have.
Result<void> check_pci_device(const std::string& address) {
  namespace fs = std::filesystem;
  const fs::path device = fs::path("/sys/bus/pci/devices") / address;
  std::error_code error;
  if (address.find('/') != std::string::npos || !fs::exists(device, error)) {
    return failure("there is no PCI device " + address +
                   ": 'lspci -D' lists addresses, as 0000:3b:00.0");
  }
  const std::string driver = fs::read_symlink(device / "driver", error).filename().string();
  for (const char* good : {"vfio-pci", "mlx4_core", "mlx5_core", "mana"}) {
    if (driver == good) return {};
  }
  return failure("PCI device " + address + " is with " +
                 (driver.empty() ? "no driver" : "the driver " + driver) +
                 ": hand it over with dpdk-devbind.py --bind=vfio-pci " + address);
}

std::pair<std::string, std::string> split_devargs(std::string_view devargs) {
  const std::size_t comma = devargs.find(',');
  if (comma == std::string_view::npos) return {std::string(devargs), ""};
  return {std::string(devargs.substr(0, comma)), std::string(devargs.substr(comma + 1))};
}

}  // namespace

Result<Eal> Eal::start(const EalOptions& options) {
  if (options.memory_mb < kMinimumMemoryMb || options.memory_mb > kMaximumMemoryMb) {
    return failure("DPDK with " + std::to_string(options.memory_mb) +
                   " MB of packet memory: it takes 16 to 65536");
  }
  if (options.hugepages) {
    if (auto checked = check_hugepages(options); !checked) return std::unexpected(checked.error());
  }
  for (const std::string& devargs : options.pci_devices) {
    if (auto checked = check_pci_device(split_devargs(devargs).first); !checked)
      return std::unexpected(checked.error());
  }
  static std::atomic<bool> started{false};
  if (started.exchange(true)) return failure("DPDK was started before in this process");

  capture().set_sink(options.log);
  capture().listen();
  route_log();

  std::vector<std::string> arguments = {"nearfield", "--no-telemetry", "--iova-mode=va", "-m",
                                        std::to_string(options.memory_mb)};
  arguments.push_back("--lcores=0@(" + cpu_list() + ")");
  if (options.hugepages) {
    arguments.emplace_back("--in-memory");
  } else {
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf", "--file-prefix=nearfield"});
  }
  if (options.pci_devices.empty()) arguments.emplace_back("--no-pci");
  for (const std::string& devargs : options.pci_devices) {
    arguments.emplace_back("-a");
    arguments.push_back(devargs);
  }
  std::vector<char*> pointers;  // EAL may reorder them and keeps copies of the strings
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  const auto count = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);

  cpu_set_t affinity;
  CPU_ZERO(&affinity);
  const bool had_affinity = ::sched_getaffinity(0, sizeof affinity, &affinity) == 0;
  const int result = rte_eal_init(count, pointers.data());
  const int error_number = rte_errno;
  if (had_affinity) ::sched_setaffinity(0, sizeof affinity, &affinity);
  if (result < 0) return failure("DPDK does not start: " + reason(error_number));
  if (rte_eal_iova_mode() != RTE_IOVA_VA) {
    rte_eal_cleanup();
    return failure(
        "DPDK cannot use virtual addresses for its devices: switch the IOMMU on (intel_iommu=on or "
        "amd_iommu=on on the kernel's command line) and bind NICs to vfio-pci");
  }
  return Eal();
}

Eal::Eal(Eal&& other) noexcept : running_(std::exchange(other.running_, false)) {}

Eal::~Eal() {
  if (running_) rte_eal_cleanup();
}

std::string Eal::version() { return rte_version(); }

Result<EalThread> EalThread::enter() {
  if (rte_lcore_id() != LCORE_ID_ANY) {
    // The thread that started EAL is known already.
    EalThread known;
    known.entered_ = false;
    return known;
  }
  if (rte_thread_register() != 0) {
    return failure(std::string("DPDK takes no further thread: ") + rte_strerror(rte_errno));
  }
  return EalThread();
}

EalThread::EalThread(EalThread&& other) noexcept : entered_(std::exchange(other.entered_, false)) {}

EalThread::~EalThread() {
  if (entered_) rte_thread_unregister();
}

EalSilence::EalSilence() { ++silences; }
EalSilence::~EalSilence() { --silences; }

Result<void> add_virtual_device(std::string_view devargs) {
  const auto [name, arguments] = split_devargs(devargs);
  // EAL calls a second device of one name a success and keeps the first.
  std::uint16_t existing = 0;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &existing) == 0)
    return failure("there is a DPDK device " + name + " already: give this one another number");
  capture().listen();
  const int result = rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str());
  if (result == 0) return {};
  return failure(
      "DPDK device " + std::string(devargs) + " cannot be had: " + reason(-result) +
      "; see that the driver and the interface exist and that this process may use them "
      "(net_af_packet: CAP_NET_RAW, net_tap: CAP_NET_ADMIN, net_af_xdp: both and CAP_BPF)");
}

Result<void> remove_virtual_device(std::string_view name) {
  capture().listen();
  const int result = rte_eal_hotplug_remove("vdev", std::string(name).c_str());
  if (result == 0) return {};
  return failure("DPDK device " + std::string(name) + " cannot be removed: " + reason(-result));
}

}  // namespace nearfield::net::dpdk
