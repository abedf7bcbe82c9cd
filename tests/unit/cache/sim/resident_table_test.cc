// ResidentTable: finds what is in it and nothing else, through growth and deletion in clusters.
#include "cache/sim/resident_table.h"

#include <map>

#include "cache/sim/random.h"
#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache;
using namespace nearfield::cache::sim;

TEST_GROUP(ResidentTable){};

TEST(ResidentTable, agrees_with_a_map) {
  ResidentTable table;
  std::map<std::uint64_t, PolicyEntry> model;
  Random random(1);
  for (int step = 0; step < 30'000; ++step) {
    // Few low bits: long clusters, some wrapping around the end of the table.
    const std::uint64_t hash = (random.below(400) << 40) | (1000 + random.below(8) * 7);
    auto found = model.find(hash);
    if (found == model.end()) {
      PolicyEntry& entry = model[hash];
      entry.name_hash = hash;
      table.insert(entry);
    } else if (random.chance(0.5)) {
      table.erase(hash);
      model.erase(found);
    } else {
      POINTERS_EQUAL(&found->second, table.find(hash));
    }
    UNSIGNED_LONGLONGS_EQUAL(model.size(), table.size());
  }
  for (auto& [hash, entry] : model) POINTERS_EQUAL(&entry, table.find(hash));
  POINTERS_EQUAL(nullptr, table.find(1));
}
