// The index holds numbers, the array beside it the flows they are compared by.
#include "dataplane/net/tcp/connection_table.h"

#include "cache/base/assert.h"

namespace nearfield::net::tcp {

ConnectionTable::ConnectionTable(std::size_t capacity, const SipHashKey& secret)
    : key_(derive_key(secret, "connection table")), index_(capacity), flows_(capacity) {}

std::uint32_t ConnectionTable::find(const Flow& flow) const {
  if (last_found_ != kNone && flows_[last_found_] == flow) return last_found_;
  const std::uint32_t found = find(flow, hash_flow(key_, flow));
  if (found != kNone) last_found_ = found;
  return found;
}

std::uint32_t ConnectionTable::find(const Flow& flow, std::uint64_t hash) const {
  return index_.find(hash, [&](std::uint32_t index) { return flows_[index] == flow; });
}

bool ConnectionTable::insert(const Flow& flow, std::uint32_t index) {
  NEARFIELD_ASSERT(index < flows_.size());
  if (find(flow) != kNone) return false;
  index_.insert(hash_flow(key_, flow), index);
  flows_[index] = flow;
  return true;
}

void ConnectionTable::erase(const Flow& flow) {
  const std::uint32_t index = find(flow);
  if (index == kNone) return;
  index_.remove(hash_flow(key_, flow), index);
  last_found_ = kNone;
}

}  // namespace nearfield::net::tcp
