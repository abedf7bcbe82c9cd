// An application above lwIP; see caller.h.
#include "tests/sim/lwip/caller.h"

#include <lwip/tcp.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "tests/sim/lwip/host.h"
#include "tests/sim/tcp/exchange.h"
#include "tests/sim/tcp/world.h"

namespace nearfield::sim::lwip {
namespace {

constexpr Duration kReadEvery = std::chrono::milliseconds(20);
constexpr unsigned kMostRefusals = 20;

Caller& caller_of(void* argument) { return *static_cast<Caller*>(argument); }

}  // namespace

std::uint64_t CallPlan::expected_bytes() const {
  return std::accumulate(answer_bytes.begin(), answer_bytes.end(), std::uint64_t{0});
}

Caller::Caller(const CallPlan& plan, std::uint32_t connection, std::uint64_t seed,
               std::function<void(std::string)> violation)
    : plan_(plan),
      connection_(connection),
      expected_(plan.expected_bytes()),
      violation_(std::move(violation)),
      random_(seed) {
  std::uint64_t sum = 0;
  for (std::size_t index = 0; index < plan.answer_bytes.size(); ++index) {
    const bool is_last = index + 1 == plan.answer_bytes.size();
    const auto request = tcp::encode_request(
        {connection, plan.answer_bytes[index], is_last && plan.server_closes()});
    requests_.insert(requests_.end(), request.begin(), request.end());
    answer_ends_.push_back(sum += plan.answer_bytes[index]);
  }
}

std::uint16_t Caller::start(std::uint16_t port, MonotonicTime now) {
  now_ = now;
  state_ = State::calling;
  pcb_ = tcp_new_ip_type(plan_.is_v6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
  if (pcb_ == nullptr) {
    fail("lwIP has no room for a connection");
    return port;
  }
  tcp_arg(pcb_, this);
  tcp_recv(pcb_, [](void* argument, tcp_pcb*, pbuf* data, err_t) -> err_t {
    return caller_of(argument).on_receive(data);
  });
  tcp_sent(pcb_, [](void* argument, tcp_pcb*, u16_t) -> err_t {
    caller_of(argument).send();
    return ERR_OK;
  });
  // For a write that lwIP had no room for.
  tcp_poll(
      pcb_,
      [](void* argument, tcp_pcb*) -> err_t {
        caller_of(argument).send();
        return ERR_OK;
      },
      2);
  tcp_err(pcb_, [](void* argument, err_t error) { caller_of(argument).on_gone(error); });
  if (!plan_.nagle) tcp_nagle_disable(pcb_);
  ip_addr_t local;
  to_lwip(host_address(plan_.is_v6), local);
  while (tcp_bind(pcb_, &local, port) != ERR_OK) port = port == 65535 ? 1024 : port + 1;
  const tcp::Endpoint server = tcp::server_endpoint(plan_.is_v6);
  ip_addr_t remote;
  to_lwip(server.address, remote);
  const err_t error = tcp_connect(
      pcb_, &remote, server.port,
      [](void* argument, tcp_pcb*, err_t) -> err_t { return caller_of(argument).on_connected(); });
  if (error != ERR_OK) fail("lwIP does not connect: " + std::to_string(error));
  return port;
}

std::int8_t Caller::on_connected() {
  connected_ = true;
  if (plan_.resets_after_bytes == 0) return reset();
  send();
  return ERR_OK;
}

std::int8_t Caller::on_receive(pbuf* data) {
  if (data == nullptr) {
    on_end();
    return ERR_OK;
  }
  if (plan_.refuses && refusals_ < kMostRefusals && random_.between(0, 15) == 0) {
    ++refusals_;
    return ERR_MEM;
  }
  if (ended_) fail("bytes came behind the server's FIN");
  for (const pbuf* part = data; part != nullptr; part = part->next) {
    const std::span bytes(static_cast<const std::byte*>(part->payload), part->len);
    const std::size_t wrong = tcp::first_wrong_byte(connection_, received_, bytes);
    if (wrong < bytes.size())
      fail("lwIP received a wrong byte at position " + std::to_string(received_ + wrong));
    received_ += bytes.size();
  }
  if (received_ > expected_) fail("lwIP received more than was asked for");
  unread_ += data->tot_len;
  pbuf_free(data);
  if (plan_.resets_after_bytes && received_ >= *plan_.resets_after_bytes) return reset();
  if (!read_at_) read();
  send();
  return ERR_OK;
}

void Caller::on_end() {
  if (ended_) return fail("lwIP tells the end twice");
  ended_ = true;
  if (received_ != expected_)
    fail("the server's FIN came behind byte " + std::to_string(received_) + " of " +
         std::to_string(expected_));
  if (!closed_) {
    acknowledge(unread_);
    close();
  }
  if (state_ == State::calling) state_ = State::complete;
}

void Caller::on_gone(std::int8_t error) {
  pcb_ = nullptr;
  fail(error == ERR_RST    ? "lwIP was sent a reset"
       : error == ERR_ABRT ? "lwIP gave up"
                           : "lwIP lost the connection: " + std::to_string(error));
}

void Caller::send() {
  if (pcb_ == nullptr || !connected_ || closed_) return;
  std::size_t released = requests_.size();
  if (!plan_.pipelined) {
    const auto answered = std::ranges::upper_bound(answer_ends_, received_) - answer_ends_.begin();
    released = std::min(released,
                        (static_cast<std::size_t>(answered) + 1) * std::size_t{tcp::kRequestBytes});
  }
  bool wrote = false;
  while (written_ < released) {
    // In odd pieces: then no two segments could change places unseen.
    const std::size_t piece = std::min<std::size_t>(
        {released - written_, tcp_sndbuf(pcb_), std::size_t{random_.between(1, 2900)}});
    if (piece == 0) break;
    const auto flags = static_cast<u8_t>(plan_.copies ? TCP_WRITE_FLAG_COPY : 0);
    if (tcp_write(pcb_, requests_.data() + written_, static_cast<u16_t>(piece), flags) != ERR_OK)
      break;
    written_ += piece;
    wrote = true;
  }
  if (wrote) tcp_output(pcb_);
  if (written_ == requests_.size()) {
    if (plan_.closing == tcp::Closing::after_requests) shut_sending();
    if (plan_.closing == tcp::Closing::crossing && !shut_at_ && !shut_)
      shut_at_ = now_ + std::chrono::milliseconds(random_.between(0, 300));
    if (plan_.closing == tcp::Closing::after_answers && received_ == expected_ && unread_ == 0)
      close();
  }
}

// lwIP's window opens as the application says that it has read.
void Caller::read() {
  if (plan_.hold && !held_ && received_ >= plan_.hold->after_bytes) {
    held_ = true;
    read_at_ = now_ + plan_.hold->time;
    return;
  }
  if (plan_.read_bytes_per_second == 0) return acknowledge(unread_);
  const auto piece = std::max<std::uint64_t>(
      1,
      plan_.read_bytes_per_second * static_cast<std::uint64_t>(kReadEvery.count()) / 1'000'000'000);
  acknowledge(std::min(unread_, piece));
  if (unread_ > 0) read_at_ = now_ + kReadEvery;
}

void Caller::acknowledge(std::uint64_t bytes) {
  unread_ -= bytes;
  while (bytes > 0 && pcb_ != nullptr) {
    const auto piece = static_cast<u16_t>(std::min<std::uint64_t>(bytes, 0xffff));
    tcp_recved(pcb_, piece);
    bytes -= piece;
  }
}

void Caller::run() {
  if (read_at_ && *read_at_ <= now_) {
    read_at_.reset();
    if (pcb_ != nullptr && !closed_) read();
    send();
  }
  if (shut_at_ && *shut_at_ <= now_) {
    shut_at_.reset();
    shut_sending();
  }
}

std::optional<MonotonicTime> Caller::next_deadline() const {
  if (read_at_ && shut_at_) return std::min(*read_at_, *shut_at_);
  return read_at_ ? read_at_ : shut_at_;
}

// No room for the FIN: the poll comes back to it.
void Caller::shut_sending() {
  if (shut_ || closed_ || pcb_ == nullptr) return;
  shut_ = tcp_shutdown(pcb_, 0, 1) == ERR_OK;
}

void Caller::close() {
  closed_ = true;
  if (pcb_ == nullptr) return;
  if (tcp_close(pcb_) != ERR_OK) fail("lwIP does not close");
}

std::int8_t Caller::reset() {
  state_ = State::reset;
  tcp_err(pcb_, nullptr);
  tcp_abort(std::exchange(pcb_, nullptr));
  return ERR_ABRT;
}

void Caller::fail(std::string what) {
  state_ = State::failed;
  violation_(std::move(what));
}

}  // namespace nearfield::sim::lwip
