// What cachesim prints: the numbers are there, in both forms.
#include "cache/sim/report.h"

#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache::sim;

TEST_GROUP(Report) {
  SimulationResult result;
  void setup() override {
    MemoryTrace trace(requests_of({1, 2, 1, 3, 1}, 10));
    result = *simulate(trace, {.policies = {"lru"}, .sizes = {*parse_size("20")}, .belady = true},
                       [](const char*, std::uint64_t, std::uint64_t) {});
  }
};

TEST(Report, prints_a_table) {
  const std::string table = report_table("five requests", result);
  STRCMP_CONTAINS("five requests: 5 requests, 50 B; 3 objects, footprint 30 B", table.c_str());
  STRCMP_CONTAINS("lru", table.c_str());
  STRCMP_CONTAINS("0.6000", table.c_str());  // 3 of 5 missed
  STRCMP_CONTAINS("belady", table.c_str());
}

TEST(Report, prints_json_with_the_command_that_made_it) {
  const std::string json = report_json("a \"quoted\" name", "cachesim x", result);
  STRCMP_CONTAINS(R"("command":"cachesim x")", json.c_str());
  STRCMP_CONTAINS(R"("name":"a \"quoted\" name")", json.c_str());
  STRCMP_CONTAINS(R"("policy":"lru")", json.c_str());
  STRCMP_CONTAINS(R"("miss_bytes":30)", json.c_str());
}
