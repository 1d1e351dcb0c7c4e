#include "runtime/executor/Overlap.h"

#include "runtime/executor/Contract.h"
#include "runtime/format/Text.h"

#include <algorithm>

namespace rtorch::executor {

using format::text;

OverlapCheck::OverlapCheck(const format::Manifest &manifest) : manifest_(manifest) {
  ranges_.reserve(manifest.arguments.size() + manifest.results.size() +
                  manifest.states.size() + 1);
}

void OverlapCheck::add(Owner owner, size_t index, const void *begin, int64_t bytes,
                       bool written) {
  if (bytes <= 0)
    return;
  const auto address = reinterpret_cast<uintptr_t>(begin);
  ranges_.push_back(
      {address, address + uintptr_t(bytes), owner, written, uint32_t(index)});
}

void OverlapCheck::addTensor(Owner owner, size_t index, const core::TensorView &tensor,
                             bool written) {
  if (core::isEmpty(tensor.sizes))
    return;
  // Unsigned arithmetic wraps like addresses do; real tensors never get there.
  const uint64_t width = core::elementBytes(tensor.dtype);
  uint64_t below = 0, above = width;
  for (size_t d = 0; d < tensor.sizes.size(); ++d) {
    const uint64_t steps = uint64_t(tensor.sizes[d] - 1) * width;
    if (tensor.sizes[d] > 1 && tensor.strides[d] < 0)
      below += steps * -uint64_t(tensor.strides[d]);
    else if (tensor.sizes[d] > 1)
      above += steps * uint64_t(tensor.strides[d]);
  }
  const auto address = reinterpret_cast<uintptr_t>(tensor.data);
  ranges_.push_back(
      {address - below, address + above, owner, written, uint32_t(index)});
}

core::Status OverlapCheck::check() {
  // In the order of their begins, a range overlaps an earlier one exactly if it begins
  // before the largest end so far.
  std::ranges::sort(ranges_, {}, &Range::begin);
  const Range *longest = nullptr, *longestWritten = nullptr;
  auto reaches = [](const Range *range, uintptr_t address) {
    return range && range->end > address;
  };
  for (const Range &range : ranges_) {
    if (reaches(longestWritten, range.begin))
      return error(*longestWritten, range);
    if (range.written && reaches(longest, range.begin))
      return error(range, *longest);
    if (!reaches(longest, range.end))
      longest = &range;
    if (range.written && !reaches(longestWritten, range.end))
      longestWritten = &range;
  }
  return {};
}

std::string OverlapCheck::name(const Range &range) const {
  switch (range.owner) {
  case Owner::Argument:
    return argumentName(manifest_, range.index);
  case Owner::Result:
    return resultName(manifest_, range.index);
  case Owner::State:
    return text("buffer '", manifest_.states[range.index].name, "'");
  case Owner::Arena:
    return "the arena";
  }
  return {};
}

core::Error OverlapCheck::error(const Range &written, const Range &other) const {
  // Which of two written ranges is named first follows their kind, not their address.
  const bool swap = other.written && std::pair(other.owner, other.index) <
                                         std::pair(written.owner, written.index);
  const Range &a = swap ? other : written, &b = swap ? written : other;
  const uintptr_t shared = std::min(a.end, b.end) - std::max(a.begin, b.begin);
  return core::makeError(core::ErrorCode::LayoutOverlap,
                         text("expected ", name(a),
                              ", which the module writes to, apart from ", name(b),
                              ", but got memory that shares ", shared, " bytes"));
}

} // namespace rtorch::executor
