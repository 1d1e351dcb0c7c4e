// Memory aligned for kernels.
#pragma once

#include "runtime/core/Status.h"

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace rtorch::core {

/// Owned memory, aligned to RTORCH_ALIGNMENT (large blocks to a huge page). Its content
/// is not initialised. Only grows.
class AlignedBuffer final {
public:
  std::byte *data() const { return memory_.get(); }
  size_t size() const { return size_; }
  /// Makes room for at least `bytes`; the content is lost when it has to grow. Fails
  /// with MemoryExhausted, naming `purpose`, and keeps the old memory then.
  Status reserve(size_t bytes, const char *purpose);

private:
  struct Free {
    void operator()(std::byte *memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  size_t size_ = 0;
};

} // namespace rtorch::core
