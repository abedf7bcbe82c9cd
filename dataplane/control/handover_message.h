// The messages of a handover (handover.h): JSON texts with descriptors beside them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"

namespace nearfield::control {

inline constexpr std::size_t kMaximumHandoverBytes = 16 * 1024;

struct HandoverMessage {
  struct Entry {
    std::string configured;
    std::string local;
    bool tls = false;
  };
  bool want_listeners = false;
  bool ready = false;
  bool draining = false;
  bool more = false;
  std::vector<Entry> listeners;
  std::string error;  // why the other side refuses
};

std::string handover_text(const HandoverMessage& message);
Result<HandoverMessage> parse_handover(std::string_view text);

// One packet with `descriptors`. Fails when the peer is gone.
Result<void> send_handover(int socket, const HandoverMessage& message,
                           const std::vector<int>& descriptors = {});
// One packet; received descriptors (close-on-exec) are added to `descriptors`, also when this
// fails: they are the caller's to close. Fails at the end of the connection and, on a socket with a
// receive time-out, after it.
Result<HandoverMessage> receive_handover(int socket, std::vector<int>& descriptors);

}  // namespace nearfield::control
