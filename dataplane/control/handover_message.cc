#include "dataplane/control/handover_message.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <format>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/control/handover.h"

namespace nearfield::control {

namespace json = boost::json;

namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kControlBytes = CMSG_SPACE(kListenersPerMessage * sizeof(int));

bool flag(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

std::string handover_text(const HandoverMessage& message) {
  json::object object{{"nearfield_handover", kVersion}};
  if (message.want_listeners) object.emplace("want", "listeners");
  if (message.ready) object.emplace("ready", true);
  if (message.draining) object.emplace("draining", true);
  if (!message.error.empty()) object.emplace("error", message.error);
  if (!message.listeners.empty()) {
    json::array array;
    for (const HandoverMessage::Entry& entry : message.listeners) {
      json::object one{{"configured", entry.configured}, {"local", entry.local}};
      if (entry.tls) one.emplace("tls", true);
      array.push_back(std::move(one));
    }
    object.emplace("listeners", std::move(array));
  }
  object.emplace("more", message.more);
  return json::serialize(object);
}

Result<HandoverMessage> parse_handover(std::string_view bytes) {
  boost::system::error_code code;
  const json::value value = json::parse(bytes, code);
  const json::object* object = code ? nullptr : value.if_object();
  if (object == nullptr) return failure("the other process does not speak the handover protocol");
  const json::value* version = object->if_contains("nearfield_handover");
  if (version == nullptr || !version->is_int64() || version->get_int64() != kVersion) {
    return failure(
        "the other process speaks another version of the handover protocol: restart it instead");
  }
  HandoverMessage message;
  message.want_listeners = text(*object, "want") == "listeners";
  message.ready = flag(*object, "ready");
  message.draining = flag(*object, "draining");
  message.more = flag(*object, "more");
  message.error = text(*object, "error");
  if (const json::value* listeners = object->if_contains("listeners")) {
    if (!listeners->is_array() || listeners->get_array().size() > kListenersPerMessage) {
      return failure("the other process sent a list of listeners that is none");
    }
    for (const json::value& entry : listeners->get_array()) {
      if (!entry.is_object()) return failure("the other process sent a listener without a name");
      message.listeners.push_back({.configured = text(entry.get_object(), "configured"),
                                   .local = text(entry.get_object(), "local"),
                                   .tls = flag(entry.get_object(), "tls")});
    }
  }
  return message;
}

Result<void> send_handover(int socket, const HandoverMessage& message,
                           const std::vector<int>& descriptors) {
  NEARFIELD_ASSERT(descriptors.size() <= kListenersPerMessage);
  std::string bytes = handover_text(message);
  iovec vector{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const std::size_t size = descriptors.size() * sizeof(int);
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    return failure(
        std::format("the other process does not take the handover: {}", std::strerror(errno)));
  }
  return {};
}

Result<HandoverMessage> receive_handover(int socket, std::vector<int>& descriptors) {
  std::array<char, kMaximumHandoverBytes> bytes{};
  iovec vector{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    const bool late = errno == EAGAIN || errno == EWOULDBLOCK;
    return failure(late ? std::string("the other process does not answer the handover in time")
                        : std::format("the handover broke: {}", std::strerror(errno)));
  }
  for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr;
       rights = CMSG_NXTHDR(&header, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
      descriptors.push_back(descriptor);
    }
  }
  if (got == 0) return failure("the other process ended the handover");
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return failure("the other process sent more than the handover protocol allows");
  }
  auto message = parse_handover(std::string_view(bytes.data(), static_cast<std::size_t>(got)));
  if (message && !message->error.empty())
    return failure("the other process refuses: " + message->error);
  return message;
}

}  // namespace nearfield::control
