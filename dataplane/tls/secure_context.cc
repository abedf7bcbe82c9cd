// See secure_context.h.
#include "dataplane/tls/secure_context.h"

#include <utility>

#include "dataplane/tls/secure_stream.h"

namespace nearfield::tls {
SecureContext::SecureContext(net::Reactor& worker_reactor, HandshakePool& helper_pool,
                             const AeadEngine& aead_engine)
    : reactor(worker_reactor),
      pool(helper_pool),
      engine(aead_engine),
      opening(aead_engine),
      signal_(reactor.make_signal([this] { take_results(); })),
      mailbox_(make_ref<HandshakeMailbox>(signal_)) {}

SecureContext::~SecureContext() {
  reactor.cancel_signal(signal_);
  // Jobs in it would keep it.
  while (mailbox_->take()) {
  }
}

void SecureContext::take_results() {
  while (std::unique_ptr<HandshakeJob> job = mailbox_->take()) {
    auto* stream = static_cast<SecureStream*>(job->owner);
    stream->on_step(std::move(job));
  }
}

std::unique_ptr<Sealing> SecureContext::lend_sealing() {
  return idle_.take([] { return std::make_unique<Sealing>(); });
}

void SecureContext::return_sealing(std::unique_ptr<Sealing> sealing) {
  sealing->end();
  idle_.give(std::move(sealing));
}

}  // namespace nearfield::tls
