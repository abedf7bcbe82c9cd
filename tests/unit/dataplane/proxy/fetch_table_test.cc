// FetchTicket and FetchTable: who waits for what, and that nobody waits for a fetch that has ended.
#include "dataplane/proxy/fetch_table.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::proxy;

namespace {

class CountingSignal : public Signal {
 public:
  void raise() override { ++raised; }
  int raised = 0;
};

}  // namespace

TEST_GROUP(FetchTable) {
  Ref<FetchTicket> ticket = make_ref<FetchTicket>();
  Ref<CountingSignal> owner = make_ref<CountingSignal>();

  void setup() override { ticket->set_owner_signal(owner); }
};

TEST(FetchTable, what_is_wanted_wakes_the_fetch_once_and_is_handed_over) {
  CHECK_TRUE(ticket->want(7));
  CHECK_TRUE(ticket->want(7));
  LONGS_EQUAL(1, owner->raised);
  const auto wanted = ticket->take_wanted();
  LONGS_EQUAL(1, wanted.size());
  CHECK_TRUE(ticket->take_wanted().empty());
}

// A listener on another worker asks for bytes at the moment the fetch decides to end: either the
// fetch sees it, or the listener is told that nothing will come. It used to wait for its time-out.
TEST(FetchTable, a_fetch_that_ends_sees_who_wants_something_or_tells_them) {
  CHECK_TRUE(ticket->want(7));
  CHECK_FALSE(ticket->close());
  CHECK_TRUE(ticket->want(8));
  LONGS_EQUAL(2, ticket->take_wanted().size());
  CHECK_TRUE(ticket->close());
  CHECK_FALSE(ticket->want(9));
}

TEST(FetchTable, a_ticket_that_is_shut_promises_nothing) {
  CHECK_TRUE(ticket->want(7));
  ticket->shut();
  CHECK_FALSE(ticket->want(8));
}

TEST(FetchTable, a_full_list_of_wants_is_no_refusal) {
  for (std::uint64_t offset = 0; offset < FetchTicket::kMaximumWanted + 10; ++offset)
    CHECK_TRUE(ticket->want(offset));
  LONGS_EQUAL(FetchTicket::kMaximumWanted, ticket->take_wanted().size());
}

TEST(FetchTable, who_joins_a_settled_ticket_is_woken_at_once) {
  FetchAnswer none;
  none.failure = origin::OriginFailureKind::broken;
  const auto early = make_ref<CountingSignal>();
  CHECK_TRUE(ticket->join(early, 10));
  ticket->settle(FetchPhase::failed, std::move(none));
  LONGS_EQUAL(1, early->raised);
  const auto late = make_ref<CountingSignal>();
  CHECK_TRUE(ticket->join(late, 10));
  LONGS_EQUAL(1, late->raised);
}

TEST(FetchTable, one_fetch_a_key_and_a_new_one_once_it_ended) {
  FetchTable table;
  bool began = false;
  CHECK_TRUE(table.join_or_begin("a", ticket, &began) == ticket);
  CHECK_TRUE(began);
  const auto other = make_ref<FetchTicket>();
  CHECK_TRUE(table.join_or_begin("a", other, &began) == ticket);
  CHECK_FALSE(began);
  table.end("a", *other);  // not the running one: no effect
  CHECK_TRUE(table.join_or_begin("a", other, &began) == ticket);
  table.end("a", *ticket);
  CHECK_TRUE(table.join_or_begin("a", other, &began) == other);
  CHECK_TRUE(began);
}
