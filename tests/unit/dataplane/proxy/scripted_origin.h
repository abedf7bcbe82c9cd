// ScriptedOrigin: an OriginClient that answers as the test says, in virtual time. What the proxy
// asked is kept, in order.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/net/reactor.h"
#include "dataplane/origin/client.h"

namespace nearfield::proxy::testing {

class ScriptedOrigin;

// One call under way; the test drives it through these. Lives as long as the origin.
class ScriptedCall {
 public:
  origin::OriginRequest request;
  bool cancelled = false;
  bool over = false;

  void interim(std::uint16_t status, std::string_view name, std::string_view value);
  // `length`: by Content-Length; none: chunked.
  void head(std::uint16_t status, std::vector<std::pair<std::string, std::string>> fields,
            std::optional<std::uint64_t> length, bool no_body = false);
  void body(std::string_view bytes);
  void complete();
  void fail(origin::OriginFailureKind kind);
  // A whole answer.
  void answer(std::uint16_t status, std::vector<std::pair<std::string, std::string>> fields,
              std::string_view text);

 private:
  friend class ScriptedOrigin;
  class Handle;
  void deliver(std::function<void(origin::OriginObserver&)> step);
  void push();

  net::Reactor* reactor = nullptr;
  origin::OriginObserver* observer = nullptr;
  std::deque<std::function<bool()>> steps;  // false: paused, call again after resume
  bool pushing = false;
};

class ScriptedOrigin final : public origin::OriginClient {
 public:
  explicit ScriptedOrigin(net::Reactor& reactor) : reactor_(reactor) {}

  // Runs for every call, from the worker's loop.
  std::function<void(ScriptedCall&)> on_call;
  std::vector<std::shared_ptr<ScriptedCall>> calls;

  std::unique_ptr<origin::OriginCall> start(origin::OriginRequest request,
                                            origin::OriginObserver& observer) override;

 private:
  net::Reactor& reactor_;
};

}  // namespace nearfield::proxy::testing
