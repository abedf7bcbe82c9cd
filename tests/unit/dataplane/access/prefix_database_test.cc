// MaxMind DB files, made by their own writer, and replaced while they are in use.
#include "dataplane/access/prefix_database.h"

#include <CppUTest/TestHarness.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/dataplane/access/access_fixture.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::access;
namespace v = nearfield::access::vectors;

TEST_GROUP(PrefixDatabase) {
  TemporaryFolder folder;
  std::string path = folder.file("world.mmdb");

  void write(const std::string& territory) {
    const std::string fresh = folder.file("fresh.mmdb");
    const std::string command =
        "perl " NEARFIELD_MAKE_PREFIX_DATABASE " " + fresh + " " + territory;
    LONGS_EQUAL(0, std::system(command.c_str()));
    std::filesystem::rename(fresh, path);
  }
  static PrefixRecord find(const PrefixDatabase& database, const char* address) {
    return database.find(*net::Address::parse(address));
  }
};

TEST(PrefixDatabase, KnowsTerritoriesAndNetworks) {
  write("DE");
  const auto database = open_prefix_database(path);
  CHECK_TRUE(database.has_value());
  for (const char* address : {"192.0.2.7", "2001:db8:1::1"}) {
    const PrefixRecord record = find(**database, address);
    STRCMP_EQUAL("DE", std::string(record.territory.text()).c_str());
    LONGS_EQUAL(64500, record.network_number);
  }
  for (const char* address : {"198.51.100.1", "203.0.113.1", "2001:db9::1"}) {
    const PrefixRecord record = find(**database, address);
    CHECK_FALSE(record.territory.is_known());
    LONGS_EQUAL(0, record.network_number);
  }
  STRCMP_CONTAINS("Test-Country of 20", (*database)->description().c_str());
}

TEST(PrefixDatabase, IsReplacedByAReloadAndTheOldOneStaysUntilThen) {
  AccessOptions options = signed_options();
  options.rules[0].allowed_territories = {"DE"};
  options.territory_database = path;
  write("DE");
  const auto first = AccessPolicy::make(options);
  CHECK_TRUE(first.has_value());
  AccessCheck check({}, *first, nullptr, {1, 2});
  const TestRequest request = with_jwt(v::kPlain);
  CHECK_REASON(kTokenHolds, check.check(request.get()).reason);
  write("US");
  CHECK_REASON(kTokenHolds, check.check(request.get()).reason);
  check.set_policy(*AccessPolicy::make(options));
  CHECK_REASON(kWrongTerritory, check.check(request.get()).reason);
  CHECK_REASON(kTokenHolds, explain(**first, request.get(), nullptr).reason);
}

TEST(PrefixDatabase, RefusesWhatIsNone) {
  CHECK_FALSE(open_prefix_database(path).has_value());
  std::ofstream(path) << "not a database";
  const auto opened = open_prefix_database(path);
  CHECK_FALSE(opened.has_value());
  STRCMP_CONTAINS("MaxMind DB", opened.error().message.c_str());
}

// It would be waited for.
TEST(PrefixDatabase, RefusesAPipe) {
  LONGS_EQUAL(0, ::mkfifo(path.c_str(), 0600));
  const auto opened = open_prefix_database(path);
  CHECK_FALSE(opened.has_value());
  STRCMP_CONTAINS("cannot be opened (it is no regular file)", opened.error().message.c_str());
}

TEST(PrefixDatabase, TerritoriesAreCodesThatAreAssigned) {
  CHECK(Territory::parse("de") == Territory::parse("DE"));
  for (const char* good : {"AD", "GB", "XK", "ZW"}) CHECK_TRUE(Territory::parse(good).has_value());
  for (const char* bad : {"", "D", "DEU", "1A", "D-", "UK", "EU", "AP", "AA", "ZZ", "T1"})
    CHECK_FALSE(Territory::parse(bad).has_value());
}
