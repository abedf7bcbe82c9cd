// See ghost_list.h.
#include "cache/policy/ghost_list.h"

#include <bit>

#include "cache/base/assert.h"

namespace nearfield::cache {

GhostList::GhostList(std::uint64_t entries)
    : nodes_(entries), heads_(std::bit_ceil(entries), kNone), mask_(heads_.size() - 1) {
  NEARFIELD_ASSERT(entries >= 1 && entries <= (std::uint64_t{1} << 31));
}

std::uint32_t GhostList::find(std::uint64_t name_hash) const {
  std::uint32_t index = heads_[name_hash & mask_];
  while (index != kNone && nodes_[index].name_hash != name_hash)
    index = nodes_[index].next_in_bucket;
  return index;
}

void GhostList::push_newest(unsigned list, std::uint64_t name_hash, std::uint64_t size_bytes) {
  take(name_hash);
  if (free_ == kNone && never_used_ == nodes_.size()) {
    drop_oldest(lists_[0].size >= lists_[1].size ? 0 : 1);
  }
  std::uint32_t index = free_;
  if (index != kNone) {
    free_ = nodes_[index].older;
  } else {
    index = never_used_++;
  }
  List& to = lists_[list];
  std::uint32_t& head = heads_[name_hash & mask_];
  Node& node = nodes_[index];
  node.name_hash = name_hash;
  node.list = list & 1;
  node.size_bytes = size_bytes & (~std::uint64_t{0} >> 1);
  node.newer = kNone;
  node.older = to.newest;
  node.next_in_bucket = head;
  head = index;
  (to.newest != kNone ? nodes_[to.newest].newer : to.oldest) = index;
  to.newest = index;
  to.bytes += node.size_bytes;
  ++to.size;
}

void GhostList::drop_oldest(unsigned list) {
  if (lists_[list].oldest != kNone) remove(lists_[list].oldest);
}

std::optional<unsigned> GhostList::take(std::uint64_t name_hash) {
  const std::uint32_t index = find(name_hash);
  if (index == kNone) return std::nullopt;
  const unsigned list = nodes_[index].list;
  remove(index);
  return list;
}

void GhostList::remove(std::uint32_t index) {
  Node& node = nodes_[index];
  std::uint32_t* link = &heads_[node.name_hash & mask_];
  while (*link != index) link = &nodes_[*link].next_in_bucket;
  *link = node.next_in_bucket;
  List& from = lists_[node.list];
  (node.newer != kNone ? nodes_[node.newer].older : from.newest) = node.older;
  (node.older != kNone ? nodes_[node.older].newer : from.oldest) = node.newer;
  from.bytes -= node.size_bytes;
  --from.size;
  node.older = free_;
  free_ = index;
}

}  // namespace nearfield::cache
