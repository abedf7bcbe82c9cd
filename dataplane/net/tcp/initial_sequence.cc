// Both values are halves of one hash of the flow, which no outsider sees whole.
#include "dataplane/net/tcp/initial_sequence.h"

#include "dataplane/net/tcp/flow_hash.h"

namespace nearfield::net::tcp {
namespace {

constexpr std::int64_t kTickNs = 4000;  // RFC 9293 3.4.1, RFC 6528 3: four microseconds

}  // namespace

InitialSequence::InitialSequence(const SipHashKey& secret)
    : key_(derive_key(secret, "initial sequence")) {}

SequenceNumber InitialSequence::make(const Flow& flow, MonotonicTime now) const {
  const auto clock = static_cast<std::uint32_t>(now.time_since_epoch().count() / kTickNs);
  return {clock + static_cast<std::uint32_t>(hash_flow(key_, flow))};
}

std::uint32_t InitialSequence::timestamp_offset(const Flow& flow) const {
  return static_cast<std::uint32_t>(hash_flow(key_, flow) >> 32);
}

std::uint32_t timestamp_now(MonotonicTime now) {
  return static_cast<std::uint32_t>(now.time_since_epoch() / std::chrono::milliseconds(1));
}

}  // namespace nearfield::net::tcp
