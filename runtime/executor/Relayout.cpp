#include "runtime/executor/Relayout.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace rtorch::executor {
namespace {

template <typename T>
void copyRow(int64_t count, std::byte *target, int64_t targetStride,
             const std::byte *source, int64_t sourceStride) {
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(target + i * targetStride * int64_t(sizeof(T)),
                source + i * sourceStride * int64_t(sizeof(T)), sizeof(T));
}

} // namespace

void copyStrided(std::span<const int64_t> sizes, size_t width, std::byte *target,
                 std::span<const int64_t> targetStrides, const std::byte *source,
                 std::span<const int64_t> sourceStrides) {
  if (sizes.empty()) {
    std::memcpy(target, source, width);
    return;
  }
  if (sizes.size() > 1) {
    for (int64_t i = 0; i < sizes[0]; ++i)
      copyStrided(
          sizes.subspan(1), width, target + i * targetStrides[0] * int64_t(width),
          targetStrides.subspan(1), source + i * sourceStrides[0] * int64_t(width),
          sourceStrides.subspan(1));
    return;
  }
  auto row = width == 1   ? copyRow<uint8_t>
             : width == 2 ? copyRow<uint16_t>
             : width == 4 ? copyRow<uint32_t>
                          : copyRow<uint64_t>;
  row(sizes[0], target, targetStrides[0], source, sourceStrides[0]);
}

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
