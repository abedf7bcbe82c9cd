// TIME-WAIT: how long, how many, and which SYN may end it.
#include "dataplane/net/tcp/time_wait.h"

#include <algorithm>
#include <list>
#include <optional>
#include <random>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

static_assert(sizeof(TimeWaitTable::Entry) <= 60);

TEST_GROUP(TimeWaitTable) {
  const SipHashKey key{1, 2};
  const MonotonicTime start{100s};
  static TimeWaitTable::Entry entry_of(const Flow& flow, std::uint32_t send_next = 0) {
    TimeWaitTable::Entry entry;
    entry.flow = flow;
    entry.send_next = {send_next};
    return entry;
  }
};

TEST(TimeWaitTable, AnEntryLeavesAfterItsDuration) {
  TimeWaitTable table(4, key, 60s);
  CHECK_FALSE(table.next_deadline().has_value());
  table.insert(entry_of(flow_v4(1), 5), start);
  LONGS_EQUAL(5, table.find(flow_v4(1))->send_next.value);
  CHECK_TRUE(table.find(flow_v4(2)) == nullptr);
  CHECK_TRUE(*table.next_deadline() == start + 60s);
  LONGS_EQUAL(0, table.advance(start + 60s - 1ns, 10));
  LONGS_EQUAL(1, table.advance(start + 60s, 10));
  CHECK_TRUE(table.find(flow_v4(1)) == nullptr);
  LONGS_EQUAL(0, table.size());
}

TEST(TimeWaitTable, AFinAgainRestartsTheWait) {
  TimeWaitTable table(4, key, 60s);
  table.insert(entry_of(flow_v4(1)), start);
  table.insert(entry_of(flow_v4(2)), start + 1s);
  table.restart(*table.find(flow_v4(1)), start + 50s);
  LONGS_EQUAL(1, table.advance(start + 109s, 10));
  CHECK_TRUE(table.find(flow_v4(1)) != nullptr);
  CHECK_TRUE(*table.next_deadline() == start + 110s);
}

TEST(TimeWaitTable, WhenFullTheOldestLeavesAndIsCounted) {
  constexpr std::uint32_t kCapacity = 1000;
  TimeWaitTable table(kCapacity, key, 60s);
  for (std::uint32_t number = 0; number < 5 * kCapacity; ++number) {
    table.insert(entry_of(flow_v6(number), number), start + std::chrono::milliseconds(number));
  }
  LONGS_EQUAL(kCapacity, table.size());
  LONGS_EQUAL(4 * kCapacity, table.evictions());
  for (std::uint32_t number = 0; number < 5 * kCapacity; ++number) {
    CHECK_EQUAL(number >= 4 * kCapacity, table.find(flow_v6(number)) != nullptr);
  }
}

TEST(TimeWaitTable, TheSameFlowAgainReplacesItsEntryAndEvictsNone) {
  TimeWaitTable table(2, key, 60s);
  table.insert(entry_of(flow_v4(1), 1), start);
  table.insert(entry_of(flow_v4(2), 2), start);
  table.insert(entry_of(flow_v4(1), 3), start + 1s);
  LONGS_EQUAL(2, table.size());
  LONGS_EQUAL(0, table.evictions());
  LONGS_EQUAL(3, table.find(flow_v4(1))->send_next.value);
  LONGS_EQUAL(1, table.advance(start + 60s, 10));
  CHECK_TRUE(table.find(flow_v4(1)) != nullptr);
}

TEST(TimeWaitTable, FlowsOfTheSameTagAreToldApart) {
  const auto [one, two] = colliding_flows(derive_key(key, "time wait"));
  TimeWaitTable table(2, key, 60s);
  table.insert(entry_of(one, 1), start);
  CHECK_TRUE(table.find(two) == nullptr);
  table.insert(entry_of(two, 2), start);
  LONGS_EQUAL(2, table.size());
  table.erase(*table.find(one));
  CHECK_TRUE(table.find(one) == nullptr);
  LONGS_EQUAL(2, table.find(two)->send_next.value);
}

TEST(TimeWaitTable, WorkIsBoundedByTheBudget) {
  TimeWaitTable table(100, key, 60s);
  for (std::uint32_t number = 0; number < 100; ++number) {
    table.insert(entry_of(flow_v4(number)), start);
  }
  LONGS_EQUAL(0, table.advance(start + 60s, 0));
  LONGS_EQUAL(30, table.advance(start + 60s, 30));
  LONGS_EQUAL(70, table.advance(start + 60s, 300));
}

