// Ticket keys: rotation by time, bounded memory of old keys, and the shared file.
#include "dataplane/tls/ticket_keys.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;
using namespace std::chrono_literals;

TEST_GROUP(TicketKeys) {
  TestAuthority folder;
  WallTime now{std::chrono::seconds(1'800'000'000)};
  Bytes content = Bytes(100, std::byte{5});
  std::vector<std::string> warnings;

  Bytes sealed(TicketKeys & keys) {
    Bytes ticket(content.size() + TicketKeys::kOverheadBytes);
    LONGS_EQUAL(ticket.size(), keys.seal(now, content, ticket));
    return ticket;
  }
  TicketKeys::Opened opened(TicketKeys & keys, const Bytes& ticket) {
    Bytes plain(ticket.size());
    std::size_t count = 0;
    const TicketKeys::Opened result = keys.open(now, ticket, plain, count);
    if (result != TicketKeys::Opened::refused) {
      LONGS_EQUAL(content.size(), count);
      plain.resize(count);
      CHECK_TRUE(plain == content);
    } else {
      LONGS_EQUAL(0, count);
    }
    return result;
  }
};

TEST(TicketKeys, OldKeysOpenUntilTheyAreForgotten) {
  const auto keys = TicketKeys::make(now);
  const Bytes ticket = sealed(*keys);
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::current);
  now += TicketKeys::kRotation;
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::older);
  now += TicketKeys::kRotation;
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::older);
  LONGS_EQUAL(TicketKeys::kKept, keys->key_count());
  now += TicketKeys::kRotation;
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::refused);
  LONGS_EQUAL(TicketKeys::kKept, keys->key_count());
}

TEST(TicketKeys, AfterALongRestOldKeysAreGoneAtOnce) {
  const auto keys = TicketKeys::make(now);
  const Bytes ticket = sealed(*keys);
  now += 20 * TicketKeys::kRotation;
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::refused);
  LONGS_EQUAL(1, keys->key_count());
}

TEST(TicketKeys, AClockSetBackDoesNotFreezeTheKey) {
  const auto keys = TicketKeys::make(now);
  const Bytes ticket = sealed(*keys);
  now -= 10 * TicketKeys::kRotation;
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::current);
  now += TicketKeys::kRotation;
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::older);
}

TEST(TicketKeys, EveryChangedByteIsRefused) {
  const auto keys = TicketKeys::make(now);
  const Bytes ticket = sealed(*keys);
  for (std::size_t i = 0; i < ticket.size(); ++i) {
    Bytes changed = ticket;
    changed[i] ^= std::byte{1};
    CHECK_TRUE(opened(*keys, changed) == TicketKeys::Opened::refused);
    CHECK_TRUE(
        opened(*keys, Bytes(ticket.begin(), ticket.begin() + static_cast<std::ptrdiff_t>(i))) ==
        TicketKeys::Opened::refused);
  }
}

TEST(TicketKeys, AnOutputTooSmallIsLeftAlone) {
  const auto keys = TicketKeys::make(now);
  Bytes ticket(content.size() + TicketKeys::kOverheadBytes - 1);
  LONGS_EQUAL(0, keys->seal(now, content, ticket));
}

TEST(TicketKeys, TheFileIsChecked) {
  const auto refused = [&](const std::string& text, const char* why) {
    const auto loaded = TicketKeys::load(folder.write("tickets", text), warnings);
    CHECK_FALSE(loaded.has_value());
    STRCMP_CONTAINS(why, loaded.error().message.c_str());
  };
  refused("", "have 0 bytes");
  refused(std::string(47, 'a'), "have 47 bytes");
  refused(std::string(49, 'a'), "have 49 bytes");
  refused(std::string(48 * 17, 'a'), "more than 768 bytes");
  refused(std::string(96, 'a'), "two keys of one name");
  CHECK_FALSE(TicketKeys::load(folder.file("nothing"), warnings).has_value());
}

TEST(TicketKeys, TheFilesFirstKeySealsAndAReloadBringsTheNext) {
  const std::string file = folder.write("tickets", std::string(48, 'a'));
  const auto keys = *TicketKeys::load(file, warnings);
  const Bytes ticket = sealed(*keys);
  now += 100 * TicketKeys::kRotation;  // only the file rotates
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::current);
  folder.write("tickets", std::string(48, 'b') + std::string(48, 'a'));
  keys->replace_by(**TicketKeys::load(file, warnings));
  CHECK_TRUE(opened(*keys, ticket) == TicketKeys::Opened::older);
  CHECK_FALSE(TicketKeys::load(folder.write("tickets", "broken"), warnings).has_value());
  const auto other = *TicketKeys::load(folder.write("tickets", std::string(48, 'b')), warnings);
  CHECK_TRUE(opened(*other, sealed(*keys)) == TicketKeys::Opened::current);
}
