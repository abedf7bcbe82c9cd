// What workers tell each other: in order, bounded, and what finds no room is counted.
#include "dataplane/net/dpdk/mailbox.h"

#include <memory>

#include "CppUTest/TestHarness.h"

namespace nearfield::net::dpdk {

TEST_GROUP(Mailbox) {
  std::unique_ptr<Mailbox> mailbox = std::make_unique<Mailbox>();
  Message message;
};

TEST(Mailbox, gives_in_order_what_was_put) {
  CHECK_FALSE(mailbox->take(message));
  for (std::uint8_t round = 0; round < 200; ++round) {
    message.frame_bytes = round;
    CHECK(mailbox->put(message));
    message.kind = Message::Kind::link_up;
    CHECK(mailbox->put(message));
    message = {};
    CHECK(mailbox->take(message));
    CHECK_EQUAL(round, message.frame_bytes);
    CHECK(message.kind == Message::Kind::neighbour);
    CHECK(mailbox->take(message));
    CHECK(message.kind == Message::Kind::link_up);
    CHECK_FALSE(mailbox->take(message));
    message = {};
  }
  CHECK_EQUAL(0U, mailbox->lost());
}

TEST(Mailbox, drops_and_counts_what_finds_no_room) {
  for (std::size_t i = 0; i < Mailbox::kMessages; ++i) CHECK(mailbox->put(message));
  CHECK_FALSE(mailbox->put(message));
  CHECK_FALSE(mailbox->put(message));
  CHECK_EQUAL(2U, mailbox->lost());
  for (std::size_t i = 0; i < Mailbox::kMessages; ++i) CHECK(mailbox->take(message));
  CHECK_FALSE(mailbox->take(message));
}

TEST(Mailbox, says_when_nobody_was_woken_yet) {
  bool was_empty = false;
  CHECK(mailbox->put(message, &was_empty));
  CHECK_TRUE(was_empty);
  CHECK(mailbox->put(message, &was_empty));
  CHECK_FALSE(was_empty);
}

}  // namespace nearfield::net::dpdk
