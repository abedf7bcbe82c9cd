// pipeACK is the most acknowledged in a round over max(3 * RTT, 1 s), and periods without validity
// are counted once.
#include "dataplane/net/tcp/window_validation.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

constexpr MonotonicTime kStart{1000s};

}  // namespace

TEST_GROUP(WindowValidation){};

TEST(WindowValidation, WithoutASampleEveryWindowIsValid) {
  WindowValidation validation;
  CHECK(!validation.defined());
  CHECK(validation.validates(1 << 30, kStart));
  CHECK(validation.pipe_ack_bytes(kStart) == 0);
}

TEST(WindowValidation, ARoundAddsUpAndTwiceItIsValid) {
  WindowValidation validation;
  validation.on_acknowledgment(kStart, 4000, false, 20ms);
  validation.on_acknowledgment(kStart + 1ms, 6000, true, 20ms);
  CHECK(validation.pipe_ack_bytes(kStart + 1ms) == 10'000);
  CHECK(validation.validates(20'001, kStart + 1ms));
  CHECK(!validation.validates(20'002, kStart + 1ms));
  validation.on_acknowledgment(kStart + 21ms, 3000, true, 20ms);  // a smaller round hides nothing
  CHECK(validation.pipe_ack_bytes(kStart + 21ms) == 10'000);
}

TEST(WindowValidation, SamplesExpireWithTheClock) {
  WindowValidation validation;
  validation.on_acknowledgment(kStart, 10'000, true, 20ms);
  CHECK(validation.pipe_ack_bytes(kStart + 740ms) == 10'000);
  CHECK(validation.pipe_ack_bytes(kStart + 1s) == 0);
  CHECK(!validation.validates(20'000, kStart + 1s));
  validation.on_acknowledgment(kStart + 1h, 500, true, 20ms);
  CHECK(validation.pipe_ack_bytes(kStart + 1h) == 500);
}

TEST(WindowValidation, ALongPathIsMeasuredOverThreeRoundTrips) {
  WindowValidation validation;
  validation.on_acknowledgment(kStart, 10'000, true, 1s);
  CHECK(validation.pipe_ack_bytes(kStart + 2200ms) == 10'000);
  CHECK(validation.pipe_ack_bytes(kStart + 3s) == 0);
}

TEST(WindowValidation, ResetForgets) {
  WindowValidation validation;
  validation.on_acknowledgment(kStart, 10'000, false, 20ms);
  validation.reset();
  CHECK(!validation.defined());
  validation.on_acknowledgment(kStart, 1'000, true, 20ms);
  CHECK(validation.pipe_ack_bytes(kStart) == 1'000);
}

TEST(WindowValidation, ExpiredPeriodsAreTakenOnce) {
  WindowValidation validation;
  CHECK(validation.take_expired_periods(kStart) == 0);
  CHECK(validation.take_expired_periods(kStart + 5min - 1ns) == 0);
  CHECK(validation.take_expired_periods(kStart + 16min) == 3);
  CHECK(validation.take_expired_periods(kStart + 16min) == 0);
  CHECK(validation.take_expired_periods(kStart + 20min) == 1);
  validation.mark_valid(kStart + 24min);
  CHECK(validation.take_expired_periods(kStart + 28min) == 0);
}

TEST(WindowValidation, AbsurdNumbersSaturate) {
  WindowValidation validation;
  validation.on_acknowledgment(kStart, UINT64_MAX, false, Duration::max());
  validation.on_acknowledgment(kStart, UINT64_MAX, false, -1s);
  CHECK(validation.pipe_ack_bytes(kStart) == UINT32_MAX);
  CHECK(validation.pipe_ack_bytes(kStart - 1h) == UINT32_MAX);
}
