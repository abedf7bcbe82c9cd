#include "dataplane/net/dpdk/header_template.h"

#include <span>

#include "dataplane/net/byte_order.h"

namespace nearfield::net::dpdk {
namespace {

// Where in a header.
constexpr std::size_t kIpv4LengthOffset = 2;
constexpr std::size_t kIpv4IdentificationOffset = 4;
constexpr std::size_t kIpv4ChecksumOffset = 10;
constexpr std::size_t kIpv6LengthOffset = 4;
constexpr std::size_t kTcpSequenceOffset = 4;
constexpr std::size_t kTcpFlagsOffset = 13;
constexpr std::size_t kTcpChecksumOffset = 16;
constexpr std::uint8_t kFin = 0x01;
constexpr std::uint8_t kPsh = 0x08;
constexpr std::uint8_t kCwr = 0x80;

}  // namespace

HeaderTemplate::HeaderTemplate(const tcp::OutgoingSegment& segment, ip::FrameHeader link,
                               std::uint8_t hop_limit, std::uint16_t first_identification,
                               bool sums_tcp)
    : link_bytes_(ip::ethernet_header_bytes(link.vlan_id)),
      is_v4_(segment.flow->peer.address.is_v4()),
      piece_bytes_(segment.piece_bytes),
      payload_bytes_(segment.payload_bytes),
      sequence_(segment.header.sequence.value),
      first_identification_(first_identification) {
  link.ether_type = is_v4_ ? ip::kEtherTypeIpv4 : ip::kEtherTypeIpv6;
  ip_bytes_ = is_v4_ ? ip::kIpv4HeaderBytes : ip::kIpv6HeaderBytes;
  const std::span<std::byte> all(bytes_);
  ip::write_ethernet(link, all.first(link_bytes_));

  const std::span<std::byte> ip_header = all.subspan(link_bytes_, ip_bytes_);
  ip::write_ip_header({.source = segment.flow->local.address,
                       .destination = segment.flow->peer.address,
                       .protocol = ip::kProtocolTcp,
                       .ecn = segment.ecn_capable ? ip::kEct0 : ip::kNotEcnCapable,
                       .hop_limit = hop_limit,
                       .dont_fragment = !segment.may_fragment},
                      ip_header);
  if (is_v4_) {
    write_16(&ip_header[kIpv4LengthOffset], 0);
    write_16(&ip_header[kIpv4ChecksumOffset], 0);
    ip_.add(ip_header);
  }

  const std::span<std::byte> tcp_header = all.subspan(link_bytes_ + ip_bytes_);
  tcp_bytes_ = tcp::write_header(segment.header, tcp_header);
  flags_ = read_8(&tcp_header[kTcpFlagsOffset]);
  write_32(&tcp_header[kTcpSequenceOffset], 0);
  write_8(&tcp_header[kTcpFlagsOffset], 0);
  pseudo_ = ip::pseudo_header(segment.flow->local.address, segment.flow->peer.address,
                              ip::kProtocolTcp, 0);
  if (!sums_tcp) return;
  tcp_ = pseudo_;
  tcp_.add(tcp_header.first(tcp_bytes_));
}

void HeaderTemplate::finish(std::byte* headers, std::uint32_t offset, std::uint32_t payload_bytes,
                            Sums sums, const ip::Checksum& payload_sum) const {
  const auto tcp_length = static_cast<std::uint16_t>(tcp_bytes_ + payload_bytes);
  std::byte* const ip_header = headers + link_bytes_;
  if (is_v4_) {
    const auto length = static_cast<std::uint16_t>(ip_bytes_ + tcp_length);
    const std::uint32_t piece = piece_bytes_ == 0 ? 0 : offset / piece_bytes_;
    const auto identification = static_cast<std::uint16_t>(first_identification_ + piece);
    write_16(ip_header + kIpv4LengthOffset, length);
    write_16(ip_header + kIpv4IdentificationOffset, identification);
    if (sums != Sums::kNicPieces) {  // else lengths change, and the checksums with them
      ip::Checksum sum = ip_;
      sum.add_word(length);
      sum.add_word(identification);
      write_16(ip_header + kIpv4ChecksumOffset, sum.finish());
    }
  } else {
    write_16(ip_header + kIpv6LengthOffset, tcp_length);
  }

  std::byte* const tcp_header = ip_header + ip_bytes_;
  const std::uint32_t sequence = sequence_ + offset;
  std::uint8_t flags = flags_;
  if (offset + payload_bytes < payload_bytes_) flags &= static_cast<std::uint8_t>(~(kFin | kPsh));
  if (offset > 0) flags &= static_cast<std::uint8_t>(~kCwr);
  write_32(tcp_header + kTcpSequenceOffset, sequence);
  write_8(tcp_header + kTcpFlagsOffset, flags);
  if (sums == Sums::kHere) {
    ip::Checksum sum = tcp_;
    sum.add_word(tcp_length);
    sum.add_word(static_cast<std::uint16_t>(sequence >> 16));
    sum.add_word(static_cast<std::uint16_t>(sequence));
    sum.add_word(flags);
    sum.add_word(ip::partial(payload_sum));
    write_16(tcp_header + kTcpChecksumOffset, sum.finish());
  } else {
    ip::Checksum sum = pseudo_;
    if (sums == Sums::kNic) sum.add_word(tcp_length);
    write_16(tcp_header + kTcpChecksumOffset, ip::partial(sum));
  }
}

}  // namespace nearfield::net::dpdk
