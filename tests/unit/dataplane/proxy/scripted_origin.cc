// See scripted_origin.h.
#include "tests/unit/dataplane/proxy/scripted_origin.h"

namespace nearfield::proxy::testing {

class ScriptedCall::Handle final : public origin::OriginCall {
 public:
  explicit Handle(std::shared_ptr<ScriptedCall> call) : call_(std::move(call)) {}
  ~Handle() override {
    if (!call_->over) call_->cancelled = true;
    call_->observer = nullptr;
    call_->steps.clear();
  }
  void resume() override {
    // As a real connection would: later, not from within this call.
    call_->reactor->post([call = call_] { call->push(); });
  }
  std::string_view origin_name() const override { return "scripted"; }

 private:
  std::shared_ptr<ScriptedCall> call_;
};

std::unique_ptr<origin::OriginCall> ScriptedOrigin::start(origin::OriginRequest request,
                                                          origin::OriginObserver& observer) {
  auto call = std::make_shared<ScriptedCall>();
  call->request = std::move(request);
  call->reactor = &reactor_;
  call->observer = &observer;
  calls.push_back(call);
  reactor_.post([this, call] {
    if (call->observer != nullptr && on_call) on_call(*call);
  });
  return std::make_unique<ScriptedCall::Handle>(call);
}

void ScriptedCall::push() {
  if (pushing) return;
  pushing = true;
  while (!steps.empty() && observer != nullptr) {
    if (!steps.front()()) break;
    if (!steps.empty()) steps.pop_front();
  }
  pushing = false;
}

void ScriptedCall::deliver(std::function<void(origin::OriginObserver&)> step) {
  steps.push_back([this, step = std::move(step)] {
    step(*observer);
    return true;
  });
  push();
}

void ScriptedCall::interim(std::uint16_t status, std::string_view name, std::string_view value) {
  http::ResponseHead head;
  head.status = status;
  head.fields.add(name, value);
  deliver([head](origin::OriginObserver& to) { to.on_interim(head); });
}

void ScriptedCall::head(std::uint16_t status,
                        std::vector<std::pair<std::string, std::string>> fields,
                        std::optional<std::uint64_t> length, bool no_body) {
  http::ResponseHead head;
  head.status = status;
  for (const auto& [name, value] : fields) head.fields.add(name, value);
  if (length) {
    head.has_content_length = true;
    head.content_length = *length;
    head.fields.add("Content-Length", std::to_string(*length));
  }
  head.framing = no_body  ? http::BodyFraming::kNone
                 : length ? http::BodyFraming::kLength
                          : http::BodyFraming::kChunked;
  deliver([head](origin::OriginObserver& to) {
    http::ResponseHead copy = head;
    to.on_head(std::move(copy));
  });
}

void ScriptedCall::body(std::string_view bytes) {
  auto rest = std::make_shared<std::string>(bytes);
  steps.push_back([this, rest, sent = std::size_t{0}]() mutable {
    sent += observer->on_body(std::as_bytes(std::span(*rest)).subspan(sent));
    return sent == rest->size();
  });
  push();
}

void ScriptedCall::complete() {
  deliver([this](origin::OriginObserver& to) {
    over = true;
    to.on_complete({});
  });
}

void ScriptedCall::fail(origin::OriginFailureKind kind) {
  deliver([this, kind](origin::OriginObserver& to) {
    over = true;
    to.on_failure({kind, "scripted"});
  });
}

void ScriptedCall::answer(std::uint16_t status,
                          std::vector<std::pair<std::string, std::string>> fields,
                          std::string_view text) {
  const bool no_body = status == 204 || status == 304 || request.method == "HEAD";
  head(status, std::move(fields),
       status == 204 || status == 304 ? std::nullopt : std::optional<std::uint64_t>(text.size()),
       no_body);
  if (!no_body && !text.empty()) body(text);
  complete();
}

}  // namespace nearfield::proxy::testing
