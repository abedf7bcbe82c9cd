// lwip_soak: lwIP as a second opinion on our TCP. Runs scenarios seed after seed, each in a process
// of its own (host.h says why), and says which one failed and how to see it again.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/sim/lwip/run.h"

namespace {

using namespace nearfield::sim::lwip;

constexpr unsigned kMostFailures = 10;

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t count = 0;  // 0: the first alone, told in detail
};

int usage(const char* wrong) {
  std::fprintf(stderr,
               "lwip_soak: %s\n"
               "usage: lwip_soak [--seed N] [--count N]\n"
               "  --seed N    the first seed (default 1); alone: that one, told in detail\n"
               "  --count N   how many seeds\n",
               wrong);
  return 2;
}

bool run_seed(std::uint64_t seed, bool in_detail) {
  const Scenario scenario = make_scenario(seed);
  const RunResult result = run(scenario, in_detail ? 50'000 : 60);
  if (!result.good || in_detail) {
    std::printf("seed %llu: %s\n%s%s", static_cast<unsigned long long>(seed),
                result.good ? "good" : "FAILED", scenario.summary.c_str(), result.report.c_str());
    std::printf("fingerprint %016llx, at most %.2f of the time allowed\n",
                static_cast<unsigned long long>(result.fingerprint), result.largest_share);
  }
  return result.good;
}

bool run_apart(std::uint64_t seed) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) {
    std::perror("lwip_soak: fork");
    return false;
  }
  if (child == 0) {
    const bool good = run_seed(seed, false);
    std::fflush(stdout);
    _exit(good ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  if (WIFSIGNALED(status))
    std::printf("seed %llu: ended by signal %d\n", static_cast<unsigned long long>(seed),
                WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int main(int count, char** values) {
  Arguments arguments;
  for (int index = 1; index < count; index += 2) {
    const std::string name = values[index];
    std::uint64_t* number = name == "--seed"    ? &arguments.first
                            : name == "--count" ? &arguments.count
                                                : nullptr;
    if (number == nullptr) return usage(("unknown " + name).c_str());
    if (index + 1 >= count) return usage(("what about " + name + "?").c_str());
    const char* text = values[index + 1];
    const char* end = text + std::strlen(text);
    const auto [parsed, error] = std::from_chars(text, end, *number);
    if (error != std::errc() || parsed != end) return usage((name + " wants a number").c_str());
  }
  if (arguments.count == 0) return run_seed(arguments.first, true) ? 0 : 1;

  std::uint64_t done = 0;
  unsigned failed = 0;
  for (; done < arguments.count && failed < kMostFailures; ++done) {
    const std::uint64_t seed = arguments.first + done;
    if (run_apart(seed)) continue;
    ++failed;
    std::printf("see it again: ./dev exec lwip_soak --seed %llu\n",
                static_cast<unsigned long long>(seed));
  }
  std::printf("%llu seeds, %u failed\n", static_cast<unsigned long long>(done), failed);
  return failed == 0 ? 0 : 1;
}
