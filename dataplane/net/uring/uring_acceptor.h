// UringAcceptor: one listening socket on the ring: a multishot accept, and what to do when the
// machine has no descriptor left.
#pragma once

#include "dataplane/net/reactor.h"
#include "dataplane/net/uring/core.h"

namespace nearfield::net::uring {

class alignas(16) UringAcceptor {
 public:
  UringAcceptor(Core& core, int descriptor, Acceptor& acceptor);

  // From the loop, where submissions are made: arms, when it is not armed and should be. One
  // submission.
  void process();
  void complete(const io_uring_cqe& cqe);
  // Takes what is queued in the socket once more and then no more: three submissions, submitted by
  // the caller at once.
  void stop();
  // No completion will come any more.
  bool finished() const { return operations_ == 0; }

 private:
  void arm();
  void cancel();
  void take(int descriptor);
  static void on_timer(void* context);

  Core& core_;
  const int descriptor_;
  Acceptor& acceptor_;
  Timer pause_{&UringAcceptor::on_timer, this};
  int operations_ = 0;
  bool wants_accepts_ = true;
  bool stopped_ = false;
};

}  // namespace nearfield::net::uring
