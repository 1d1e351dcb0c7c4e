#include "compiler/codegen/gemm/PackedLayout.h"

#include <algorithm>
#include <cassert>

namespace rtorch::gemm {

using layout::Expr;

Expr paddedDepth(const Expr &k) { return ceildiv(k, depthGroup) * depthGroup; }

Expr PackedLayout::elements(const Expr &k, const Expr &n) const {
  return ceildiv(n, columns) * columns * paddedDepth(k);
}

namespace {

/// Packs the columns [first, first + count) into one panel of `columns`.
template <typename T>
void packPanel(const T *source, int64_t k, int64_t count, int64_t rowStride,
               int64_t columnStride, int64_t columns, T *panel) {
  const int64_t depth = (k + depthGroup - 1) / depthGroup * depthGroup;
  if (count < columns || k < depth)
    std::fill(panel, panel + depth * columns, T(0));
  // Blocks of k keep the lines of a transposed source in L1 while they are used.
  constexpr int64_t block = 16;
  for (int64_t k0 = 0; k0 < k; k0 += block)
    for (int64_t c = 0; c < count; ++c)
      for (int64_t i = k0; i < std::min(k, k0 + block); ++i)
        panel[i * columns + c] = source[i * rowStride + c * columnStride];
}

template <typename T>
void pack(const PackedLayout &layout, const void *source, int64_t k, int64_t n,
          int64_t rowStride, int64_t columnStride, void *packed) {
  const T *from = static_cast<const T *>(source);
  T *to = static_cast<T *>(packed);
  const int64_t depth = (k + depthGroup - 1) / depthGroup * depthGroup;
  for (int64_t first = 0; first < n; first += layout.columns)
    packPanel(from + first * columnStride, k, std::min(layout.columns, n - first),
              rowStride, columnStride, layout.columns, to + first * depth);
}

} // namespace

void packWeight(const PackedLayout &layout, int64_t elementBytes, const void *source,
                int64_t k, int64_t n, int64_t rowStride, int64_t columnStride,
                void *packed) {
  switch (elementBytes) {
  case 1:
    return pack<uint8_t>(layout, source, k, n, rowStride, columnStride, packed);
  case 2:
    return pack<uint16_t>(layout, source, k, n, rowStride, columnStride, packed);
  case 4:
    return pack<uint32_t>(layout, source, k, n, rowStride, columnStride, packed);
  case 8:
    return pack<uint64_t>(layout, source, k, n, rowStride, columnStride, packed);
  }
  assert(false && "elements are 1, 2, 4 or 8 bytes");
}

} // namespace rtorch::gemm
