// AccessRecord: what is remembered of one answered request, and the sink that takes it without ever
// blocking a worker. The client's address is truncated before it gets here (/24, /48); the query is
// not recorded, because tokens live there.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "dataplane/net/endpoint.h"

namespace nearfield::proxy {

struct AccessRecord {
  std::chrono::milliseconds time{};  // when the head was read, since the Unix epoch
  std::string_view method;
  std::string_view authority;
  std::string_view path;         // without the query
  std::uint16_t status = 0;      // 0: the connection ended before a response head
  std::uint64_t body_bytes = 0;  // sent to the listener
  std::string_view cache;        // the node's member of Cache-Status, or empty
  std::string_view range;        // the Range field, or empty
  std::chrono::microseconds
      first_byte{};                      // from the head to the first byte handed to the transport
  std::chrono::microseconds duration{};  // from the head to the last byte, or to the break
  net::Address client_prefix;
  std::string_view protocol;  // "HTTP/1.0", "HTTP/1.1", "HTTP/2"
  std::string_view tls;       // "TLSv1.3", "TLSv1.2"; empty: clear text
  bool broken = false;        // cut short: the peer left or the body could not be completed
};

class AccessSink {
 public:
  // Worker thread; copies what it needs; drops (and counts) when its buffer is full.
  virtual void record(const AccessRecord& record) = 0;

 protected:
  ~AccessSink() = default;
};

}  // namespace nearfield::proxy
