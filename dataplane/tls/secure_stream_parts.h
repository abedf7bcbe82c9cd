// What a SecureStream has only for a part of its life, each allocated when that begins. For its own
// source files.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/net/security.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/record_opener.h"
#include "dataplane/tls/secure_stream.h"

namespace nearfield::tls {

struct SecureStream::Handshaking {
  explicit Handshaking(std::unique_ptr<Handshake> begun) : job(std::make_unique<HandshakeJob>()) {
    job->handshake = std::move(begun);
  }
  Handshake& handshake() { return *job->handshake; }

  std::unique_ptr<HandshakeJob> job;  // null while the helpers have it, and when it is over
  HandshakeJob* submitted = nullptr;  // then
  std::vector<std::byte> pending;     // received meanwhile
  std::vector<std::byte> output;      // to be sent
  bool is_begun = false;              // something was received
  bool is_paused = false;             // not all of it was taken
  bool is_submitted_once = false;     // the hello is whole
};

struct SecureStream::Established {
  Established(RecordOpener::Workspace& workspace, const ConnectionSecrets& secrets, bool is_server,
              std::size_t maximum_fragment_bytes, const net::StreamSecurity& agreed)
      : version(secrets.version),
        aead(secrets.aead),
        hash(secrets.hash),
        maximum_record_bytes(static_cast<std::uint32_t>(maximum_fragment_bytes)),
        send(secrets.send),
        security(agreed),
        opener(workspace, secrets, is_server) {}
  Established(const Established&) = delete;
  Established& operator=(const Established&) = delete;

  const Version version;
  const Aead aead;
  const Hash hash;
  const std::uint32_t maximum_record_bytes;  // of clear text
  std::uint32_t generation = 0;              // of our keys
  TrafficKeys send;
  const net::StreamSecurity security;
  RecordOpener opener;
};

struct SecureStream::Held {
  std::vector<std::byte> clear;   // of one record
  std::vector<std::byte> sealed;  // what followed the handshake
};

}  // namespace nearfield::tls
