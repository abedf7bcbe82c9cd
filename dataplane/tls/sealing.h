// Sealing: the sending direction of one connection while it owes its peer something: the keys ready
// for use, how the clear text is cut into records, and the record made last. Pooled by the worker,
// because idle connections are many and need none of it.
//
// Invariant: a record is made of the same clear text with the same key and number each time it is
// asked for (record_layout.h, nonce_guard.h). Two generations of keys exist at a time: no KeyUpdate
// of ours follows another before all records of the generation before it are released.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/net/send_plan.h"
#include "dataplane/net/staging.h"
#include "dataplane/tls/aead.h"
#include "dataplane/tls/nonce_guard.h"
#include "dataplane/tls/record_layout.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

class Sealing {
 public:
  Sealing() = default;
  Sealing(const Sealing&) = delete;
  Sealing& operator=(const Sealing&) = delete;

  // For a connection whose next record is keys.next_sequence of `generation`.
  void begin(const AeadEngine& engine, Version version, Aead aead, const TrafficKeys& keys,
             std::uint32_t generation);
  // What comes now is sealed with these; layout().oldest_generation() is the present one.
  void change_keys(const TrafficKeys& keys, std::uint32_t generation);

  RecordLayout& layout() { return layout_; }
  const RecordLayout& layout() const { return layout_; }

  // As PlanSource::peek(). `clear` begins with the first byte not released.
  std::size_t peek(const net::SendPlan& clear, net::Staging& staging, std::uint64_t offset,
                   std::uint64_t maximum_bytes, std::span<iovec> vectors,
                   std::uint64_t* covered_bytes);
  // Returns how much application data is released by it.
  std::uint64_t release(std::uint64_t sealed_bytes);
  // Nothing is owed any more; forgets the keys.
  void end();

 private:
  struct Keys {
    std::uint32_t generation = 0;
    std::array<std::byte, kNonceBytes> iv{};
    ExpandedKey expanded;
    std::optional<NonceGuard> guard;
  };
  Keys& keys_of(std::uint32_t generation) { return keys_[generation & 1]; }
  std::span<const std::byte> made(const RecordLayout::Record& record, const net::SendPlan& clear,
                                  net::Staging& staging);

  const AeadEngine* engine_ = nullptr;
  Version version_{};
  Aead aead_{};
  RecordLayout layout_;
  std::uint64_t made_sequence_ = 0;
  std::uint32_t made_generation_ = 0;
  net::Staging::Piece made_{};  // number 0: none
  Keys keys_[2];
};

}  // namespace nearfield::tls
