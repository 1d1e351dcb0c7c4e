#include "runtime/checkpoint/StridedCopy.h"

#include <algorithm>
#include <cstring>

namespace rtorch::checkpoint {

bool isRowMajor(std::span<const int64_t> sizes, std::span<const int64_t> strides) {
  int64_t dense = 1;
  for (size_t dim = sizes.size(); dim-- > 0; dense *= sizes[dim])
    if (sizes[dim] != 1 && strides[dim] != dense)
      return std::ranges::find(sizes, 0) != sizes.end();
  return true;
}

void copyStrided(size_t elementBytes, std::span<const int64_t> sizes,
                 const std::byte *from, std::span<const int64_t> fromStrides,
                 std::byte *to, std::span<const int64_t> toStrides) {
  if (std::ranges::find(sizes, 0) != sizes.end())
    return;
  if (isRowMajor(sizes, fromStrides) && isRowMajor(sizes, toStrides)) {
    size_t bytes = elementBytes;
    for (const int64_t size : sizes)
      bytes *= size_t(size);
    std::memcpy(to, from, bytes);
    return;
  }
  const auto step = int64_t(elementBytes);
  const auto rest = sizes.subspan(1);
  for (int64_t i = 0; i < sizes[0]; ++i)
    copyStrided(elementBytes, rest, from + i * fromStrides[0] * step,
                fromStrides.subspan(1), to + i * toStrides[0] * step,
                toStrides.subspan(1));
}

} // namespace rtorch::checkpoint
