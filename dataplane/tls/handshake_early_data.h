// EarlyDataFilter: takes a client's early data (0-RTT) out of what the library reads. A node never
// says that it would take any, but clients come with tickets of servers that did, and send at once
// what they have to say, under keys nobody here has. RFC 8446 4.2.10 wants it passed over; a
// library built without early data takes it for forged records instead.
//
// Early data and the client's handshake messages look the same from outside (application_data). So
// a record is tried with the client's handshake key at sequence number 0: the first that opens is
// the client's, everything before was early. After a HelloRetryRequest there are no such keys, and
// nothing encrypted can be the client's before its second hello, which ends early data.
//
// Invariant: once a record has passed as the client's, every record passes. What is dropped is
// bounded, and so is what trying costs: each byte is decrypted at most once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

class EarlyDataFilter {
 public:
  enum class Verdict : std::uint8_t { pass, drop, too_much };

  // Of records with their headers and tags. Servers announce 16 KiB of content (OpenSSL unless it
  // is told otherwise) or less; a quarter more is enough for records of 100 bytes.
  static constexpr std::size_t kMaximumBytes = 20 * 1024;

  EarlyDataFilter();
  ~EarlyDataFilter();  // wipes the keys
  EarlyDataFilter(const EarlyDataFilter&) = delete;
  EarlyDataFilter& operator=(const EarlyDataFilter&) = delete;

  // The ClientHello, which is the next record, offers early data. Before, everything passes.
  void expect();
  // The client's handshake traffic secret, hash_bytes(hash) long, as soon as there is one.
  void use_secret(Aead aead, Hash hash, std::span<const std::byte> secret);
  // For every record from the ClientHello on, in order: whole, with its header. After `too_much`
  // the handshake is over (alert: unexpected_message).
  Verdict judge(std::span<const std::byte> record);
  bool exceeded() const { return dropped_bytes_ > kMaximumBytes; }

 private:
  struct Keys;
  bool opens(std::span<const std::byte> record) const;

  bool expecting_ = false;
  bool hello_passed_ = false;
  std::size_t dropped_bytes_ = 0;
  std::unique_ptr<Keys> keys_;
};

}  // namespace nearfield::tls
