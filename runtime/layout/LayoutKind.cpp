#include "runtime/layout/LayoutKind.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace rtorch::layout {
namespace {

/// Whether the dims, taken in this order from the outermost, leave no gaps.
bool isDense(std::span<const int64_t> sizes, std::span<const int64_t> strides,
             std::span<const size_t> order) {
  int64_t expected = 1;
  for (size_t i = order.size(); i-- > 0;) {
    size_t dim = order[i];
    if (sizes[dim] == 1)
      continue;
    if (strides[dim] != expected)
      return false;
    expected *= sizes[dim];
  }
  return true;
}

} // namespace

const char *layoutKind(std::span<const int64_t> sizes,
                       std::span<const int64_t> strides) {
  std::vector<size_t> rows(sizes.size());
  std::iota(rows.begin(), rows.end(), size_t(0));
  if (std::ranges::find(sizes, 0) != sizes.end() || isDense(sizes, strides, rows))
    return "contiguous";
  int64_t above = INT64_MAX;
  bool inOrder = true;
  for (size_t dim : rows) {
    if (sizes[dim] == 1)
      continue;
    if (strides[dim] == 0)
      return "broadcast";
    inOrder &= strides[dim] <= above;
    above = strides[dim];
  }
  if (inOrder)
    return "padded";
  if (sizes.size() == 4 || sizes.size() == 5) {
    std::vector<size_t> last(rows);
    std::rotate(last.begin() + 1, last.begin() + 2, last.end());
    if (isDense(sizes, strides, last))
      return "channels_last";
  }
  return "transposed";
}

} // namespace rtorch::layout
