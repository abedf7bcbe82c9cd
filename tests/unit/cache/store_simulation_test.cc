// Random lives of a store from a seed, under every policy: names with variants, bodies that grow
// with gaps, readers, evictions, purges, pins. Against a model that knows what each object was
// given. The store may forget anything that is not pinned or growing, but what it finds must be
// what was put there, its bounds must hold after every step, and in the end nothing may be left.
#include <algorithm>
#include <format>
#include <map>

#include "cache/policy/policy.h"
#include "cache/store.h"
#include "tests/unit/cache/cache_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;
using namespace nearfield::cache::test;

namespace {

struct Given {  // what an object was given when it was inserted
  std::string name;
  std::uint64_t content;
  std::uint64_t bytes;
};

struct Fill {
  Ref<Blob> blob;
  Ref<Object> object;
  std::uint64_t id;
};

struct Listener {
  BlobReader reader;
  std::uint64_t content;
  std::uint64_t offset;
};

class Life {
 public:
  Life(std::uint64_t seed, std::string_view policy)
      : random_(seed),
        store_(std::move(Store::create({.arena = {.bytes = 1 << 20, .want_hugepages = false},
                                        .index_bytes = 1 << 20,
                                        .policy = std::string(policy),
                                        .maximum_object_bytes = 100000,
                                        .streaming_window_bytes = 2 * kBlockBytes,
                                        .hash_key = SipHashKey{seed, seed}})
                             .value())) {}

  void run() {
    for (int step = 0; step < 3000; ++step) {
      const std::uint64_t choice = random_.below(100);
      if (choice < 15) {
        start_fill();
      } else if (choice < 55) {
        advance_fill();
      } else if (choice < 75) {
        look_up();
      } else if (choice < 92) {
        listen();
      } else if (choice < 94) {
        purge();
      } else if (choice < 97) {
        pin();
      } else {
        change_metadata();
      }
      check_bounds();
    }
    const auto counted = store_->statistics();
    CHECK_TRUE(counted.evictions > 20 && counted.shared_bytes + counted.purged > 0);
    listeners_.clear();
    for (Fill& fill : fills_) store_->remove(fill.object);
    fills_.clear();
    store_->purge_prefix("");
    const auto left = store_->statistics();
    UNSIGNED_LONGS_EQUAL(0, left.objects + left.growing + left.blobs);
    UNSIGNED_LONGS_EQUAL(
        0, left.arena_used_bytes + left.stored_bytes + left.shared_bytes + left.pinned_bytes);
  }

 private:
  // Few names and contents, so that variants and equal bodies are common. The length follows from
  // the content.
  std::string some_name() { return std::format("/{}/{}", random_.below(4), random_.below(30)); }
  static std::uint64_t length_of(std::uint64_t content) {
    return content % 5 == 0 ? 0 : content * content * content % 98000;
  }

  void start_fill() {
    if (fills_.size() >= 6) return;
    const std::uint64_t content = random_.below(60);
    const std::uint64_t bytes = length_of(content);
    const std::uint64_t id = next_id_++;
    auto blob = store_->make_blob(Blob::Kind::kept,
                                  random_.one_in(2) ? std::optional(bytes) : std::nullopt);
    const std::string name = some_name();
    Selector replaces;
    if (random_.one_in(2))
      replaces = [](const Metadata& metadata) { return id_of(metadata) % 2 == 0; };
    const auto inserted =
        store_->insert(name, make_ref<TestMetadata>(id, 200 + random_.below(2000)), blob, replaces);
    if (!inserted) return;
    if (replaces) {
      for (const Found& one : store_->find_all(name)) {
        CHECK_TRUE(one.object == inserted->object || id_of(*one.metadata) % 2 != 0);
      }
    }
    given_[id] = {name, content, bytes};
    fills_.push_back({blob, inserted->object, id});
  }

  void advance_fill() {
    if (fills_.empty()) return;
    const std::size_t which = random_.below(fills_.size());
    Fill& fill = fills_[which];
    const Given& given = given_[fill.id];
    if (random_.one_in(200)) {
      fill.blob->break_off();
      store_->remove(fill.object);
      forget(which);
      return;
    }
    const auto gap = fill.blob->first_gap(random_.one_in(3) ? random_.below(given.bytes + 1) : 0);
    if (gap && gap->begin < given.bytes) {
      const std::uint64_t end = std::min(gap->end.value_or(given.bytes), given.bytes);
      const std::uint64_t count =
          random_.one_in(2) ? end - gap->begin : 1 + random_.below(end - gap->begin);
      const std::size_t taken =
          fill.blob->write(gap->begin, bytes_of(given.content, gap->begin, count));
      if (taken < count && fill.blob->kind() == Blob::Kind::kept) {
        fill.blob->stop_keeping();  // starved: as a fill does
        store_->remove(fill.object);
        forget(which);
      }
      return;
    }
    const auto first = fill.blob->first_gap(0);
    if (first && first->begin < given.bytes) return;
    fill.blob->complete();
    if (random_.one_in(4)) store_->settle(fill.object);  // before its digest is known
    while (!fill.blob->advance_digest(50000)) {
    }
    store_->settle(fill.object);
    forget(which);
  }

