// RecordOpener: the receiving direction of one TLS connection after its handshake. Bytes in as the
// network delivers them, events out: application data, alerts, what the peer asks for. Knows no
// socket, no clock and no thread but its caller's.
//
// A record that lies whole in the input is opened from there; only a record cut by the end of the
// input is held back, in a buffer of its size that lives until it is complete. The expanded key
// (1.3 kB) is the worker's: it has one, of the connection that it read last, so that what one
// connection sends in a row costs one expansion. A connection at rest holds neither. Everything
// that a peer could send without end and without sense (empty records, tickets, KeyUpdates,
// warnings) is bounded by kMaximumIdleRecords. KeyUpdate switches the receiving keys here (RFC
// 8446 4.6.3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/tls/aead.h"
#include "dataplane/tls/post_handshake.h"
#include "dataplane/tls/record.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

class RecordOpener {
 public:
  // What openers need only while they work: one for all of a worker, used by its thread.
  class Workspace {
   public:
    // `engine` outlives it, it outlives its openers.
    explicit Workspace(const AeadEngine& engine) : engine_(engine) {}
    ~Workspace() { wipe(plaintext_); }
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

   private:
    friend class RecordOpener;
    const AeadEngine& engine_;
    const RecordOpener* key_owner_ = nullptr;  // null: there is no key
    ExpandedKey key_;
    std::array<std::byte, kMaximumPlaintext + 1> plaintext_;  // with TLS 1.3's content type
  };
  // Records in a row without application data, of whatever kind, before the connection is refused.
  static constexpr unsigned kMaximumIdleRecords = 32;
  // Renegotiations a TLS 1.2 peer may ask for (and is denied) before the connection is refused.
  static constexpr unsigned kMaximumRenegotiations = 3;

  enum class Event : std::uint8_t {
    need_more,         // all of the input is consumed
    application_data,  // `data`
    alert,             // `alert`, `fatal`
    key_update,        // receiving keys are new; `update_requested`: answer with our own KeyUpdate
                       // before the next record (one answer is enough for several requests)
    renegotiation,     // TLS 1.2: answer with the warning no_renegotiation
    error,             // the peer broke the protocol: send the fatal `alert` and close
  };

  struct Step {
    std::size_t consumed = 0;  // of the input
    Event event = Event::need_more;
    // In the workspace, until the next feed() there; never empty with application_data.
    std::span<const std::byte> data;
    AlertDescription alert = AlertDescription::close_notify;
    // The connection is over. With TLS 1.3 by the alert's description: all are fatal but
    // close_notify (an orderly end) and user_canceled (RFC 8446 6).
    bool fatal = false;
    bool update_requested = false;
  };

  // Keeps copies of secrets.receive and wipes them at the end; of `secrets.send` nothing.
  RecordOpener(Workspace& workspace, const ConnectionSecrets& secrets, bool is_server);
  ~RecordOpener();
  RecordOpener(const RecordOpener&) = delete;
  RecordOpener& operator=(const RecordOpener&) = delete;

  // Works on `in` until there is an event to report or nothing left. Call again with the rest
  // (in.subspan(step.consumed)) until the event is need_more. After error every call reports the
  // same error and consumes all; after close_notify or a fatal alert what follows is consumed
  // unread (RFC 8446 6.1).
  Step feed(std::span<const std::byte> in);

  // close_notify has been received: the end of the stream now is orderly.
  bool closed() const { return closed_orderly_; }
  // Bytes allocated for a partial record now.
  std::size_t buffer_bytes() const { return buffer_ == nullptr ? 0 : buffer_bytes_; }

 private:
  enum class State : std::uint8_t { open, closed, failed };

  // The steps of feed(). True: *step holds an event to report now.
  bool fail(AlertDescription alert, Step* step);  // always true
  bool open_record(const std::byte* header, std::span<const std::byte> body, Step* step);
  bool dispatch(ContentType type, std::span<const std::byte> plaintext, Step* step);
  bool dispatch_alert(std::span<const std::byte> plaintext, Step* step);
  bool dispatch_handshake(std::span<const std::byte> plaintext, Step* step);
  // False: the header was refused, fail() was called.
  bool check_header(const std::byte* header, std::size_t* body_bytes, Step* step);
  bool hold(std::span<const std::byte>* left, Step* step);
  void release_buffer();
  const ExpandedKey& expanded_key();
  void forget_expanded_key();

  Workspace& workspace_;
  const Version version_;
  const Aead aead_;
  const Hash hash_;
  State state_ = State::open;
  AlertDescription failure_ = AlertDescription::internal_error;
  bool closed_orderly_ = false;
  unsigned idle_records_ = 0;
  unsigned renegotiations_ = 0;
  PostHandshake messages_;
  TrafficKeys keys_;

  // A record cut by the end of the input: the header first, the body in a buffer of its size.
  std::array<std::byte, kRecordHeaderBytes> held_header_{};
  std::size_t held_bytes_ = 0;  // header and body
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t buffer_bytes_ = 0;  // the size of that body
};

}  // namespace nearfield::tls
