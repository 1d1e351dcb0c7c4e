#include "runtime/layout/Layout.h"

#include <array>
#include <cassert>

namespace rtorch::layout {

Expr numel(const Dims &sizes) {
  Expr product = 1;
  for (const Expr &size : sizes)
    product *= size;
  return product;
}

/// Dense strides with `order` as the dims from fastest to slowest.
static Dims denseStrides(const Dims &sizes, std::span<const size_t> order,
                         bool skipZeroSizes) {
  Dims strides(sizes.size());
  Expr next = 1;
  for (size_t dim : order) {
    strides[dim] = next;
    if (!(skipZeroSizes && sizes[dim].isConstant(0)))
      next *= sizes[dim];
  }
  return strides;
}

Dims contiguousStrides(const Dims &sizes) {
  std::vector<size_t> order;
  for (size_t dim = sizes.size(); dim-- > 0;)
    order.push_back(dim);
  return denseStrides(sizes, order, true);
}

Dims stridesOf(MemoryFormat format, const Dims &sizes) {
  assert(format != MemoryFormat::Preserve && "not a fixed format");
  static constexpr std::array<size_t, 4> k2d{1, 3, 2, 0};
  static constexpr std::array<size_t, 5> k3d{1, 4, 3, 2, 0};
  if (format == MemoryFormat::ChannelsLast && sizes.size() == 4)
    return denseStrides(sizes, k2d, true);
  if (format == MemoryFormat::ChannelsLast3d && sizes.size() == 5)
    return denseStrides(sizes, k3d, true);
  return contiguousStrides(sizes);
}

} // namespace rtorch::layout
