// A trace: requests in the order they were made, read in batches from wherever they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/base/error.h"

namespace nearfield::cache::sim {

struct Request {
  std::uint64_t id = 0;
  std::uint32_t size_bytes = 0;
  std::uint32_t time_seconds =
      0;  // from the beginning of the trace or any other epoch; never goes back
};

class TraceSource {
 public:
  virtual ~TraceSource() = default;

  // Puts the next requests into `into` and says how many; 0 only at the end. Fails on input that is
  // not a trace, naming the file and the record.
  virtual Result<std::size_t> read(std::span<Request> into) = 0;

  // Starts again: the same requests will be read.
  virtual Result<void> rewind() = 0;

  // How many there are, where that is known beforehand.
  virtual std::optional<std::uint64_t> total_requests() const { return std::nullopt; }
};

// A trace held in memory: for tests and for what must look ahead.
class MemoryTrace final : public TraceSource {
 public:
  explicit MemoryTrace(std::vector<Request> requests) : requests_(std::move(requests)) {}

  Result<std::size_t> read(std::span<Request> into) override;
  Result<void> rewind() override {
    next_ = 0;
    return {};
  }
  std::optional<std::uint64_t> total_requests() const override { return requests_.size(); }

 private:
  std::vector<Request> requests_;
  std::size_t next_ = 0;
};

// Reads the rest of `source`.
Result<std::vector<Request>> read_all(TraceSource& source);

}  // namespace nearfield::cache::sim
