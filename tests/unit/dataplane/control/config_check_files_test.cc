// The files that a configuration names for TLS: what a start would stumble over is told by the
// check alone, all of it, at the keys that name them and in the same words.
#include "dataplane/control/config_check_files.h"

#include <sys/stat.h>

#include <filesystem>

#include "CppUTest/TestHarness.h"
#include "dataplane/control/node_tls.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::control;
using tls::test::TestAuthority;

TEST_GROUP(ConfigCheckFiles) {
  TestAuthority authority;
  tls::CertificateFiles good = authority.host("node.example");

  static std::string entry(const std::string& chain, const std::string& key) {
    return "{ certificate = \"" + chain + "\", key = \"" + key + "\" }";
  }
  // Lines 7 to 9, and `more` from the tenth on.
  static std::string table(const std::string& certificate, const std::string& more = "") {
    return "[tls]\nlisten = [\":443\"]\ncertificates = [" + certificate + "]\n" + more;
  }
  std::expected<Config, ConfigErrors> load(const std::string& more, ConfigFiles files,
                                           const std::string& origin = "http://127.0.0.1:9000") {
    return load_config(
        authority.write("node.toml",
                        "[node]\nlisten = [\":80\"]\n[[origin]]\nname = \"music\"\nhosts = "
                        "[\"*\"]\nservers = [\"" +
                            origin + "\"]\n" + more),
        files);
  }
  std::string check(const std::string& more, const std::string& origin = "http://127.0.0.1:9000") {
    const auto config = load(more, ConfigFiles::all, origin);
    return config ? "ok" : config.error().text();
  }
  // The check says `key` and what a start says.
  void fails(const std::string& key, const std::string& more) {
    const auto config = load(more, ConfigFiles::kept);
    CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
    const auto started = NodeTls::make(config->tls, tls::test::real_now());
    CHECK_FALSE(started.has_value());
    const std::string expected =
        authority.file("node.toml") + ":" + key + ": " + started.error().message;
    STRCMP_EQUAL(expected.c_str(), check(more).c_str());
  }
};

TEST(ConfigCheckFiles, GoodFilesAreOk) {
  const auto keys = authority.write("tickets", std::string(48, 'k'));
  STRCMP_EQUAL("ok", check(table(entry(good.chain, good.key),
                                 "client_certificates = \"required\"\nclient_ca = \"" +
                                     authority.ca_file() + "\"\nticket_keys = \"" + keys + "\"\n"))
                         .c_str());
}

TEST(ConfigCheckFiles, WhatAStartWouldRefuseIsRefused) {
  fails("9: tls.certificates[0]", table(entry(authority.file("none.pem"), good.key)));
  fails("9: tls.certificates[0]", table(entry(good.chain, authority.file("none.key"))));
  fails("9: tls.certificates[0]", table(entry(good.chain, authority.host("other.example").key)));
  const auto weak = authority.host("weak.example", tls::test::KeyKind::rsa1024);
  fails("9: tls.certificates[0]", table(entry(weak.chain, weak.key)));
  const std::string certificate = entry(good.chain, good.key);
  fails("11: tls.client_ca",
        table(certificate, "client_certificates = \"required\"\nclient_ca = \"" +
                               authority.file("none.pem") + "\"\n"));
  fails("10: tls.ticket_keys",
        table(certificate, "ticket_keys = \"" + authority.write("short", "47") + "\"\n"));
}

// A node that opens a pipe waits for who writes to it.
TEST(ConfigCheckFiles, PipesAreNotWaitedFor) {
  const std::string pipe = authority.file("pipe");
  LONGS_EQUAL(0, ::mkfifo(pipe.c_str(), 0600));
  const std::string certificate = entry(good.chain, good.key);
  fails("9: tls.certificates[0]", table(entry(pipe, good.key)));
  fails("9: tls.certificates[0]", table(entry(good.chain, pipe)));
  fails("10: tls.ticket_keys", table(certificate, "ticket_keys = \"" + pipe + "\"\n"));
  fails("11: tls.client_ca",
        table(certificate, "client_certificates = \"required\"\nclient_ca = \"" + pipe + "\"\n"));
  STRCMP_CONTAINS(("cannot read " + pipe + ": it is a folder, a pipe or a device").c_str(),
                  check(table(entry(pipe, good.key))).c_str());
}

TEST(ConfigCheckFiles, AllOfItIsToldAtOnce) {
  const std::string said =
      check("[origin.tls]\nca = \"/none.pem\"\n" +
                table(entry("/none-1.pem", good.key) + ",\n" + entry(good.chain, good.key) + ",\n" +
                          entry("/none-2.pem", good.key),
                      "client_certificates = \"optional\"\nclient_ca = \"/none-3.pem\"\n"
                      "ticket_keys = \"/none-4\"\n"),
            "https://127.0.0.1:9000");
  STRCMP_CONTAINS(":7: origin[0].tls: origin group 'music': tls: cannot open /none.pem",
                  said.c_str());
  STRCMP_CONTAINS(":11: tls.certificates[0]: cannot open /none-1.pem", said.c_str());
  STRCMP_CONTAINS(":13: tls.certificates[2]: cannot open /none-2.pem", said.c_str());
  STRCMP_CONTAINS(":15: tls.client_ca: cannot open /none-3.pem", said.c_str());
  STRCMP_CONTAINS(":16: tls.ticket_keys: cannot open /none-4", said.c_str());
}

TEST(ConfigCheckFiles, AnOriginsOwnCertificateIsReadToo) {
  const auto other = authority.host("other.example");
  STRCMP_CONTAINS("does not belong to the first certificate",
                  check("[origin.tls]\nverify = false\ncertificate = \"" + good.chain +
                            "\"\nkey = \"" + other.key + "\"\n",
                        "https://127.0.0.1:9000")
                      .c_str());
}

TEST(ConfigCheckFiles, WhatIsBearableIsAWarning) {
  using std::filesystem::perms;
  const std::string keys = authority.write("tickets", std::string(48, 'k'));
  std::filesystem::permissions(keys, perms::owner_read | perms::others_read);
  const auto old = authority.issue({.names = {"old.example"}, .not_after = "20210101000000"});
  const auto config =
      load(table(entry(old.chain, old.key), "ticket_keys = \"" + keys + "\"\n"), ConfigFiles::all);
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  LONGS_EQUAL(2, config->warnings.size());
  STRCMP_CONTAINS("has expired", config->warnings[0].c_str());
  STRCMP_CONTAINS("the file of ticket keys", config->warnings[1].c_str());
}
