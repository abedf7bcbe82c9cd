// What is read out of a SYN, and within which bounds.
#include "dataplane/net/tcp/handshake.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::net::tcp;

TEST_GROUP(Handshake){};

TEST(Handshake, ASynWithoutOptionsGetsTheDefaultsOfItsFamily) {
  Header syn;
  syn.flags.syn = true;
  syn.sequence = {77};
  syn.window = 1000;
  const PeerOffer v4 = read_offer(syn, true);
  LONGS_EQUAL(536, v4.maximum_segment_bytes);
  LONGS_EQUAL(1220, read_offer(syn, false).maximum_segment_bytes);
  CHECK_FALSE(v4.window_shift.has_value());
  CHECK_FALSE(v4.sack_permitted);
  CHECK_FALSE(v4.timestamps);
  CHECK_FALSE(v4.ecn);
  LONGS_EQUAL(77, v4.initial.value);
  LONGS_EQUAL(1000, v4.window);
}

TEST(Handshake, EverythingOfferedIsRead) {
  Header syn;
  syn.flags = {.syn = true, .ece = true, .cwr = true};
  syn.options.maximum_segment_bytes = 1460;
  syn.options.window_shift = 7;
  syn.options.sack_permitted = true;
  syn.options.timestamps = Timestamps{.value = 5, .echo = 0};
  const PeerOffer offer = read_offer(syn, true);
  LONGS_EQUAL(1460, offer.maximum_segment_bytes);
  LONGS_EQUAL(7, *offer.window_shift);
  CHECK_TRUE(offer.sack_permitted);
  CHECK_TRUE(offer.timestamps);
  LONGS_EQUAL(5, offer.timestamp_value);
  CHECK_TRUE(offer.ecn);
}

TEST(Handshake, EcnNeedsBothFlags) {
  Header syn;
  syn.flags = {.syn = true, .ece = true};
  CHECK_FALSE(read_offer(syn, true).ecn);
  syn.flags = {.syn = true, .cwr = true};
  CHECK_FALSE(read_offer(syn, true).ecn);
}

TEST(Handshake, ImpossibleOffersAreBounded) {
  Header syn;
  syn.options.window_shift = 255;
  LONGS_EQUAL(14, *read_offer(syn, true).window_shift);
  for (const int tiny : {0, 1, 87, 88}) {
    syn.options.maximum_segment_bytes = static_cast<std::uint16_t>(tiny);
    LONGS_EQUAL(88, read_offer(syn, false).maximum_segment_bytes);
  }
  syn.options.maximum_segment_bytes = 65535;
  LONGS_EQUAL(65535, read_offer(syn, true).maximum_segment_bytes);
}
