#include "tests/unit/dataplane/origin/tls_origin_fixture.h"

#include <map>
#include <utility>

#include "tests/unit/dataplane/tls/tls_test_support.h"

namespace nearfield::origin {

void TlsPeer::send(std::string_view bytes) {
  outbox_ += bytes;
  if (stream_ != nullptr) stream_->wake_sender();
}

void TlsPeer::close() {
  closes_ = true;
  if (stream_ != nullptr) stream_->wake_sender();
}

void TlsPeer::close_without_notice() {
  aborts_ = true;
  if (stream_ != nullptr && outbox_.empty() && unreleased_bytes_ == 0) stream_->abort();
}

std::size_t TlsPeer::on_receive(std::span<const std::byte> bytes) {
  received_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (std::size_t end; (end = received_.find("\r\n\r\n")) != std::string::npos;) {
    const std::string request = received_.substr(0, end + 4);
    received_.erase(0, end + 4);
    if (answer) answer(*this, request);
  }
  return bytes.size();
}

void TlsPeer::on_send_ready(net::SendPlan& plan) {
  while (!outbox_.empty() && plan.room() > 0) {
    const std::string_view slice = std::string_view(outbox_).substr(0, 30'000);
    plan.append_text(slice);
    unreleased_bytes_ += slice.size();
    outbox_.erase(0, slice.size());
  }
  if (closes_ && outbox_.empty()) stream_->close_after_send();
}

void TlsPeer::on_released(std::uint64_t bytes) {
  unreleased_bytes_ -= bytes;
  if (aborts_ && outbox_.empty() && unreleased_bytes_ == 0 && stream_ != nullptr) stream_->abort();
}

void TlsPeer::on_closed(net::CloseReason) { stream_ = nullptr; }

TlsOrigin::TlsOrigin(sim::World& world, tls::SecureContext& context, sim::SimReactor& machine,
                     const std::string& endpoint, const tls::ServerOptions& options)
    : acceptor_(context, tally_, *this, tls::test::server_settings(options), {}) {
  world.serve(net::Endpoint::parse(endpoint).value(), machine, acceptor_);
}

void TlsOrigin::always(std::string response) {
  answer = [response = std::move(response)](TlsPeer& peer, const std::string&) {
    peer.send(response);
  };
}

net::StreamHandler* TlsOrigin::on_accept(net::Stream& stream) {
  asked_names.push_back(stream.security()->server_name);
  TlsPeer& peer = *peers.emplace_back(std::make_unique<TlsPeer>(stream));
  peer.answer = [this](TlsPeer& asked, const std::string& request) {
    requests.push_back(request);
    if (answer) answer(asked, request);
  };
  return &peer;
}

TlsOriginFixture::TlsOriginFixture(std::uint64_t seed)
    : OriginFixture(seed),
      server_context(machine, pool, tls::test::engine()),
      client_context(worker, pool, tls::test::engine()),
      connector(client_context) {
  world.set_wall_time(tls::test::real_now());
  options.secure = &connector;
  tls = {.available = true, .now = tls::test::real_now()};
  before_each_look = [this] { run_helpers(); };
  resolver->table["origin.example"] = {"192.0.2.1"};
}

TlsOriginFixture::~TlsOriginFixture() {
  client.reset();
  run_until([] { return false; }, std::chrono::seconds(5));
  for (const auto& origin : origins) {
    for (const auto& peer : origin->peers) {
      if (peer->stream() != nullptr) peer->stream()->abort();
    }
  }
  run_until([] { return false; }, std::chrono::seconds(20));
}

tls::test::TestAuthority& TlsOriginFixture::authority() {
  static tls::test::TestAuthority made("Origins");
  return made;
}

tls::test::TestAuthority& TlsOriginFixture::stranger() {
  static tls::test::TestAuthority made("Stranger");
  return made;
}

tls::CertificateFiles TlsOriginFixture::certificate_of(const std::string& name) {
  static std::map<std::string, tls::CertificateFiles> made;
  auto [place, is_new] = made.try_emplace(name);
  if (is_new) place->second = authority().host(name);
  return place->second;
}

TlsOrigin& TlsOriginFixture::serve(const std::string& endpoint) {
  tls::ServerOptions options;
  options.certificates = {certificate_of("origin.example")};
  return serve(endpoint, options);
}

TlsOrigin& TlsOriginFixture::serve(const std::string& endpoint,
                                   const tls::ServerOptions& server_options) {
  return *origins.emplace_back(
      std::make_unique<TlsOrigin>(world, server_context, machine, endpoint, server_options));
}

OriginGroup TlsOriginFixture::secure_group(std::vector<std::string> urls) {
  OriginGroup group = group_of(std::move(urls));
  group.tls.ca_file = authority().ca_file();
  return group;
}

void TlsOriginFixture::run_helpers() {
  while (pool.run_one()) {
  }
}

bool TlsOriginFixture::run_until(const std::function<bool()>& done, Duration limit) {
  return world.run_until(
      [&] {
        run_helpers();
        return done();
      },
      limit);
}

}  // namespace nearfield::origin
