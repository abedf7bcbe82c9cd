// Which group serves a host, which server of it is asked, and what survives a reload.
#include "dataplane/origin/directory.h"

#include <array>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::origin;
using Admission = OriginHealth::Admission;

namespace {

const MonotonicTime kStart{std::chrono::hours(1)};

OriginGroup group(std::string name, std::vector<std::string> hosts, int servers = 1) {
  OriginGroup result;
  result.name = std::move(name);
  result.hosts = std::move(hosts);
  for (int i = 0; i < servers; ++i) {
    result.servers.push_back(parse_origin_url("http://192.0.2." + std::to_string(i + 1)).value());
  }
  return result;
}

std::shared_ptr<const OriginDirectory> directory_of(std::vector<OriginGroup> groups,
                                                    const OriginDirectory* previous = nullptr) {
  return OriginDirectory::create(std::move(groups), nullptr, {}, previous).value();
}

}  // namespace

TEST_GROUP(OriginDirectory){
    static std::string served_by(const OriginDirectory& directory, std::string_view authority){
        const auto found = directory.find(authority);
return found == nullptr ? "nobody" : found->config.name;
}
static void eject(const Origin& origin) {
  for (int i = 0; i < 5; ++i) origin.health->report_failure("x", kStart, 0);
}
}
;

TEST(OriginDirectory, TheMostExactPatternServes) {
  const auto directory = directory_of(
      {group("exact", {"a.example"}), group("port", {"a.example:81"}), group("wild", {"*.example"}),
       group("deep", {"*.b.example"}), group("v6", {"[::1]"})});
  STRCMP_EQUAL("exact", served_by(*directory, "a.example").c_str());
  STRCMP_EQUAL("exact", served_by(*directory, "a.example:80").c_str());
  STRCMP_EQUAL("exact", served_by(*directory, "a.example.").c_str());
  STRCMP_EQUAL("port", served_by(*directory, "a.example:81").c_str());
  STRCMP_EQUAL("wild", served_by(*directory, "b.example:81").c_str());
  STRCMP_EQUAL("deep", served_by(*directory, "x.y.b.example").c_str());
  STRCMP_EQUAL("nobody", served_by(*directory, "example").c_str());
  STRCMP_EQUAL("nobody", served_by(*directory, ".example").c_str());
  STRCMP_EQUAL("nobody", served_by(*directory, "").c_str());
  STRCMP_EQUAL("nobody", served_by(*directory, "*").c_str());
  STRCMP_EQUAL("nobody", served_by(*directory, ":80").c_str());
  STRCMP_EQUAL("v6", served_by(*directory, "[::1]:8080").c_str());
}

TEST(OriginDirectory, StarServesWhatNobodyElseDoes) {
  const auto directory = directory_of({group("all", {"*"}), group("wild", {"*.example"})});
  for (const char* host : {"", "x", "example", "192.0.2.1:80", ":80", "."}) {
    STRCMP_EQUAL("all", served_by(*directory, host).c_str());
  }
  STRCMP_EQUAL("wild", served_by(*directory, "a.example").c_str());
}

TEST(OriginDirectory, AnUnchangedGroupStaysTheSameObject) {
  const auto before = directory_of({group("a", {"a"}), group("b", {"b"})});
  OriginGroup changed = group("b", {"b"}, 2);
  changed.retries = 1;
  const auto after = directory_of({changed, group("a", {"a"})}, before.get());
  CHECK(before->find("a") == after->find("a"));
  CHECK(before->find("b") != after->find("b"));
  // What a server learnt stays as long as its address does.
  CHECK(before->find("b")->origins[0].health == after->find("b")->origins[0].health);
  CHECK(before->find("b")->origins[0].statistics == after->find("b")->origins[0].statistics);
  CHECK(after->find("b")->origins[1].health != after->find("b")->origins[0].health);
}

TEST(OriginDirectory, ABadConfigurationIsRefused) {
  const auto result = OriginDirectory::create({group("a", {})}, nullptr, {});
  CHECK(!result.has_value());
  STRCMP_CONTAINS("origin group 'a': hosts", result.error().message.c_str());
}

TEST(OriginDirectory, ServersShareByWeight) {
  OriginGroup weighted = group("a", {"*"}, 3);
  weighted.servers[0].weight = 1;
  weighted.servers[1].weight = 2;
  weighted.servers[2].priority = 2;
  const auto directory = directory_of({weighted});
  std::array<int, 3> chosen{};
  for (std::uint64_t i = 0; i < 300; ++i) {
    ++chosen[choose_origin(*directory->groups()[0], 0, true, kStart, i).index];
  }
  CHECK_EQUAL(100, chosen[0]);
  CHECK_EQUAL(200, chosen[1]);
  CHECK_EQUAL(0, chosen[2]);
}

TEST(OriginDirectory, FailsOverByPriority) {
  OriginGroup ranked = group("a", {"*"}, 3);
  ranked.servers[1].priority = 2;
  ranked.servers[2].priority = 3;
  const auto directory = directory_of({ranked});
  const OriginGroupEntry& entry = *directory->groups()[0];
  CHECK_EQUAL(0u, choose_origin(entry, 0b000, true, kStart, 7).index);
  CHECK_EQUAL(1u, choose_origin(entry, 0b001, true, kStart, 7).index);
  CHECK_EQUAL(2u, choose_origin(entry, 0b011, true, kStart, 7).index);
  CHECK_EQUAL(0u,
              choose_origin(entry, 0b111, true, kStart, 7).index);  // all tried: from the beginning
  eject(entry.origins[0]);
  CHECK_EQUAL(1u, choose_origin(entry, 0, true, kStart, 7).index);
  eject(entry.origins[1]);
  eject(entry.origins[2]);
  CHECK(choose_origin(entry, 0, true, kStart, 7).origin == nullptr);
}

TEST(OriginDirectory, OnlyARepeatableCallProbesWhileAnotherServerWorks) {
  OriginGroup ranked = group("a", {"*"}, 2);
  ranked.servers[1].priority = 2;
  const auto directory = directory_of({ranked});
  const OriginGroupEntry& entry = *directory->groups()[0];
  eject(entry.origins[0]);
  const MonotonicTime later = kStart + std::chrono::seconds(2);
  OriginChoice choice = choose_origin(entry, 0, false, later, 7);
  CHECK_EQUAL(1u, choice.index);
  CHECK(!choice.probe);
  choice = choose_origin(entry, 0, true, later, 7);
  CHECK_EQUAL(0u, choice.index);
  CHECK(choice.probe);
  // One at a time.
  CHECK_EQUAL(1u, choose_origin(entry, 0, true, later, 7).index);
  // A call that cannot be repeated probes when there is nobody else.
  entry.origins[0].health->abandon_probe(later);
  eject(entry.origins[1]);
  choice = choose_origin(entry, 0, false, later, 7);
  CHECK(choice.probe);
}
