// What workers share of TLS: made from files, exchanged by a reload as a whole or not at all, and
// loud before a certificate ends.
#include "dataplane/control/node_tls.h"

#include <filesystem>
#include <fstream>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::control;
using tls::test::TestAuthority;

namespace {

// 2050-01-01: every certificate of these tests is in its life, but for those that say otherwise.
const WallTime kNow{std::chrono::sys_days{std::chrono::year{2050} / 1 / 1}};

std::string ticket_keys(char first, std::size_t count = 1) {
  std::string keys;
  for (std::size_t i = 0; i < count; ++i) keys += std::string(48, static_cast<char>(first + i));
  return keys;
}

}  // namespace

TEST_GROUP(NodeTls) {
  TestAuthority authority;
  TlsConfig config;

  void setup() override {
    set_log_level(LogLevel::off);
    config.listen = {*net::Endpoint::parse("127.0.0.1:0")};
    config.certificates = {authority.host("node.example")};
    config.helpers.threads = 1;
  }
  void teardown() override { set_log_level(LogLevel::info); }

  std::unique_ptr<NodeTls> make(WallTime now = kNow) {
    auto made = NodeTls::make(config, now);
    CHECK_TEXT(made.has_value(), made ? "" : made.error().message.c_str());
    return *std::move(made);
  }
  void reload(NodeTls & node, WallTime now = kNow) {
    auto prepared = node.prepare(config, now);
    CHECK_TEXT(prepared.has_value(), prepared ? "" : prepared.error().message.c_str());
    node.use(*std::move(prepared), config);
  }
  std::string refusal(const NodeTls& node) {
    const auto prepared = node.prepare(config, kNow);
    return prepared ? "not refused" : prepared.error().message;
  }
};

TEST(NodeTls, WithoutAddressesThereIsNoServiceButWorkersCanConnect) {
  const auto node = *NodeTls::make(TlsConfig(), kNow);
  CHECK(node->service().settings == nullptr);
  const WorkerTls worker = node->worker();
  CHECK(worker.pool != nullptr && worker.tally != nullptr && worker.engine != nullptr);
  CHECK(node->notices(kNow).empty());
  CHECK(node->snapshot().certificates.empty());
}

TEST(NodeTls, SaysWhatItServesWith) {
  config.tls12 = false;
  const auto node = make();
  const TlsSnapshot shown = node->snapshot();
  STRCMP_EQUAL("1.3", shown.minimum_version.c_str());
  STRCMP_EQUAL("none", shown.client_certificates.c_str());
  CHECK(shown.tickets);
  UNSIGNED_LONGS_EQUAL(1, shown.ticket_keys);
  UNSIGNED_LONGS_EQUAL(1, shown.certificates.size());
  STRCMP_EQUAL("node.example", shown.certificates[0].names.at(0).c_str());
  STRCMP_CONTAINS("TLS from version 1.3 by ", node->summary().c_str());
  STRCMP_CONTAINS("1 certificate, protocols h2, http/1.1, tickets with keys of its own",
                  node->summary().c_str());
}

TEST(NodeTls, ARefusedReloadChangesNothing) {
  const auto node = make();
  const auto before = node->service().settings;
  const auto other = authority.host("other.example");
  config.certificates = {{.chain = config.certificates[0].chain, .key = other.key}};
  STRCMP_CONTAINS("does not belong to", refusal(*node).c_str());
  config.certificates = {{.chain = authority.file("missing.pem"), .key = other.key}};
  STRCMP_CONTAINS("missing.pem", refusal(*node).c_str());
  config.certificates = {other};
  config.ticket_keys_file = authority.write("short", "not 48 bytes");
  STRCMP_CONTAINS("short", refusal(*node).c_str());
  CHECK(node->service().settings == before);
  UNSIGNED_LONGS_EQUAL(1, node->snapshot().ticket_keys);
}

TEST(NodeTls, AReloadBringsNewCertificatesAndKeepsItsTicketKeys) {
  const auto node = make();
  const auto before = node->service().settings;
  config.certificates.push_back(authority.host("other.example"));
  config.handshakes.total = 7;
  reload(*node);
  CHECK(node->service().settings != before);
  UNSIGNED_LONGS_EQUAL(7, node->service().limits.total);
  UNSIGNED_LONGS_EQUAL(2, node->snapshot().certificates.size());
  UNSIGNED_LONGS_EQUAL(1, node->snapshot().ticket_keys);
}

TEST(NodeTls, TicketKeysThatOthersReadAreWarnedOf) {
  using std::filesystem::perms;
  config.ticket_keys_file = authority.write("keys", ticket_keys('a'));
  std::filesystem::permissions(config.ticket_keys_file, perms::owner_read);
  CHECK(make()->notices(kNow).empty());
  std::filesystem::permissions(config.ticket_keys_file, perms::owner_read | perms::others_read);
  const auto notices = make()->notices(kNow);
  LONGS_EQUAL(1, notices.size());
  STRCMP_EQUAL(("the file of ticket keys " + config.ticket_keys_file +
                " can be read or written by everyone: chmod o-rw it")
                   .c_str(),
               notices[0].text.c_str());
}

TEST(NodeTls, AReloadReadsTheTicketKeysAgain) {
  config.ticket_keys_file = authority.write("keys", ticket_keys('a'));
  const auto node = make();
  UNSIGNED_LONGS_EQUAL(1, node->snapshot().ticket_keys);
  authority.write("keys", ticket_keys('b', 3));
  UNSIGNED_LONGS_EQUAL(1, node->snapshot().ticket_keys);
  reload(*node);
  UNSIGNED_LONGS_EQUAL(3, node->snapshot().ticket_keys);
  config.tickets = false;
  config.ticket_keys_file.clear();
  reload(*node);
  CHECK_FALSE(node->snapshot().tickets);
  UNSIGNED_LONGS_EQUAL(0, node->snapshot().ticket_keys);
}

TEST(NodeTls, WarnsThirtyDaysBeforeACertificateEndsAndComplainsAfterwards) {
  config.certificates = {
      authority.issue({.names = {"node.example"}, .not_after = "20500301000000"})};
  const auto node = make();
  CHECK(node->notices(kNow).empty());
  const WallTime february{std::chrono::sys_days{std::chrono::year{2050} / 2 / 10}};
  auto notices = node->notices(february);
  UNSIGNED_LONGS_EQUAL(1, notices.size());
  CHECK(notices[0].level == LogLevel::warn);
  STRCMP_CONTAINS("expires in 19 days", notices[0].text.c_str());
  const WallTime april{std::chrono::sys_days{std::chrono::year{2050} / 4 / 1}};
  notices = node->notices(april);
  UNSIGNED_LONGS_EQUAL(1, notices.size());
  CHECK(notices[0].level == LogLevel::error);
  STRCMP_CONTAINS("has expired", notices[0].text.c_str());
  // One that has ended already is still served with: refusing it would take the clear-text
  // listeners down as well. It is said once, not by two checks.
  const auto late = make(april);
  UNSIGNED_LONGS_EQUAL(1, late->notices(april).size());
}

TEST(NodeTls, SaysWhatElseIsUnwise) {
  std::filesystem::permissions(config.certificates[0].key, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  const auto notices = make()->notices(kNow);
  UNSIGNED_LONGS_EQUAL(1, notices.size());
  STRCMP_CONTAINS("can be read", notices[0].text.c_str());
}
