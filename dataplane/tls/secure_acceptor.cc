// See secure_acceptor.h.
#include "dataplane/tls/secure_acceptor.h"

#include <optional>
#include <utility>

#include "cache/base/assert.h"
#include "cache/base/take_out.h"

namespace nearfield::tls {

struct SecureAcceptor::Entry {
  Entry(SecureAcceptor& owner, net::Stream& transport, net::PrefixLimiter::Slot counted)
      : slot(std::move(counted)),
        stream(owner.context_, owner, transport, owner.settings_, owner.limits_.hello_timeout,
               owner.limits_.timeout) {}

  net::PrefixLimiter::Slot slot;
  bool is_handshaking = true;
  std::optional<std::list<Entry*>::iterator> silent;  // its place among those
  SecureStream stream;
};

bool HandshakeTally::take(std::uint32_t maximum) {
  std::uint32_t taken = total.load(std::memory_order_relaxed);
  while (taken < maximum) {
    if (total.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

SecureAcceptor::SecureAcceptor(SecureContext& context, HandshakeTally& tally, net::Acceptor& above,
                               std::shared_ptr<const ServerSettings> settings,
                               const HandshakeLimits& limits)
    : context_(context),
      tally_(tally),
      above_(above),
      settings_(std::move(settings)),
      limits_(limits) {}

SecureAcceptor::~SecureAcceptor() { NEARFIELD_ASSERT(streams_.empty()); }

void SecureAcceptor::apply(std::shared_ptr<const ServerSettings> settings,
                           const HandshakeLimits& limits) {
  settings_ = std::move(settings);
  limits_ = limits;
}

net::StreamHandler* SecureAcceptor::on_accept(net::Stream& stream) {
  SecureCounters& counters = context_.counters;
  // First: whom its own prefix keeps out takes nobody's place.
  net::PrefixLimiter::Slot slot;
  const net::Address prefix =
      stream.peer().address.truncated(limits_.prefix_v4_bits, limits_.prefix_v6_bits);
  if (!tally_.prefixes.take(prefix, limits_.per_prefix, slot)) {
    count(counters.handshakes_refused_prefix);
    return nullptr;
  }
  if (!tally_.take(limits_.total) && !(make_room() && tally_.take(limits_.total))) {
    count(counters.handshakes_refused_total);
    return nullptr;
  }
  count(counters.handshakes_begun);
  ++handshakes_;
  auto entry = std::make_unique<Entry>(*this, stream, std::move(slot));
  SecureStream& accepted = entry->stream;
  accepted.index = streams_.size();
  entry->silent = silent_.insert(silent_.end(), entry.get());
  streams_.push_back(std::move(entry));
  counters.connections_open.store(streams_.size(), std::memory_order_relaxed);
  return &accepted;
}

// A connection that says nothing gives its place to one that may.
bool SecureAcceptor::make_room() {
  if (silent_.empty()) return false;
  Entry& oldest = *silent_.front();
  count(context_.counters.handshakes_evicted);
  handshake_over(oldest);
  oldest.stream.abort();
  return true;
}

void SecureAcceptor::on_hello(SecureStream& stream) {
  Entry& entry = *streams_[stream.index];
  if (entry.silent) silent_.erase(*std::exchange(entry.silent, std::nullopt));
}

void SecureAcceptor::handshake_over(Entry& entry) {
  on_hello(entry.stream);
  if (!std::exchange(entry.is_handshaking, false)) return;
  entry.slot = {};
  --handshakes_;
  tally_.total.fetch_sub(1, std::memory_order_relaxed);
}

net::StreamHandler* SecureAcceptor::on_secured(SecureStream& stream) {
  count(context_.counters.handshakes_finished);
  if (stream.security()->resumed) count(context_.counters.handshakes_resumed);
  handshake_over(*streams_[stream.index]);
  return above_.on_accept(stream);
}

void SecureAcceptor::on_handshake_failed(SecureStream& stream) {
  count(context_.counters.handshakes_failed);
  handshake_over(*streams_[stream.index]);
}

void SecureAcceptor::on_secure_ended(SecureStream& stream) {
  NEARFIELD_ASSERT(&streams_[stream.index]->stream == &stream);
  const auto ended = take_out(streams_, stream.index,
                              [](Entry& moved, std::size_t index) { moved.stream.index = index; });
  context_.counters.connections_open.store(streams_.size(), std::memory_order_relaxed);
}

void SecureAcceptor::abort_handshakes() {
  for (const auto& entry : streams_) {
    if (entry->is_handshaking) entry->stream.abort();
  }
}

}  // namespace nearfield::tls
