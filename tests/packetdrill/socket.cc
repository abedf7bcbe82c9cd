// See socket.h.
#include "tests/packetdrill/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace nearfield::packetdrill {

void Socket::want(std::span<std::byte> into, bool peek) {
  wanted_ = into;
  peek_ = peek;
  taken_ = 0;
}

std::size_t Socket::on_receive(std::span<const std::byte> bytes) {
  ++happenings;
  if (discarding) return bytes.size();
  const std::size_t count = std::min(bytes.size(), wanted_.size());
  std::memcpy(wanted_.data(), bytes.data(), count);
  wanted_ = wanted_.subspan(count);
  taken_ += count;
  const std::size_t consumed = peek_ ? 0 : count;
  readable = consumed < bytes.size();
  if (peek_) wanted_ = {};  // the same bytes would be offered again
  return consumed;
}

void Socket::on_receive_end() {
  ++happenings;
  ended = true;
}

void Socket::on_send_ready(net::SendPlan& plan) {
  // Pieces small enough that two hundred megabytes of zeros are never in one string.
  std::array<std::byte, 4096> piece;
  for (int i = 0; i < 64 && !unsent.empty() && plan.room() > 1; ++i) {
    const std::size_t count = std::min(unsent.size(), piece.size());
    std::copy_n(unsent.begin(), count, piece.begin());
    unsent.erase(unsent.begin(), unsent.begin() + static_cast<std::ptrdiff_t>(count));
    plan.append_text({reinterpret_cast<const char*>(piece.data()), count});
  }
  if (finishing && unsent.empty() && stream != nullptr) stream->close_after_send();
}

void Socket::on_closed(net::CloseReason reason) {
  ++happenings;
  stream = nullptr;
  unsent.clear();
  readable = false;
  switch (reason) {
    case net::CloseReason::finished:
    case net::CloseReason::aborted:
      ended = true;
      break;
    case net::CloseReason::peer_reset:
      error = ended ? EPIPE : ECONNRESET;
      break;
    case net::CloseReason::timed_out:
      error = ETIMEDOUT;
      break;
    case net::CloseReason::connect_refused:
    case net::CloseReason::connect_failed:
    case net::CloseReason::out_of_resources:
      error = ENOBUFS;
      break;
  }
}

net::StreamHandler* Socket::on_accept(net::Stream& accepted_stream) {
  if (accepted.size() >= std::max<std::size_t>(backlog, 1)) return nullptr;
  auto socket = std::make_unique<Socket>();
  socket->kind = Kind::connection;
  socket->family = family;
  socket->stream = &accepted_stream;
  socket->local = accepted_stream.local();
  socket->peer = accepted_stream.peer();
  accepted.push_back(std::move(socket));
  ++happenings;
  return accepted.back().get();
}

}  // namespace nearfield::packetdrill
