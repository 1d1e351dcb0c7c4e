#include "compiler/codegen/gemm/PackedLayout.h"

namespace rtorch::gemm {

using layout::Expr;

Expr paddedDepth(const Expr &k) { return ceildiv(k, depthGroup) * depthGroup; }

Expr PackedLayout::elements(const Expr &k, const Expr &n) const {
  return ceildiv(n, columns) * columns * paddedDepth(k);
}

void packWeight(const PackedLayout &layout, int64_t elementBytes, const void *source,
                int64_t k, int64_t n, int64_t rowStride, int64_t columnStride,
                void *packed) {
  core::packMatrix(layout.columns, elementBytes, source, k, n, rowStride, columnStride,
                   packed);
}

} // namespace rtorch::gemm
