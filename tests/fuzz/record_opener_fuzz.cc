// The receiving direction of TLS under a peer that knows the keys and means harm: the input says
// which records are sealed, with what inside, and how the stream is cut. A model beside it knows
// what well-formed data went in; whatever is reported must be a prefix of that, every call makes
// progress, and nothing is held once the connection is over.
#include <algorithm>
#include <array>
#include <vector>

#include "dataplane/tls/key_schedule.h"
#include "dataplane/tls/record_opener.h"
#include "dataplane/tls/record_sealer.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::tls;

namespace {

// Reads the input; zeros when it is used up.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool is_empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::span<const std::byte> bytes(std::size_t size) {
    const std::size_t taken = std::min(size, left_);
    const auto* begin = reinterpret_cast<const std::byte*>(data_);
    data_ += taken;
    left_ -= taken;
    return {begin, taken};
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

ConnectionSecrets secrets_of(std::uint8_t choice) {
  const auto aead = static_cast<Aead>((choice >> 1) % 3);
  const Hash hash = aead == Aead::aes_256_gcm ? Hash::sha384 : Hash::sha256;
  static constexpr std::array<std::byte, 48> kSecret{std::byte{1}, std::byte{2}, std::byte{3}};
  const auto secret = std::span(kSecret).first(hash_bytes(hash));
  if ((choice & 1) != 0) return tls13_secrets(aead, hash, secret, secret, true);
  const auto random = std::span(kSecret).first(32);
  return tls12_secrets(aead, hash, kSecret, random, random, true);
}

struct World {
  explicit World(std::uint8_t choice)
      : secrets(secrets_of(choice)),
        is_server((choice & 0x10) == 0),
        keys(secrets.receive),
        opener(workspace(), secrets, is_server) {
    expand();
  }

  void expand() {
    AeadEngine::choose(nullptr).expand(
        secrets.aead, std::span(keys.key).first(key_bytes(secrets.aead)), expanded);
  }

  // A record as seal_record() makes them.
  void seal(ContentType type, std::span<const std::byte> plaintext, bool is_key_update = false) {
    const iovec piece{const_cast<std::byte*>(plaintext.data()), plaintext.size()};
    const std::size_t at = stream.size();
    stream.resize(at + sealed_bytes(secrets.version, secrets.aead, plaintext.size()));
    seal_record(AeadEngine::choose(nullptr), secrets.version, secrets.aead, expanded, keys.iv,
                keys.next_sequence++, type, {&piece, 1}, stream.data() + at);
    if (type == ContentType::application_data && !plaintext.empty()) {
      idle = 0;
      if (well_formed) expected.insert(expected.end(), plaintext.begin(), plaintext.end());
      return;
    }
    // More of these than are borne, and others than these, may end the stream: nothing is promised
    // of what follows.
    if (++idle > RecordOpener::kMaximumIdleRecords) well_formed = false;
    if (type != ContentType::application_data && !is_key_update) well_formed = false;
  }

  // TLS 1.3 with any inner plaintext; padding and all.
  void seal_inner(std::span<const std::byte> inner) {
    const std::size_t at = stream.size();
    const std::size_t body = inner.size() + kTagBytes;
    stream.resize(at + kRecordHeaderBytes + body);
    std::byte* record = stream.data() + at;
    record[0] = std::byte{23};
    record[1] = record[2] = std::byte{3};
    record[3] = static_cast<std::byte>(body >> 8);
    record[4] = static_cast<std::byte>(body & 0xff);
    const iovec piece{const_cast<std::byte*>(inner.data()), inner.size()};
    AeadEngine::choose(nullptr).seal(
        secrets.aead, expanded,
        record_nonce(secrets.version, secrets.aead, keys.iv, keys.next_sequence++),
        {record, kRecordHeaderBytes}, {&piece, 1}, {}, record + kRecordHeaderBytes,
        record + kRecordHeaderBytes + inner.size());
    well_formed = false;
  }

