// Metadata: what the user of the store keeps beside a body (status, fields, times). Immutable,
// replaced as a whole: a 304 makes a new one.
#pragma once

#include <cstddef>

#include "cache/base/ref.h"

namespace nearfield::cache {

class Metadata : public RefCounted<Metadata> {
 public:
  virtual ~Metadata() = default;
  // Everything it holds, itself included, for the index's bound. Constant; called under the store's
  // lock.
  virtual std::size_t memory_bytes() const = 0;
};

}  // namespace nearfield::cache
