// PrefixLimiter: how many connections each client prefix has, over all workers, in a table of fixed
// size.
//
// Invariant: what was counted in is counted out exactly once (Slot does it). The table has a bound:
// a prefix that finds no room is not limited (the total bound still holds), so that a flood of
// prefixes cannot lock others out. Thread-safe, sharded locks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "dataplane/net/endpoint.h"

namespace nearfield::net {

class PrefixLimiter {
 public:
  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kPrefixesPerShard = 16 * 1024;

  // Proof of one counted connection; gives it back on destruction.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept
        : limiter_(std::exchange(other.limiter_, nullptr)), prefix_(other.prefix_) {}
    Slot& operator=(Slot&& other) noexcept {
      if (this != &other) {
        release();
        limiter_ = std::exchange(other.limiter_, nullptr);
        prefix_ = other.prefix_;
      }
      return *this;
    }
    ~Slot() { release(); }

   private:
    friend class PrefixLimiter;
    void release();
    PrefixLimiter* limiter_ = nullptr;
    Address prefix_;
  };

  // `prefix` is already truncated. False when it has `maximum` connections; `slot` is filled when
  // it is counted.
  bool take(const Address& prefix, std::uint32_t maximum, Slot& slot);
  std::uint32_t connections(const Address& prefix) const;

 private:
  struct AddressHash {
    std::size_t operator()(const Address& address) const;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<Address, std::uint32_t, AddressHash> connections;
  };
  Shard& shard(const Address& prefix);
  const Shard& shard(const Address& prefix) const;

  std::array<Shard, kShards> shards_;
};

}  // namespace nearfield::net