  void feed(std::uint32_t cuts) {
    fuzz::Cutter cutter(cuts);
    std::span<const std::byte> left(stream);
    while (!left.empty()) {
      std::span<const std::byte> in = left.first(cutter.next(left.size()));
      left = left.subspan(in.size());
      for (;;) {
        const auto step = opener.feed(in);
        FUZZ_CHECK(step.consumed <= in.size());
        FUZZ_CHECK(opener.buffer_bytes() <=
                   sealed_bytes(secrets.version, secrets.aead, kMaximumPlaintext));
        in = in.subspan(step.consumed);
        if (step.event == RecordOpener::Event::need_more) break;
        FUZZ_CHECK(!over);  // after the end nothing is reported
        if (step.event == RecordOpener::Event::application_data) {
          FUZZ_CHECK(!step.data.empty() && step.data.size() <= kMaximumPlaintext);
          received.insert(received.end(), step.data.begin(), step.data.end());
        }
        if (step.event == RecordOpener::Event::error) {
          FUZZ_CHECK(in.empty() && step.fatal);
          FUZZ_CHECK(opener.buffer_bytes() == 0);
          failed = true;
          return;
        }
        if (step.event == RecordOpener::Event::alert &&
            (step.fatal || step.alert == AlertDescription::close_notify)) {
          over = true;
        }
      }
      FUZZ_CHECK(in.empty());
    }
  }

  static RecordOpener::Workspace& workspace() {
    static RecordOpener::Workspace shared(AeadEngine::choose(nullptr));
    return shared;
  }

  const ConnectionSecrets secrets;
  const bool is_server;
  TrafficKeys keys;
  ExpandedKey expanded;
  RecordOpener opener;
  std::vector<std::byte> stream;
  std::vector<std::byte> expected;
  std::vector<std::byte> received;
  unsigned idle = 0;
  bool well_formed = true;
  bool damaged = false;
  bool over = false;
  bool failed = false;
};

}  // namespace

// First byte: suite, version, side. Then two bytes that say how the stream is cut, then one
// operation after the other.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script script(data, size);
  World world(script.byte());
  const std::uint32_t cuts = script.byte() << 8 | script.byte();
  for (int operations = 0; operations < 200 && !script.is_empty(); ++operations) {
    switch (script.byte() % 8) {
      case 0:  // data
        world.seal(ContentType::application_data, script.bytes(script.byte()));
        break;
      case 1:  // handshake messages, whole, cut, several
        world.seal(ContentType::handshake, script.bytes(script.byte() % 32));
        break;
      case 2:
        world.seal(ContentType::alert, script.bytes(script.byte() % 4));
        break;
      case 3:  // any inner plaintext
        if (world.secrets.version == Version::tls13) {
          world.seal_inner(script.bytes(script.byte() % 64));
        }
        break;
      case 4: {  // much padding, or a long record
        std::vector<std::byte> inner(script.byte() * 66u);
        if (!inner.empty()) inner[script.byte() % inner.size()] = std::byte{script.byte()};
        if (world.secrets.version == Version::tls13) {
          world.seal_inner(inner);
        } else if (inner.size() <= kMaximumPlaintext) {
          world.seal(static_cast<ContentType>(script.byte()), inner);
        }
        break;
      }
      case 5: {  // bytes that nobody sealed
        const auto raw = script.bytes(script.byte());
        world.stream.insert(world.stream.end(), raw.begin(), raw.end());
        if (!raw.empty()) world.well_formed = false;
        break;
      }
      case 6:  // a KeyUpdate and its keys
        world.seal(ContentType::handshake, key_update_message((script.byte() & 1) != 0),
                   world.secrets.version == Version::tls13);
        if (world.secrets.version == Version::tls13) {
          update(world.keys, world.secrets.aead, world.secrets.hash);
          world.expand();
        }
        break;
      case 7: {  // damage
        if (world.stream.empty()) break;
        const std::size_t at = (script.byte() << 8 | script.byte()) % world.stream.size();
        world.stream[at] ^= std::byte{static_cast<std::uint8_t>(1 + script.byte() % 255)};
        world.damaged = true;
        break;
      }
    }
  }
  world.feed(cuts);
  // What was promised arrived in full and in order, and before anything else.
  if (!world.damaged) {
    FUZZ_CHECK(world.received.size() >= world.expected.size());
    FUZZ_CHECK(
        std::ranges::equal(std::span(world.received).first(world.expected.size()), world.expected));
  } else {
    const std::size_t common = std::min(world.received.size(), world.expected.size());
    FUZZ_CHECK(std::ranges::equal(std::span(world.received).first(common),
                                  std::span(world.expected).first(common)));
  }
  if (world.well_formed && !world.damaged) FUZZ_CHECK(!world.failed);
  return 0;
}
