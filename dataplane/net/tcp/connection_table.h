// ConnectionTable: whose segment is it: from a flow to the number of its connection.
//
// Invariant: a flow is there at most once; numbers are below the capacity and belong to one flow at
// a time. The awkward part is what a lookup costs, as each segment pays for one: a hash of 12 or 36
// bytes, one cache line of 8-byte buckets (index_table.h) and the flow, which is kept here (36
// bytes at the connection's number) so that segments of strangers never drag connections into the
// cache. Segments come in trains (acknowledgments of a burst), so the last one's connection is
// tried first (Jain 1990; McKenney and Dove 1992 on when that helps). 52 to 68 bytes a connection,
// allocated in the constructor. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cache/base/siphash.h"
#include "dataplane/net/tcp/flow_hash.h"
#include "dataplane/net/tcp/index_table.h"
#include "dataplane/net/tcp/output.h"

namespace nearfield::net::tcp {

class ConnectionTable {
 public:
  static constexpr std::uint32_t kNone = IndexTable::kNone;

  // 1 to 2^30 connections.
  ConnectionTable(std::size_t capacity, const SipHashKey& secret);

  // The connection's number, or kNone.
  std::uint32_t find(const Flow& flow) const;

  // find() in two steps for many flows at once: the first fetches what the second looks at.
  std::uint64_t foresee(const Flow& flow) const {
    const std::uint64_t hash = hash_flow(key_, flow);
    index_.prefetch(hash);
    return hash;
  }
  // `hash`: what foresee() gave.
  std::uint32_t find(const Flow& flow, std::uint64_t hash) const;

  // `index`: below the capacity and not in use. False: the flow is already there.
  bool insert(const Flow& flow, std::uint32_t index);

  // Nothing happens when the flow is not there.
  void erase(const Flow& flow);

  std::size_t size() const { return index_.size(); }
  std::size_t capacity() const { return index_.capacity(); }

 private:
  SipHashKey key_;
  IndexTable index_;
  std::vector<Flow> flows_;                   // by connection number; what is not in use is stale
  mutable std::uint32_t last_found_ = kNone;  // in use
};

}  // namespace nearfield::net::tcp
