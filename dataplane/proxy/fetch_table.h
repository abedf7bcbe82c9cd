// FetchTicket and FetchTable: one fetch however many wait for it, across all workers.
//
// A ticket is what everyone who waits for a fetch sees of it: pending, then exactly one answer,
// which never changes. The table finds the ticket of a running fetch by its collapse key (cache key
// and, where the node knows it, the Vary key) and by the blob it fills, and remembers for a moment
// which names gave answers that may not be shared, so that those requests do not queue behind each
// other in vain. The awkward part: the fetch lives on one worker, its waiters on any; they meet
// only here, under short locks, and through signals.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/ref.h"
#include "cache/base/signal.h"
#include "cache/store.h"
#include "dataplane/http/range.h"
#include "dataplane/http/response_head.h"
#include "dataplane/origin/client.h"

namespace nearfield::proxy {

enum class FetchPhase : std::uint8_t {
  pending,   // no final head yet
  answered,  // there is a response, see FetchAnswer
  failed     // there is none
};

struct FetchAnswer {
  // The response: its head, its body (perhaps still growing) and, when it is in the store, its
  // object.
  cache::Found found;
  // The head for the request that started the fetch, where it differs from what is kept (fields
  // that must not be stored).
  Ref<const cache::Metadata> as_received;
  // A 206 with another range than was asked for: the starter gets it as it is, these bytes under
  // the head as received.
  std::optional<http::ByteRange> verbatim;
  // Others than the starter may use it. Otherwise they go to the origin themselves.
  bool shareable = false;
  // Every byte of the body will come (or the fetch breaks). False for a part that cannot be
  // completed for want of a strong validator.
  bool fills_all = true;
  // The origin confirmed the stored response (304).
  bool validated = false;
  // What the origin answered; 0 when it did not.
  std::uint16_t origin_status = 0;
  // A 500, 502, 503 or 504 while there was a stored response: it may stand in.
  bool origin_error = false;
  // Why it is not kept; a token for Cache-Status, static text.
  std::string_view not_stored_because;
  // With FetchPhase::failed.
  origin::OriginFailureKind failure = origin::OriginFailureKind::unreachable;
};

class FetchTicket : public RefCounted<FetchTicket> {
 public:
  static constexpr std::size_t kMaximumInterim = 8;
  static constexpr std::size_t kMaximumWanted = 64;

  // `purges_seen`: Store::purges() when the fetch began. Whoever asks after a later purge of its
  // name starts a fetch anew.
  explicit FetchTicket(std::uint64_t purges_seen = 0) : purges_seen_(purges_seen) {}
  std::uint64_t purges_seen() const { return purges_seen_; }

  // --- waiters, any thread ---
  // Raises `signal` at every change while pending. False when `maximum` wait already.
  bool join(Ref<Signal> signal, std::size_t maximum);
  void leave(const Signal& signal);
  FetchPhase phase() const { return phase_.load(std::memory_order_acquire); }
  // Only once the phase is not pending; valid as long as the ticket.
  const FetchAnswer& answer() const { return answer_; }
  // Interim responses (103) after the first `seen`.
  std::vector<std::shared_ptr<const http::ResponseHead>> interim_after(std::size_t seen) const;
  // A listener needs the bytes from `offset` on of the object this fetch fills. False when the
  // fetch ends and will not bring them; else it brings them, or the blob ends and says so.
  bool want(std::uint64_t offset);
  // The request that started the fetch has no listener any more.
  void abandon();
  // A place at the beginning of the body, held since it began so that nothing is forgotten before
  // the starter reads; empty if taken.
  cache::BlobReader take_reader();

  // --- the fetch ---
  void set_reader(cache::BlobReader reader);
  void set_owner_signal(Ref<Signal> signal);
  void add_interim(std::shared_ptr<const http::ResponseHead> head);
  void settle(FetchPhase phase, FetchAnswer answer);
  std::vector<std::uint64_t> take_wanted();
  // Nobody may want anything any more. False (and not closed) when somebody already does.
  bool close();
  // As close(), whatever is wanted: the blob has ended, or is whole.
  void shut();
  bool abandoned() const { return abandoned_.load(std::memory_order_acquire); }
  std::size_t waiting() const;

 private:
  static void raise_all(const std::vector<Ref<Signal>>& waiters);

  const std::uint64_t purges_seen_;
  std::atomic<FetchPhase> phase_{FetchPhase::pending};
  std::atomic<bool> abandoned_{false};
  FetchAnswer answer_;
  mutable std::mutex mutex_;
  std::vector<Ref<Signal>> waiters_;
  std::vector<std::shared_ptr<const http::ResponseHead>> interim_;
  std::vector<std::uint64_t> wanted_;
  bool closed_ = false;
  Ref<Signal> owner_;
  cache::BlobReader reader_;
};

class FetchTable {
 public:
  static constexpr std::size_t kShards = 64;
  static constexpr std::size_t kUnshareablePerShard = 1024;

  // The running fetch of this key, or `fresh`, which then is the running one (`*began`).
  Ref<FetchTicket> join_or_begin(std::string_view key, const Ref<FetchTicket>& fresh, bool* began);
  // No new waiters: the head is there (later requests find the object in the store) or there is
  // none.
  void end(std::string_view key, const FetchTicket& ticket);

  // Which fetch fills this blob, for as long as it does: at most one, since a blob has one writer.
  // False when there is one already.
  bool attach_blob(const cache::Blob& blob, const Ref<FetchTicket>& ticket);
  void detach_blob(const cache::Blob& blob);
  Ref<FetchTicket> ticket_of(const cache::Blob& blob) const;

  void remember_unshareable(std::string_view key, MonotonicTime until);
  bool is_unshareable(std::string_view key, MonotonicTime now);

 private:
  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Ref<FetchTicket>, StringHash, std::equal_to<>> running;
    std::unordered_map<std::string, MonotonicTime, StringHash, std::equal_to<>> unshareable;
    std::unordered_map<const cache::Blob*, Ref<FetchTicket>> filling;
  };
  Shard& shard(std::string_view key);
  const Shard& shard(const cache::Blob& blob) const;

  std::array<Shard, kShards> shards_;
};

}  // namespace nearfield::proxy
