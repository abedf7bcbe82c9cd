// Signal: "look again", said from any thread to whoever waits for a blob to grow or a window to
// open. It carries no data: the woken one re-reads the state it waits for, so that raising twice,
// late or spuriously is harmless. The transports implement it by posting to the waiter's worker
// (net/reactor.h).
#pragma once

#include "cache/base/ref.h"

namespace nearfield {

class Signal : public RefCounted<Signal> {
 public:
  virtual ~Signal() = default;

  // Any thread; never blocks, never allocates, never calls back into the caller. Several raises
  // before the waiter ran may be folded into one.
  virtual void raise() = 0;
};

}  // namespace nearfield
