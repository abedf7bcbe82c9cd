// GhostList: names of entries that left and their sizes, in the order they left, in exactly the
// room given at construction.
//
// Two lists share one pool of nodes and one hash index, as ARC needs: a name is in at most one of
// them. When the pool is empty the oldest name of the longer list makes room. All operations are
// O(1) on average and allocate nothing after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/policy/huge_page_allocator.h"

namespace nearfield::cache {

class GhostList {
 public:
  static constexpr unsigned kLists = 2;

  // Room for `entries` names, both lists together; at most 2^31.
  explicit GhostList(std::uint64_t entries);

  // Adds a name as the newest of `list` (0 or 1); a name that is in either list leaves it first.
  void push_newest(unsigned list, std::uint64_t name_hash, std::uint64_t size_bytes);
  void drop_oldest(unsigned list);

  // Forgets `name_hash` and says which list it was in.
  std::optional<unsigned> take(std::uint64_t name_hash);

  void prefetch(std::uint64_t name_hash) const {
    __builtin_prefetch(&heads_[name_hash & mask_], 1);
  }

  std::uint64_t bytes_of(unsigned list) const { return lists_[list].bytes; }
  std::uint64_t size_of(unsigned list) const { return lists_[list].size; }
  std::uint64_t table_bytes() const {
    return nodes_.size() * sizeof(Node) + heads_.size() * sizeof(std::uint32_t);
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Node {
    std::uint64_t name_hash = 0;
    std::uint64_t list : 1 = 0;
    std::uint64_t size_bytes : 63 = 0;
    std::uint32_t newer = kNone;
    std::uint32_t older = kNone;
    std::uint32_t next_in_bucket = kNone;
  };
  struct List {
    std::uint32_t newest = kNone;
    std::uint32_t oldest = kNone;
    std::uint64_t bytes = 0;
    std::uint64_t size = 0;
  };

  std::uint32_t find(std::uint64_t name_hash) const;
  void remove(std::uint32_t index);

  std::vector<Node, HugePageAllocator<Node>> nodes_;
  std::vector<std::uint32_t, HugePageAllocator<std::uint32_t>> heads_;  // of the hash index
  std::uint64_t mask_;
  List lists_[kLists];
  std::uint32_t free_ = kNone;  // chained by `older`
  std::uint32_t never_used_ = 0;
};

}  // namespace nearfield::cache
