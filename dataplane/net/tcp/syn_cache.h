// SynCache: connections whose SYN came and whose handshake is not done (SYN-RECEIVED, RFC 9293
// 3.3.2), in a small fixed record each instead of a whole connection (RFC 4987 3.5).
//
// Invariant: an entry leaves 15 seconds after it came at the latest, whoever keeps sending SYNs for
// it: the SYN-ACK is sent again after 1, 2 and 4 seconds (RFC 6298 2.1 and 5.5: the first time-out
// is one second, each next is double), and 8 seconds after that the entry expires. One queue for
// each of the four waits, so each queue's front is the next of it and no timers are needed. When
// the cache is full there is no eviction: a flood would evict the honest; the caller answers with
// cookies (syn_cookie.h) until there is room again. Not synchronised.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/tcp/handshake.h"
#include "dataplane/net/tcp/keyed_slots.h"
#include "dataplane/net/tcp/output.h"

namespace nearfield::net::tcp {

class SynCache {
 public:
  struct Entry {
    Flow flow;
    PeerOffer peer;
    SequenceNumber initial;              // ours
    std::uint32_t timestamp_offset = 0;  // InitialSequence::timestamp_offset() of the flow
    std::uint32_t peer_timestamp = 0;    // to echo: the TSval of the peer's last SYN
    MonotonicTime sent_at{};             // the last SYN-ACK
    std::uint8_t retransmissions = 0;    // of the SYN-ACK; not 0: no round trip sample (RFC 6298 3)
    std::uint8_t listener = 0;           // the caller's
    bool ecn_agreed = false;             // the caller's: our SYN-ACK carried ECE (RFC 3168 6.1.1)
  };

  static constexpr std::array<Duration, 4> kWaits{std::chrono::seconds(1), std::chrono::seconds(2),
                                                  std::chrono::seconds(4), std::chrono::seconds(8)};

  // 1 to 2^30 entries; see the test for the bytes of one.
  SynCache(std::size_t capacity, const SipHashKey& secret);

  Entry* find(const Flow& flow);

  // An entry with `flow` and `sent_at` set, the rest the caller's to fill in; its SYN-ACK counts as
  // sent at `now`. The flow must not be there yet. Null: full. The pointer is good until erase() or
  // until advance() expires the entry.
  Entry* insert(const Flow& flow, MonotonicTime now);

  void erase(Entry& entry);

  // The SYN-ACK was sent again because the peer's SYN came again. Moves the entry on to the next
  // wait; the last one begins anew, for the ACK to find it (repeating a SYN costs a stranger as
  // much as sending another).
  void resent(Entry& entry, MonotonicTime now);

  // When advance() next has something to do.
  std::optional<MonotonicTime> next_deadline() const;

  // Does what is due: `resend(Entry&)` is to send the SYN-ACK again (the entry then counts as
  // resent at `now`; a device without room is a packet lost, so that a full ring cannot keep
  // entries); `expire(Entry&)` tells of one about to be erased. Neither may call insert() or
  // erase(). At most `budget` entries; returns how many.
  template <typename Resend, typename Expire>
  std::size_t advance(MonotonicTime now, std::size_t budget, Resend&& resend, Expire&& expire) {
    std::size_t done = 0;
    for (std::size_t level = kWaits.size(); level-- > 0;) {  // expire first: it makes room
      while (done < budget) {
        Slot* slot = slots_.front(queues_[level]);
        if (slot == nullptr || slot->deadline > now) break;
        ++done;
        if (level + 1 == kWaits.size()) {
          expire(static_cast<Entry&>(*slot));
          erase(*slot);
        } else {
          resend(static_cast<Entry&>(*slot));
          resent(*slot, now);
        }
      }
    }
    return done;
  }

  std::size_t size() const { return slots_.size(); }
  std::size_t capacity() const { return slots_.capacity(); }

 private:
  struct Slot : Entry, SlotLinks {
    MonotonicTime deadline{};
    std::uint8_t level = 0;
  };

  SipHashKey key_;
  KeyedSlots<Slot> slots_;
  std::array<SlotQueue, kWaits.size()> queues_{};
};

}  // namespace nearfield::net::tcp
