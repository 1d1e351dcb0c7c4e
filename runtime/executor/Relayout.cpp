#include "runtime/executor/Relayout.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace rtorch::executor {
bool hasSharedElements(std::span<const int64_t> sizes,
                       std::span<const int64_t> strides) {
  std::vector<std::pair<int64_t, int64_t>> dims; // stride, size
  for (size_t d = 0; d < sizes.size(); ++d)
    if (sizes[d] > 1)
      dims.emplace_back(strides[d], sizes[d]);
  std::ranges::sort(dims);
  int64_t reach = 0; // the last element that the dims so far touch
  for (auto [stride, size] : dims) {
    if (stride <= reach)
      return true;
    reach += (size - 1) * stride;
  }
  return false;
}

} // namespace rtorch::executor
