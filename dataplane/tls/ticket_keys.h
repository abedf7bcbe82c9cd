// TicketKeys: what session tickets are encrypted with (RFC 8446 4.6.1, RFC 5077), one set for all
// threads and all settings that share it, so that a session started on one thread, before a
// reload, or with a shared file on another node, resumes here.
//
// The first key encrypts; it and the older ones decrypt. Without a file the set makes a key of its
// own each kRotation and forgets it kKept rotations later; a ticket lives kLifetime, which is less
// than the oldest key. With a file the site rotates: whoever owns the file puts a new key in front
// and drops the last, at least once a week, first on all nodes as second key, then as first.
//
// Keys give forward secrecy only as far as they are forgotten: they are wiped, never logged. (With
// TLS 1.3 a stolen ticket key still does not open a recorded connection: every resumption makes a
// new Diffie-Hellman exchange.) Thread-safe; a mutex is held for copying a key, not for encrypting.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "dataplane/tls/random_source.h"

namespace nearfield::tls {

class TicketKeys {
 public:
  static constexpr std::size_t kNameBytes = 16;
  static constexpr std::size_t kKeyBytes = 32;  // AES-256-GCM
  static constexpr std::size_t kEntryBytes = kNameBytes + kKeyBytes;
  static constexpr std::size_t kMaximumKeys = 16;
  // A ticket on the wire is name, nonce, ciphertext, tag.
  static constexpr std::size_t kOverheadBytes = kNameBytes + 12 + 16;
  static constexpr std::chrono::hours kRotation{12};
  static constexpr std::size_t kKept = 3;
  static constexpr std::chrono::hours kLifetime{24};  // of a ticket; RFC 8446 allows 7 days

  // Keys of its own, rotated by time. `random` also makes the nonces.
  static std::shared_ptr<TicketKeys> make(WallTime now, RandomSource random = system_random);
  // Keys from `file`: 1 to kMaximumKeys entries of 48 bytes, each 16 bytes name and 32 bytes key,
  // nothing else (`head -c 48 /dev/urandom` makes one). The first encrypts. Other lengths and two
  // equal names are refused; `warnings` gets what is unwise but usable: that others can read it.
  static Result<std::shared_ptr<TicketKeys>> load(const std::string& file,
                                                  std::vector<std::string>& warnings);
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;
  ~TicketKeys();

  // Holds from now on what `read` holds, which has loaded the file anew; `read` forgets it.
  // Settings of handshakes under way share this set: it stays the same object.
  void replace_by(TicketKeys& read);

  // Appends nothing and returns 0 when `ticket` is too small, else the ticket's length.
  std::size_t seal(WallTime now, std::span<const std::byte> content, std::span<std::byte> ticket);

  enum class Opened : std::uint8_t { current, older, refused };
  // Decrypts into `content` (at least ticket.size() - kOverheadBytes), which is wiped on refusal:
  // unknown key, wrong tag, too short. Age is the caller's check: it is in the content.
  Opened open(WallTime now, std::span<const std::byte> ticket, std::span<std::byte> content,
              std::size_t& content_bytes);

  std::size_t key_count() const;

 private:
  struct Entry {
    std::array<std::byte, kNameBytes> name{};
    std::array<std::byte, kKeyBytes> key{};
    WallTime made{};
  };
  TicketKeys(std::string file, RandomSource random);
  static Result<std::vector<Entry>> read(const std::string& file);
  static void wipe_entries(std::vector<Entry>& entries);
  Entry fresh(WallTime now) const;
  void rotate(WallTime now);  // with the mutex held

  const std::string file_;  // empty: keys of its own
  const RandomSource random_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace nearfield::tls
