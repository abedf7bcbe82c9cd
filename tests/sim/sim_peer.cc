#include "tests/sim/sim_peer.h"

#include <algorithm>

#include "cache/base/assert.h"

namespace nearfield::sim {

SimPeer::~SimPeer() {
  if (stream_ != nullptr) stream_->abandon();
}

void SimPeer::begin(net::Stream* stream) {
  NEARFIELD_ASSERT(stream_ == nullptr);
  stream_ = static_cast<SimStream*>(stream);
  connected_ = false;
  ended_ = false;
  ending_applied_ = false;
  close_reason_.reset();
  received_.clear();
  received_bytes_ = 0;
  released_bytes_ = 0;
}

void SimPeer::connect(SimReactor& worker, const net::Endpoint& server,
                      const net::ConnectOptions& options) {
  begin(worker.connect(server, options, *this));
  if (stream_ == nullptr) close_reason_ = net::CloseReason::out_of_resources;
}

void SimPeer::connect_from(SimReactor& worker, const net::Endpoint& local,
                           const net::Endpoint& server, const net::ConnectOptions& options) {
  begin(worker.connect_from(local, server, options, *this));
  if (stream_ == nullptr) close_reason_ = net::CloseReason::out_of_resources;
}

void SimPeer::accept(net::Stream& stream) {
  begin(&stream);
  connected_ = true;
}

void SimPeer::send(std::string_view bytes) {
  outbox_ += bytes;
  if (stream_ != nullptr) stream_->wake_sender();
}

void SimPeer::half_close() {
  if (ending_ == Ending::open) ending_ = Ending::half_closed;
  if (stream_ != nullptr) stream_->wake_sender();
}

void SimPeer::close() {
  ending_ = Ending::closed;
  ending_applied_ = false;
  if (stream_ != nullptr) stream_->wake_sender();
  // A half-closed stream is not asked for more, so it must be told here.
  if (stream_ != nullptr && outbox_.empty()) apply_ending();
}

void SimPeer::abort() {
  if (stream_ != nullptr) stream_->abort();
}

void SimPeer::pause() { paused_ = true; }

void SimPeer::resume() {
  paused_ = false;
  if (stream_ != nullptr) stream_->resume_receive();
}

void SimPeer::apply_ending() {
  if (!connected_ || ending_ == Ending::open || ending_applied_) return;
  ending_applied_ = true;
  if (ending_ == Ending::half_closed) {
    stream_->shutdown_send();
  } else {
    stream_->close_after_send();
  }
}

void SimPeer::on_connected() { connected_ = true; }

std::size_t SimPeer::on_receive(std::span<const std::byte> bytes) {
  if (paused_) return 0;
  received_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  received_bytes_ += bytes.size();
  if (on_data) on_data(*this);
  return bytes.size();
}

void SimPeer::on_receive_end() {
  ended_ = true;
  if (on_end) on_end(*this);
}

void SimPeer::on_send_ready(net::SendPlan& plan) {
  constexpr std::size_t kPieceBytes = 1000;
  while (!outbox_.empty() && plan.room() > 0) {
    const std::size_t bytes = std::min(outbox_.size(), kPieceBytes);
    plan.append_text(std::string_view(outbox_).substr(0, bytes));
    outbox_.erase(0, bytes);
  }
  if (outbox_.empty()) apply_ending();
}

void SimPeer::on_released(std::uint64_t bytes) { released_bytes_ += bytes; }

void SimPeer::on_closed(net::CloseReason reason) {
  stream_ = nullptr;
  close_reason_ = reason;
}

SimServer::SimServer(World& world, SimReactor& worker, const net::Endpoint& at)
    : world_(world), worker_(worker), at_(at) {
  world_.serve(at_, worker_, *this);
}

SimServer::~SimServer() { world_.stop_serving(at_, worker_); }

net::StreamHandler* SimServer::on_accept(net::Stream& stream) {
  if (refuse) return nullptr;
  peers_.push_back(std::make_unique<SimPeer>());
  SimPeer& peer = *peers_.back();
  peer.accept(stream);
  peer.on_data = on_data;
  if (on_connection) on_connection(peer);
  return &peer;
}

}  // namespace nearfield::sim
