// Which memory of a call is written, and whether anything else lies in it.
#pragma once

#include "runtime/core/Status.h"
#include "runtime/core/Value.h"
#include "runtime/format/Manifest.h"

#include <cstdint>
#include <vector>

namespace rtorch::executor {

/// Collects the byte ranges of a call and finds a written one that overlaps another.
/// Ranges reach from the first to the last byte that a tensor touches: tensors that
/// interleave without sharing a byte count as overlapping. Reuses its memory.
class OverlapCheck final {
public:
  enum class Owner : uint8_t { Argument, Result, State, Arena };

  explicit OverlapCheck(const format::Manifest &manifest);
  void clear() { ranges_.clear(); }
  void add(Owner owner, size_t index, const void *begin, int64_t bytes, bool written);
  /// The same for a tensor with any strides.
  void addTensor(Owner owner, size_t index, const core::TensorView &tensor,
                 bool written);
  /// LayoutOverlap, naming both, if a written range overlaps any other.
  core::Status check();

private:
  struct Range {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    Owner owner = Owner::Argument;
    bool written = false;
    uint32_t index = 0;
  };
  core::Error error(const Range &a, const Range &b) const;
  std::string name(const Range &range) const;

  const format::Manifest &manifest_;
  std::vector<Range> ranges_;
};

} // namespace rtorch::executor
