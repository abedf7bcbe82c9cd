// HttpOriginClient: the OriginClient over HTTP/1.1. One a worker; it holds the worker's pools and,
// on one worker of the process, the active health checks. What it may ask is in an OriginDirectory,
// which use() exchanges on a reload.
//
// Lifetime: calls are destroyed before their client, and the client before its reactor; never from
// within a callback of a call.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/http/response_parser.h"
#include "dataplane/net/reactor.h"
#include "dataplane/net/timer.h"
#include "dataplane/origin/client.h"
#include "dataplane/origin/connection.h"
#include "dataplane/origin/directory.h"

namespace nearfield::origin {

class HealthProber;
class HttpOriginCall;
class OriginPool;

struct HttpOriginOptions {
  http::ResponseLimits response;
  // True on exactly one worker of the process.
  bool runs_health_checks = false;
  // This worker's, for https; lives until the reactor has ended the client's connections. Null: a
  // directory with https servers is not given to this client (OriginTlsSetup::available).
  tls::SecureConnector* secure = nullptr;
};

class HttpOriginClient final : public OriginClient {
 public:
  static std::unique_ptr<HttpOriginClient> create(net::Reactor& reactor,
                                                  std::shared_ptr<const OriginDirectory> directory,
                                                  const HttpOriginOptions& options);
  ~HttpOriginClient() override;
  HttpOriginClient(const HttpOriginClient&) = delete;
  HttpOriginClient& operator=(const HttpOriginClient&) = delete;

  std::unique_ptr<OriginCall> start(OriginRequest request, OriginObserver& observer) override;

  // After a reload; this worker's thread (Reactor::post). Calls under way finish with what they
  // began with.
  void use(std::shared_ptr<const OriginDirectory> directory);

  // This worker's: begun and not finished.
  std::size_t calls() const { return calls_; }

 private:
  friend class HttpOriginCall;
  HttpOriginClient(net::Reactor& reactor, std::shared_ptr<const OriginDirectory> directory,
                   const HttpOriginOptions& options);

  OriginPool& pool(const std::shared_ptr<const OriginGroupEntry>& group, const Origin& origin);
  bool is_current(const OriginGroupEntry& group) const;
  void restart_health_checks();
  void sweep();

  const OriginTransport transport_;
  std::shared_ptr<const OriginDirectory> directory_;
  const bool runs_health_checks_;
  std::unordered_map<const Origin*, std::unique_ptr<OriginPool>>
      pools_;  // each keeps its Origin alive
  std::vector<std::unique_ptr<HealthProber>> probers_;
  net::Timer sweep_timer_;
  std::size_t calls_ = 0;
};

}  // namespace nearfield::origin