TEST(TimeWaitTable, BehavesLikeAListInOrderOfAge) {
  struct Model {
    std::uint32_t number;
    std::uint32_t mark;
    MonotonicTime deadline;
  };
  constexpr std::size_t kCapacity = 64;
  for (const std::uint64_t seed : {1u, 2u}) {
    TimeWaitTable table(kCapacity, SipHashKey{seed, 3}, 10s);
    std::list<Model> model;
    std::uint64_t evictions = 0;
    std::mt19937_64 random(seed);
    MonotonicTime now = start;
    for (std::uint32_t operation = 0; operation < 100'000; ++operation) {
      const auto number = static_cast<std::uint32_t>(random() % 150);
      auto known = std::find_if(model.begin(), model.end(),
                                [&](const Model& each) { return each.number == number; });
      TimeWaitTable::Entry* entry = table.find(flow_v4(number));
      CHECK_EQUAL(known != model.end(), entry != nullptr);
      if (entry != nullptr) LONGS_EQUAL(known->mark, entry->send_next.value);
      switch (random() % 6) {
        case 0:
          if (entry != nullptr) {
            table.erase(*entry);
            model.erase(known);
          }
          break;
        case 1:
          if (entry != nullptr) {
            table.restart(*entry, now);
            known->deadline = now + 10s;
            model.splice(model.end(), model, known);
          }
          break;
        case 2: {
          now += std::chrono::milliseconds(random() % 1500);
          std::size_t due = 0;
          for (; !model.empty() && model.front().deadline <= now; ++due) model.pop_front();
          LONGS_EQUAL(due, table.advance(now, kCapacity));
          break;
        }
        default:
          if (known != model.end()) {
            model.erase(known);
          } else if (model.size() == kCapacity) {
            model.pop_front();
            ++evictions;
          }
          table.insert(entry_of(flow_v4(number), operation), now);
          model.push_back({number, operation, now + 10s});
      }
      LONGS_EQUAL(model.size(), table.size());
      LONGS_EQUAL(evictions, table.evictions());
      CHECK_EQUAL(!model.empty(), table.next_deadline().has_value());
      if (!model.empty()) CHECK_TRUE(model.front().deadline == *table.next_deadline());
    }
    CHECK_TRUE(evictions > 0);
  }
}

// RFC 6191 section 2, case by case.
TEST_GROUP(TimeWaitReuse) {
  TimeWaitTable::Entry entry;
  Header syn;

  void setup() override {
    entry.receive_next = {1000};
    entry.send_next = {5000};
    entry.recent_timestamp = 0xfffffff0;
    entry.timestamps = true;
    syn.flags.syn = true;
    syn.sequence = {1000};
  }
  bool with(std::uint32_t sequence, std::optional<std::uint32_t> timestamp) {
    syn.sequence = {sequence};
    syn.options.timestamps.reset();
    if (timestamp) syn.options.timestamps = Timestamps{.value = *timestamp, .echo = 0};
    return may_reuse(entry, syn);
  }
};

TEST(TimeWaitReuse, ANewerTimestampIsEnoughEvenAcrossItsWrap) {
  CHECK_TRUE(with(1, 0xfffffff1));
  CHECK_TRUE(with(1, 5));
}

TEST(TimeWaitReuse, AnOlderTimestampIsRefusedWhateverTheSequenceNumber) {
  CHECK_FALSE(with(1, 0xffffffef));
  CHECK_FALSE(with(500'000, 0xffffffef));
}

TEST(TimeWaitReuse, AnEqualTimestampLeavesItToTheSequenceNumber) {
  CHECK_FALSE(with(999, 0xfffffff0));
  CHECK_TRUE(with(1000, 0xfffffff0));
}

TEST(TimeWaitReuse, WithoutTimestampsTheSequenceNumberMustBeBeyond) {
  for (const bool had : {false, true}) {
    entry.timestamps = had;
    CHECK_FALSE(with(999, std::nullopt));
    CHECK_TRUE(with(1000, std::nullopt));
    CHECK_TRUE(with(1000u + 0x7fffffffu, std::nullopt));
    CHECK_FALSE(with(1000u + 0x80000000u, std::nullopt));
  }
}

TEST(TimeWaitReuse, TimestampsWhereThereWereNoneAreOfANewConnection) {
  entry.timestamps = false;
  CHECK_TRUE(with(1, 0));
}

TEST(TimeWaitReuse, OnlyABareSynCounts) {
  CHECK_TRUE(with(2000, std::nullopt));
  syn.flags.rst = true;
  CHECK_FALSE(may_reuse(entry, syn));
  syn.flags = {.syn = true, .ack = true};
  CHECK_FALSE(may_reuse(entry, syn));
  syn.flags = {.fin = true, .syn = true};
  CHECK_FALSE(may_reuse(entry, syn));
  syn.flags = {};
  CHECK_FALSE(may_reuse(entry, syn));
}

TEST(TimeWaitReuse, OurSequenceNumberStartsBeyondTheLastConnections) {
  LONGS_EQUAL(5000 + 65536, initial_for_reuse(entry, {4000}).value);
  LONGS_EQUAL(5000 + 65536, initial_for_reuse(entry, {5001}).value);
  LONGS_EQUAL(100'000, initial_for_reuse(entry, {100'000}).value);
  entry.send_next = {0xffffffff};
  LONGS_EQUAL(65535, initial_for_reuse(entry, {0xfffffffe}).value);
  LONGS_EQUAL(65540, initial_for_reuse(entry, {65540}).value);
}
