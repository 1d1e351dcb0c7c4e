// Everything that does not fit, in one error.
#pragma once

#include "runtime/core/Status.h"

#include <string>
#include <string_view>

namespace rtorch::core {

class Differences final {
public:
  /// Lists are cut behind the first hundred; the count is right all the same.
  void add(std::string_view what);
  /// Success without differences, else CheckpointMismatch: "the weights do not fit
  /// ...".
  Status status(std::string_view what) const;

private:
  std::string list_;
  size_t count_ = 0;
};

} // namespace rtorch::core
