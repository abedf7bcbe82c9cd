// See tcp_information.h. The numbers of states are those of Linux's include/net/tcp_states.h.
#include "tests/packetdrill/tcp_information.h"

#include <algorithm>
#include <chrono>

namespace nearfield::packetdrill {
namespace {

std::uint8_t state_number(net::tcp::State state) {
  switch (state) {
    case net::tcp::State::established:
      return 1;
    case net::tcp::State::fin_wait_1:
      return 4;
    case net::tcp::State::fin_wait_2:
      return 5;
    case net::tcp::State::close_wait:
      return 8;
    case net::tcp::State::last_ack:
      return 9;
    case net::tcp::State::closing:
      return 11;
    case net::tcp::State::free:
    case net::tcp::State::closed:
      break;
  }
  return 7;
}

std::uint32_t microseconds(Duration duration) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

}  // namespace

std::uint64_t unacknowledged_bytes(const net::tcp::ConnectionView& view) {
  return view.in_flight_bytes + view.lost_bytes + view.sacked_bytes;
}

tcp_info closed_tcp_information() {
  tcp_info information{};
  information.tcpi_state = 7;
  return information;
}

tcp_info tcp_information(const net::tcp::ConnectionView& view) {
  const std::uint64_t segment = std::max<std::uint32_t>(view.segment_bytes, 1);
  const auto packets = [segment](std::uint64_t bytes) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>((bytes + segment - 1) / segment, 0x7fffffff));
  };
  tcp_info information{};
  information.tcpi_state = state_number(view.state);
  information.tcpi_options =
      static_cast<std::uint8_t>((view.timestamps ? TCPI_OPT_TIMESTAMPS : 0) |
                                (view.sack ? TCPI_OPT_SACK : 0) | (view.ecn ? TCPI_OPT_ECN : 0));
  information.tcpi_retransmits = view.consecutive_timeouts;
  information.tcpi_rto = microseconds(view.retransmission_timeout);
  information.tcpi_snd_mss = view.segment_bytes;
  information.tcpi_unacked = packets(unacknowledged_bytes(view));
  information.tcpi_sacked = packets(view.sacked_bytes);
  information.tcpi_lost = packets(view.lost_bytes);
  information.tcpi_pmtu = view.packet_bytes;
  information.tcpi_rtt = microseconds(view.smoothed_round_trip);
  information.tcpi_min_rtt = microseconds(view.minimum_round_trip);
  information.tcpi_snd_ssthresh = packets(view.slow_start_threshold_bytes);
  information.tcpi_snd_cwnd = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(view.congestion_window_bytes / segment, 0x7fffffff));
  information.tcpi_total_retrans = packets(view.retransmitted_bytes);
  information.tcpi_pacing_rate = view.pacing_bytes_per_second;
  information.tcpi_bytes_acked = view.acknowledged_bytes;
  information.tcpi_bytes_received = view.received_bytes;
  information.tcpi_bytes_retrans = view.retransmitted_bytes;
  information.tcpi_notsent_bytes = static_cast<std::uint32_t>(view.unsent_bytes);
  return information;
}

}  // namespace nearfield::packetdrill