  void forget(std::size_t which) {
    fills_[which] = std::move(fills_.back());
    fills_.pop_back();
  }

  void look_up() {
    const std::string name = some_name();
    const std::vector<Found> all = store_->find_all(name);
    CHECK_TRUE(all.size() <= Store::kMaximumVariants);
    for (const Found& found : all) {
      const Given& given = given_.at(id_of(*found.metadata));
      CHECK_TRUE(given.name == name);
      if (found.blob->state() == Blob::State::complete) {
        UNSIGNED_LONGS_EQUAL(given.bytes, found.blob->total_bytes().value());
      }
    }
    const auto found = store_->find(name, {}, true);
    CHECK_TRUE(found.has_value() == !all.empty());
    if (!found) return;
    CHECK_TRUE(found->object == all.front().object);
    const Given& given = given_.at(id_of(*found->metadata));
    if (listeners_.size() < 5) {
      const std::uint64_t offset = random_.below(given.bytes + 1);
      BlobReader reader(found->blob, offset);
      CHECK_FALSE(reader.too_late());
      listeners_.push_back({std::move(reader), given.content, offset});
    }
  }

  void listen() {
    if (listeners_.empty()) return;
    const std::size_t which = random_.below(listeners_.size());
    Listener& one = listeners_[which];
    const std::uint64_t readable = one.reader.blob().readable_from(one.offset);
    if (readable > 0) {
      const std::uint64_t piece = 1 + random_.below(readable);
      CHECK_TRUE(read(one.reader.blob(), one.offset, piece) ==
                 bytes_of(one.content, one.offset, piece));
      one.offset += piece;
      one.reader.release_before(one.offset);
    } else if (one.reader.blob().state() != Blob::State::growing || random_.one_in(10)) {
      listeners_[which] = std::move(listeners_.back());
      listeners_.pop_back();
    }
  }

  void purge() {
    if (random_.one_in(20)) {
      const std::string prefix = std::format("/{}/{}", random_.below(4), random_.below(4));
      store_->purge_prefix(prefix);
      for (int i = 0; i < 30; ++i) {
        const std::string name = prefix.substr(0, 3) + std::to_string(i);
        if (name.starts_with(prefix)) CHECK_TRUE(store_->find_all(name).empty());
      }
    } else {
      const std::string name = some_name();
      UNSIGNED_LONGS_EQUAL(store_->find_all(name).size(), store_->purge(name));
      CHECK_TRUE(store_->find_all(name).empty());
    }
    std::erase_if(pinned_, [&](const Ref<Object>& object) { return !store_->contains(object); });
  }

  void pin() {
    // Pinned objects leave only by purge or replacement; the model forgets those that did.
    std::erase_if(pinned_, [&](const Ref<Object>& object) { return !store_->contains(object); });
    if (!pinned_.empty() && random_.one_in(2)) {
      CHECK_TRUE(store_->set_pinned(pinned_.back(), false));
      pinned_.pop_back();
      return;
    }
    const auto found = store_->find(some_name(), {}, false);
    if (found && store_->set_pinned(found->object, true) &&
        std::ranges::find(pinned_, found->object) == pinned_.end()) {
      pinned_.push_back(found->object);
    }
  }

  void change_metadata() {
    const auto found = store_->find(some_name(), {}, false);
    if (!found) return;
    const std::uint64_t id = next_id_++;
    given_[id] = given_.at(id_of(*found->metadata));
    if (store_->replace_metadata(found->object,
                                 make_ref<TestMetadata>(id, 200 + random_.below(3000)))) {
      CHECK_TRUE(store_->contains(found->object));
      for (Fill& fill : fills_) {
        if (fill.object == found->object) given_[fill.id] = given_[id];
      }
    } else {
      CHECK_FALSE(store_->contains(found->object));
    }
  }

  void check_bounds() {
    const auto now = store_->statistics();
    CHECK_TRUE(now.arena_used_bytes <= now.arena_capacity_bytes);
    CHECK_TRUE(now.index_used_bytes <= now.index_capacity_bytes);
    CHECK_TRUE(now.stored_bytes <= now.arena_used_bytes);
    CHECK_TRUE(now.blobs <= now.objects && now.growing <= now.objects);
  }

  Random random_;
  std::unique_ptr<Store> store_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Given> given_;  // by the id in the metadata
  std::vector<Fill> fills_;
  std::vector<Listener> listeners_;
  std::vector<Ref<Object>> pinned_;
};

}  // namespace

TEST_GROUP(StoreSimulation){};

TEST(StoreSimulation, RandomLivesMatchTheModelUnderEveryPolicy) {
  for (const std::string_view policy : policy_names()) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) Life(seed, policy).run();
  }
}
