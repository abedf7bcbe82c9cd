// Sealing: what is pulled opens at the peer to what was said, and reads the same pulled twice.
#include "dataplane/tls/sealing.h"

#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "cache/arena.h"
#include "cache/blob.h"
#include "dataplane/tls/post_handshake.h"
#include "dataplane/tls/record_opener.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

namespace nearfield::tls {

using test::Bytes;

namespace {

// Single pages, none beside the one before: what fragmented memory gives.
class ScatteredPages final : public cache::ExtentSource {
 public:
  explicit ScatteredPages(std::size_t pages) : memory_(2 * pages * cache::kPageBytes) {}
  std::optional<cache::Extent> take_extent(std::size_t) override {
    std::byte* const page = memory_.data() + 2 * given_++ * cache::kPageBytes;
    return cache::Extent{.data = page, .bytes = cache::kPageBytes};
  }
  void give_extent(cache::Extent) override {}

 private:
  Bytes memory_;
  std::size_t given_ = 0;
};

}  // namespace

TEST_GROUP(Sealing) {
  // The whole unreleased rest from `offset` on, pulled in odd pieces.
  Bytes pull(std::uint64_t offset, std::uint64_t bytes) {
    Bytes pulled;
    while (pulled.size() < bytes) {
      std::array<iovec, 3> vectors;
      std::uint64_t covered = 0;
      const std::size_t used =
          sealing.peek(clear, staging, offset + pulled.size(),
                       std::min<std::uint64_t>(bytes - pulled.size(), 1 + random.below(40'000)),
                       vectors, &covered);
      for (std::size_t i = 0; i < used; ++i) {
        const auto* begin = static_cast<const std::byte*>(vectors[i].iov_base);
        pulled.insert(pulled.end(), begin, begin + vectors[i].iov_len);
      }
      staging.settle(++use);
      staging.retire(use - random.below(3) * (use > 3 ? 1 : 0));
      if (covered == 0) staging.retire(use);
    }
    return pulled;
  }
  void begin(Version version, Aead aead) {
    secrets = test::server_secrets(version, aead);
    sealing.begin(test::engine(), version, aead, secrets.send, 0);
    ConnectionSecrets mirrored = secrets;
    std::swap(mirrored.send, mirrored.receive);
    peer = std::make_unique<RecordOpener>(workspace, mirrored, false);
  }
  void open(const Bytes& sealed) {
    for (std::span<const std::byte> rest = sealed;;) {
      const RecordOpener::Step step = peer->feed(rest);
      rest = rest.subspan(step.consumed);
      if (step.event == RecordOpener::Event::need_more) return;
      CHECK(step.event == RecordOpener::Event::application_data ||
            step.event == RecordOpener::Event::key_update);
      if (step.event == RecordOpener::Event::application_data)
        opened.append(reinterpret_cast<const char*>(step.data.data()), step.data.size());
      else
        ++updates;
    }
  }

  test::Random random{5};
  Bytes memory = Bytes(128 * 1024);
  net::Staging staging{memory};
  std::uint64_t use = 0;
  net::SendPlan clear;
  Sealing sealing;
  ConnectionSecrets secrets;
  RecordOpener::Workspace workspace{test::engine()};
  std::unique_ptr<RecordOpener> peer;
  std::string opened;
  int updates = 0;
};

TEST(Sealing, every_version_and_cipher_arrives_as_it_was_said) {
  for (const Version version : test::kVersions) {
    for (const Aead aead : test::kAeads) {
      begin(version, aead);
      opened.clear();
      std::string said;
      std::uint64_t sealed = 0;
      for (const std::size_t bytes : {1U, 100U, 16'384U, 50'001U}) {
        const std::string text(bytes, static_cast<char>('a' + said.size() % 26));
        for (std::size_t at = 0; at < text.size(); at += 3'000) {
          clear.append_text(std::string_view(text).substr(at, 3'000));
        }
        sealed += sealing.layout().append(0, secrets.send.next_sequence, bytes, 16'384);
        secrets.send.next_sequence += RecordLayout::records_of(bytes, 16'384);
        said += text;
      }
      open(pull(0, sealed));
      CHECK(opened == said);
      CHECK_EQUAL(said.size(), sealing.release(sealed));
      clear.clear();
      sealing.end();
    }
  }
}

TEST(Sealing, a_record_of_all_pieces_a_plan_may_have_each_cut_in_two) {
  constexpr std::size_t kRanges = net::SendPlan::kMaximumPieces / 2;
  constexpr std::size_t kBytes = (kRanges + 1) * cache::kPageBytes;
  ScatteredPages pages(kRanges + 1);
  const auto blob = cache::Blob::create(pages, cache::Blob::Kind::kept, kBytes, 128 * 1024);
  const Bytes content = random.bytes(kBytes);
  CHECK_EQUAL(kBytes, blob->write(0, content));
  begin(Version::tls13, Aead::aes_128_gcm);
  std::string said;
  for (std::size_t range = 1; range <= kRanges; ++range) {
    const std::size_t offset = range * cache::kPageBytes - 8;
    clear.append_text("a multipart's head");
    clear.append_blob(blob, offset, 16);
    said += "a multipart's head";
    said.append(reinterpret_cast<const char*>(&content[offset]), 16);
  }
  CHECK_EQUAL(0, clear.room());
  const std::uint64_t sealed = sealing.layout().append(0, 0, said.size(), 16'384);
  open(pull(0, sealed));
  CHECK(opened == said);
  clear.release(sealing.release(sealed));
  sealing.end();
}

TEST(Sealing, a_lost_record_is_sealed_again_to_the_same_bytes) {
  begin(Version::tls13, Aead::aes_128_gcm);
  for (int block = 0; block < 30; ++block) {
    clear.append_text(std::string(4'000, static_cast<char>('a' + block % 26)));
  }
  const std::uint64_t sealed = sealing.layout().append(0, 0, 120'000, 16'384);
  const Bytes first = pull(0, sealed);
  std::uint64_t released = 0;
  while (released < sealed) {
    const std::uint64_t offset = random.below(sealed - released);
    const std::uint64_t bytes = 1 + random.below(sealed - released - offset);
    const Bytes again = pull(offset, bytes);
    CHECK(std::equal(again.begin(), again.end(),
                     first.begin() + static_cast<std::ptrdiff_t>(released + offset)));
    const std::uint64_t now = std::min<std::uint64_t>(sealed - released, 1 + random.below(20'000));
    clear.release(sealing.release(now));
    released += now;
  }
  sealing.end();
}

TEST(Sealing, records_of_old_keys_are_sealed_again_with_them) {
  begin(Version::tls13, Aead::chacha20_poly1305);
  std::uint64_t sealed = 0;
  std::uint64_t sequence = 0;
  clear.append_text(std::string(3'000, 'x'));
  sealed += sealing.layout().append(0, sequence, 3'000, 1'000);
  sequence += 3;
  sealed += sealing.layout().append_message(ContentType::handshake, 0, sequence,
                                            key_update_message(false));
  update(secrets.send, secrets.aead, secrets.hash);
  sealing.change_keys(secrets.send, 1);
  clear.append_text(std::string(2'000, 'y'));
  sealed += sealing.layout().append(1, 0, 2'000, 1'000);
  const Bytes first = pull(0, sealed);
  CHECK(first == pull(0, sealed));
  open(first);
  CHECK_EQUAL(1, updates);
  CHECK(opened == std::string(3'000, 'x') + std::string(2'000, 'y'));
  CHECK_EQUAL(0, sealing.layout().oldest_generation());
  clear.release(sealing.release(sealed));
  sealing.end();
}

TEST(Sealing, covers_nothing_while_there_is_no_room_to_make_it_in) {
  begin(Version::tls13, Aead::aes_128_gcm);
  clear.append_text(std::string(16'000, 'x'));
  sealing.layout().append(0, 0, 16'000, 16'384);
  while (!staging.take(16'384).bytes.empty()) {
  }
  std::array<iovec, 3> vectors;
  std::uint64_t covered = 1;
  CHECK_EQUAL(0, sealing.peek(clear, staging, 0, 100, vectors, &covered));
  CHECK_EQUAL(0, covered);
  staging.settle(1);
  staging.retire(1);
  CHECK_EQUAL(1, sealing.peek(clear, staging, 0, 100, vectors, &covered));
  CHECK_EQUAL(100, covered);
  sealing.end();
}

}  // namespace nearfield::tls
