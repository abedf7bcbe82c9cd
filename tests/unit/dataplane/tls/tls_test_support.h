// What the tests of the record layer share: hexadecimal text, pseudo-random bytes from a seed, a
// sender of sealed records, and a look at whether something aborts.
#pragma once

#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/tls/aead.h"
#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/record_sealer.h"

namespace nearfield::tls::test {

using Bytes = std::vector<std::byte>;

// No sealed record is longer.
inline constexpr std::size_t kMaximumRecordBytes =
    sealed_bytes(Version::tls12, Aead::aes_128_gcm, kMaximumPlaintext);

// Blanks are skipped, so that vectors can be laid out as their sources do.
inline Bytes hex(std::string_view text) {
  Bytes bytes;
  int high = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::byte>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

inline std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

// xorshift64*: the same bytes for the same seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() >> 16) % limit; }
  Bytes bytes(std::size_t size) {
    Bytes result(size);
    for (std::byte& byte : result) byte = static_cast<std::byte>(next() >> 56);
    return result;
  }

 private:
  std::uint64_t state_;
};

inline iovec piece(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

// `bytes` cut in pieces of random sizes, some of them empty.
inline std::vector<iovec> cut(std::span<const std::byte> bytes, Random& random) {
  std::vector<iovec> pieces;
  while (!bytes.empty()) {
    const std::size_t most = random.below(3) == 0 ? 20 : 3000;
    const std::size_t size = std::min(random.below(most), bytes.size());
    pieces.push_back(piece(bytes.first(size)));
    bytes = bytes.subspan(size);
  }
  return pieces;
}

// ipsec-mb where the processor has it.
inline const AeadEngine& engine() { return AeadEngine::choose(nullptr); }

inline std::vector<const AeadEngine*> engines() {
  std::vector<const AeadEngine*> all{&AeadEngine::mbedtls()};
  if (const AeadEngine* fast = AeadEngine::ipsec_mb(); fast != nullptr) all.push_back(fast);
  return all;
}

inline constexpr Aead kAeads[] = {Aead::aes_128_gcm, Aead::aes_256_gcm, Aead::chacha20_poly1305};
inline constexpr Version kVersions[] = {Version::tls12, Version::tls13};

// Secrets of a made-up connection, as the server sees them.
inline ConnectionSecrets server_secrets(Version version, Aead aead) {
  const Hash hash = aead == Aead::aes_256_gcm ? Hash::sha384 : Hash::sha256;
  Random random(7);
  const Bytes first = random.bytes(hash_bytes(hash));
  const Bytes second = random.bytes(hash_bytes(hash));
  if (version == Version::tls13) return tls13_secrets(aead, hash, first, second, true);
  return tls12_secrets(aead, hash, random.bytes(48), random.bytes(32), random.bytes(32), true);
}

// The peer: seals with the keys that the other side receives with.
class Peer {
 public:
  explicit Peer(const ConnectionSecrets& secrets)
      : version_(secrets.version),
        aead_(secrets.aead),
        hash_(secrets.hash),
        keys_(secrets.receive) {
    expand();
  }

  Bytes seal(ContentType type, std::span<const std::byte> plaintext) {
    Bytes record(sealed_bytes(version_, aead_, plaintext.size()));
    const iovec one = piece(plaintext);
    seal_record(engine(), version_, aead_, expanded_, keys_.iv, keys_.next_sequence++, type,
                {&one, 1}, record.data());
    return record;
  }

  // TLS 1.3 with any inner plaintext (content, type, padding): what seal_record() never makes.
  Bytes seal_inner(std::span<const std::byte> inner) {
    Bytes record(kRecordHeaderBytes + inner.size() + kTagBytes);
    record[0] = std::byte{23};
    record[1] = record[2] = std::byte{3};
    record[3] = static_cast<std::byte>((inner.size() + kTagBytes) >> 8);
    record[4] = static_cast<std::byte>((inner.size() + kTagBytes) & 0xff);
    const iovec one = piece(inner);
    engine().seal(aead_, expanded_, record_nonce(version_, aead_, keys_.iv, keys_.next_sequence++),
                  std::span(record).first(kRecordHeaderBytes), {&one, 1}, {},
                  record.data() + kRecordHeaderBytes, record.data() + record.size() - kTagBytes);
    return record;
  }

  void update_keys() {
    update(keys_, aead_, hash_);
    expand();
  }

 private:
  void expand() { engine().expand(aead_, std::span(keys_.key).first(key_bytes(aead_)), expanded_); }

  Version version_;
  Aead aead_;
  Hash hash_;
  TrafficKeys keys_;
  ExpandedKey expanded_;
};

// Runs `work` in a child process; true when an assertion ended it.
template <typename Work>
bool aborts(const Work& work) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace nearfield::tls::test
