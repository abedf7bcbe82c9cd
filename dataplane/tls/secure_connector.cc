// See secure_connector.h.
#include "dataplane/tls/secure_connector.h"

#include <utility>

#include "cache/base/assert.h"
#include "cache/base/take_out.h"

namespace nearfield::tls {

struct SecureConnector::Entry {
  Entry(SecureConnector& owner, std::shared_ptr<const ClientSettings> settings,
        std::string_view server_name, net::StreamHandler& application, Duration timeout)
      : handler(application),
        stream(owner.context_, owner, std::move(settings), server_name, application, timeout) {}

  net::StreamHandler& handler;
  SecureStream stream;
};

SecureConnector::SecureConnector(SecureContext& context) : context_(context) {}
SecureConnector::~SecureConnector() { NEARFIELD_ASSERT(streams_.empty()); }

SecureStream* SecureConnector::connect(const net::Endpoint& peer,
                                       const net::ConnectOptions& options,
                                       std::shared_ptr<const ClientSettings> settings,
                                       std::string_view server_name, net::StreamHandler& handler) {
  auto entry =
      std::make_unique<Entry>(*this, std::move(settings), server_name, handler, options.timeout);
  SecureStream& stream = entry->stream;
  net::Stream* const transport = context_.reactor.connect(peer, options, stream);
  if (transport == nullptr) return nullptr;
  stream.attach(*transport);
  stream.index = streams_.size();
  streams_.push_back(std::move(entry));
  return &stream;
}

net::StreamHandler* SecureConnector::on_secured(SecureStream& stream) {
  count(context_.counters.origin_handshakes_finished);
  return &streams_[stream.index]->handler;
}

void SecureConnector::on_handshake_failed(SecureStream& stream) {
  if (stream.failure() != HandshakeFailure::none) count(context_.counters.origin_handshakes_failed);
}

void SecureConnector::on_secure_ended(SecureStream& stream) {
  NEARFIELD_ASSERT(&streams_[stream.index]->stream == &stream);
  const auto ended = take_out(streams_, stream.index,
                              [](Entry& moved, std::size_t index) { moved.stream.index = index; });
}

}  // namespace nearfield::tls
