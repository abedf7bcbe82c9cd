// What the Transmitter does with bytes that a source makes when they are asked for (TLS records).
#include "tests/unit/dataplane/net/dpdk/transmitter_fixture.h"

namespace nearfield::net::dpdk {
namespace {

// Makes pieces of 5,000 bytes, each byte a function of its place.
class MadeSource final : public PlanSource {
 public:
  static constexpr std::size_t kPieceBytes = 5000;

  explicit MadeSource(Staging& staging) : staging_(staging) {}

  static std::byte at(std::uint64_t place) {
    return static_cast<std::byte>((place * 131 + place / 251) & 0xff);
  }
  std::size_t peek(std::uint64_t offset, std::uint64_t maximum_bytes, std::span<iovec> vectors,
                   std::uint64_t* covered_bytes) override {
    *covered_bytes = 0;
    std::size_t used = 0;
    while (maximum_bytes > 0 && used < vectors.size()) {
      const std::uint64_t number = (released_ + offset) / kPieceBytes;
      const Staging::Piece piece = staging_.take(kPieceBytes);
      if (piece.bytes.empty()) break;
      ++made;
      for (std::size_t i = 0; i < kPieceBytes; ++i) piece.bytes[i] = at(number * kPieceBytes + i);
      const std::size_t skipped = (released_ + offset) % kPieceBytes;
      const std::size_t length = std::min<std::uint64_t>(kPieceBytes - skipped, maximum_bytes);
      vectors[used++] = {piece.bytes.data() + skipped, length};
      *covered_bytes += length;
      offset += length;
      maximum_bytes -= length;
    }
    return used;
  }
  void release(std::uint64_t bytes) override { released_ += bytes; }

  int made = 0;

 private:
  Staging& staging_;
  std::uint64_t released_ = 0;
};

}  // namespace

TEST_GROUP_BASE(TransmitterStaging, TransmitterFixture) {
  void begin(const PortCapabilities& capabilities) {
    make(capabilities);
    made.emplace(*transmitter->staging());
    plan.clear();
    plan.append_text("before");
    plan.append_source(*made, 10'000'000);
  }
  void teardown() override {
    plan.clear();
    TransmitterFixture::teardown();
  }
  // Payload of all packets that were sent, in order.
  std::vector<std::byte> sent_payload() {
    std::vector<std::byte> payload;
    for (const rte_mbuf* packet : queue.sent) {
      const Decoded decoded = decode(packet);
      payload.insert(payload.end(), decoded.segment.payload.begin(), decoded.segment.payload.end());
    }
    return payload;
  }
  void check_payload(std::uint64_t offset, std::size_t bytes) {
    const std::vector<std::byte> payload = sent_payload();
    CHECK_EQUAL(bytes, payload.size());
    for (std::size_t i = 0; i < bytes; ++i) {
      const std::uint64_t place = offset + i;
      CHECK(payload[i] ==
            (place < 6 ? static_cast<std::byte>("before"[place]) : MadeSource::at(place - 6)));
    }
  }
  std::optional<MadeSource> made;
};

TEST(TransmitterStaging, points_to_what_was_made_and_keeps_it_until_the_device_is_done) {
  options.staging_bytes = 200'000;
  begin(segmenting());
  CHECK(transmitter->transmit(segment(60'000)).has_value());
  transmitter->flush();
  CHECK(transmitter->counters().copied_bytes < 1000);
  // Others come and are made beside it while it is out.
  CHECK(transmitter->transmit(segment(60'000, 60'000)).has_value());
  transmitter->flush();
  check_payload(0, 120'000);
}

TEST(TransmitterStaging, says_no_while_the_device_holds_all_of_it) {
  options.staging_bytes = 64'000;
  begin(segmenting());
  CHECK(transmitter->transmit(segment(40'000)).has_value());
  transmitter->flush();
  CHECK_FALSE(transmitter->transmit(segment(40'000, 40'000)).has_value());
  CHECK_EQUAL(1U, transmitter->counters().staging_full);
  transmitter->flush();
  CHECK_FALSE(transmitter->transmit(segment(40'000, 40'000)).has_value());
  queue.frees_on_reclaim = true;
  transmitter->flush();  // nothing was sent: the driver is asked to let go
  transmitter->flush();
  CHECK(transmitter->transmit(segment(40'000, 40'000)).has_value());
  transmitter->flush();
  check_payload(40'000, 40'000);
}

TEST(TransmitterStaging, makes_the_same_bytes_again_for_a_lost_segment) {
  options.staging_bytes = 64'000;
  begin(chaining());
  for (const std::uint64_t offset : {0U, 20'000U, 0U, 7U, 20'000U}) {
    CHECK(transmitter->transmit(segment(20'000, offset)).has_value());
    transmitter->flush();
    check_payload(offset, 20'000);
    queue.free_all();
  }
}

TEST(TransmitterStaging, copies_where_a_driver_cannot_chain) {
  options.staging_bytes = 64'000;
  begin({});
  for (int round = 0; round < 10; ++round) {
    CHECK(transmitter->transmit(segment(14'480, 3)).has_value());
    transmitter->flush();
    check_payload(3, 14'480);
    queue.free_all();
  }
}

}  // namespace nearfield::net::dpdk
