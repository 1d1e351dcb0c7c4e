#include "runtime/core/StridedCopy.h"

#include <algorithm>
#include <cstring>

namespace rtorch::core {
namespace {

template <typename T>
void copyRow(int64_t count, std::byte *target, int64_t targetStride,
             const std::byte *source, int64_t sourceStride) {
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(target + i * targetStride * int64_t(sizeof(T)),
                source + i * sourceStride * int64_t(sizeof(T)), sizeof(T));
}

struct Complex {
  double parts[2];
};

} // namespace

bool isRowMajor(std::span<const int64_t> sizes, std::span<const int64_t> strides) {
  int64_t dense = 1;
  for (size_t dim = sizes.size(); dim-- > 0; dense *= sizes[dim])
    if (sizes[dim] != 1 && strides[dim] != dense)
      return std::ranges::find(sizes, 0) != sizes.end();
  return true;
}

void copyStrided(std::span<const int64_t> sizes, size_t width, std::byte *target,
                 std::span<const int64_t> targetStrides, const std::byte *source,
                 std::span<const int64_t> sourceStrides) {
  if (std::ranges::find(sizes, 0) != sizes.end())
    return;
  if (isRowMajor(sizes, targetStrides) && isRowMajor(sizes, sourceStrides)) {
    size_t bytes = width;
    for (const int64_t size : sizes)
      bytes *= size_t(size);
    std::memcpy(target, source, bytes);
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
             : width == 8 ? copyRow<uint64_t>
                          : copyRow<Complex>;
  row(sizes[0], target, targetStrides[0], source, sourceStrides[0]);
}

} // namespace rtorch::core
