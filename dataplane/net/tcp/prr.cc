#include "dataplane/net/tcp/prr.h"

#include <algorithm>

#include "dataplane/net/tcp/wide.h"

namespace nearfield::net::tcp {

namespace {

std::uint32_t saturate(std::uint64_t bytes) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, UINT32_MAX));
}

}  // namespace

void ProportionalRateReduction::begin(std::uint64_t in_flight_bytes,
                                      std::uint64_t slow_start_threshold_bytes,
                                      std::uint32_t segment_bytes) {
  *this = {};
  active_ = true;
  initial_in_flight_bytes_ = std::max<std::uint32_t>(saturate(in_flight_bytes), 1);
  slow_start_threshold_bytes_ = saturate(slow_start_threshold_bytes);
  segment_bytes_ = segment_bytes;
  allowance_bytes_ = segment_bytes;
}

void ProportionalRateReduction::end() { *this = {}; }

void ProportionalRateReduction::on_acknowledgment(std::uint64_t delivered_bytes,
                                                  std::uint64_t in_flight_bytes, bool advanced,
                                                  bool newly_lost) {
  // RFC 9937 6.2: an acknowledgment that delivers nothing is no reason to send.
  if (!active_ || delivered_bytes == 0) {
    return;
  }
  delivered_bytes = saturate(delivered_bytes);
  delivered_bytes_ += delivered_bytes;
  const std::uint64_t threshold = slow_start_threshold_bytes_;
  const auto unsent = [this](std::uint64_t due) {
    return due > sent_bytes_ ? due - sent_bytes_ : 0;
  };
  if (in_flight_bytes > threshold) {
    const Wide product = Wide{delivered_bytes_} * threshold;
    allowance_bytes_ =
        unsent(divide(product + initial_in_flight_bytes_ - 1, initial_in_flight_bytes_).quotient);
  } else {
    // Packet conservation; with progress and no further loss one segment more, which rebuilds to
    // the threshold as slow start would.
    allowance_bytes_ = std::max(unsent(delivered_bytes_), delivered_bytes);
    if (advanced && !newly_lost) {
      allowance_bytes_ += segment_bytes_;
    }
    allowance_bytes_ = std::min(allowance_bytes_, threshold - in_flight_bytes);
  }
  if (sent_bytes_ == 0 && allowance_bytes_ < segment_bytes_) {
    allowance_bytes_ = segment_bytes_;  // the fast retransmit, whatever the proportion is
  }
}

void ProportionalRateReduction::on_sent(std::uint64_t bytes) {
  if (!active_) {
    return;
  }
  bytes = saturate(bytes);
  sent_bytes_ += bytes;
  allowance_bytes_ -= std::min(allowance_bytes_, bytes);
}

}  // namespace nearfield::net::tcp
