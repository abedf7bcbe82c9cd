// Epochs: when do devices no longer refer to memory of ours? Packets of a turn share one count of
// the external buffers in them; the epoch is over when the turn is and the count is down.
//
// Invariant: completed() never passes an epoch of which a buffer is still out, and never passes the
// open one. The awkward part is who lets go: drivers free packets lazily, a peer over net_ring on
// its own thread, and clones of a packet keep its buffers. DPDK's own reference count of an
// external buffer covers all of that; one count a packet would not live long enough for clones. It
// has 16 bits, which is why an epoch has a maximum.
//
// The owner's thread, but for buffers coming back: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

struct rte_mbuf_ext_shared_info;

namespace nearfield::net::dpdk {

class Epochs {
 public:
  static constexpr std::size_t kMaximum = 1024;               // not completed at a time
  static constexpr std::uint32_t kMaximumReferences = 32000;  // of one epoch

  Epochs();
  // Every buffer must be back.
  ~Epochs();
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;

  // The open one's number; counting begins at 1.
  std::uint64_t open() const { return open_; }
  // What rte_pktmbuf_attach_extbuf() wants, counted for one buffer. Null when the open epoch has
  // its maximum.
  rte_mbuf_ext_shared_info* reference();
  // The reference given last was not used.
  void give_back() { --used_; }
  // Ends the open epoch and opens the next; keeps it open while kMaximum are not completed.
  void advance();
  // All epochs up to this one are over.
  std::uint64_t completed();
  // Whether a buffer of an epoch before the open one may still be out.
  bool is_waiting() { return completed() + 1 < open_; }

 private:
  struct Slot;
  Slot& slot(std::uint64_t epoch) const;
  void begin();

  std::unique_ptr<Slot[]> slots_;
  std::uint64_t open_ = 1;
  std::uint64_t completed_ = 0;
  std::uint32_t used_ = 0;  // references given in the open epoch
};

}  // namespace nearfield::net::dpdk
