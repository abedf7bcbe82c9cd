// SealedPlan: what a TLS connection owes its peer, sealed when the transport asks for it: the
// sending half of tls::SecureStream without a handshake, for measuring what records cost.
//
// As there, the keys of a connection are expanded when it begins to owe something and forgotten
// when it owes nothing, in a Sealing of a pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cache/base/ref.h"
#include "cache/blob.h"
#include "dataplane/net/send_plan.h"
#include "dataplane/net/stream.h"
#include "dataplane/tls/aead.h"
#include "dataplane/tls/sealing.h"

namespace nearfield::bench {

class SealingPool {
 public:
  SealingPool() : engine_(tls::AeadEngine::choose(nullptr)) {}

  const tls::AeadEngine& engine() const { return engine_; }
  std::unique_ptr<tls::Sealing> lend();
  void give_back(std::unique_ptr<tls::Sealing> sealing);

 private:
  const tls::AeadEngine& engine_;
  std::vector<std::unique_ptr<tls::Sealing>> idle_;
};

class SealedPlan final : public net::PlanSource {
 public:
  static constexpr tls::Version kVersion = tls::Version::tls13;
  static constexpr tls::Aead kAead = tls::Aead::aes_128_gcm;

  // On the wire, of an answer of this many bytes: whole records of its own.
  static std::uint64_t sealed_bytes(std::uint64_t clear_bytes);

  // `number`: no other connection's; the key is made of it. Both outlive this.
  void open(net::Stream& stream, SealingPool& pool, std::uint64_t number);

  bool has_room(const net::SendPlan& plan) const;
  // Promises an answer in `plan`; asks has_room() first.
  void append(net::SendPlan& plan, std::string_view head, const Ref<cache::Blob>& content);

  // --- PlanSource ---
  std::size_t peek(std::uint64_t offset, std::uint64_t maximum_bytes, std::span<iovec> vectors,
                   std::uint64_t* covered_bytes) override;
  void release(std::uint64_t bytes) override;

 private:
  net::Stream* stream_ = nullptr;
  SealingPool* pool_ = nullptr;
  tls::TrafficKeys keys_;
  std::unique_ptr<tls::Sealing> sealing_;  // while something is owed
  net::SendPlan clear_;
};

}  // namespace nearfield::bench
