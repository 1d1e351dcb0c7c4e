// How the right operand of a contraction lies in memory once it is packed. Everything
// that reads or writes packed panels goes by this page.
//
// B [K, N] becomes panels of `columns` columns each, in the order of the columns:
//
//     packed[ceil(N / columns)][paddedDepth(K)][columns]
//     packed[p][k][c] = B[k][p * columns + c]
//
// Rows from K to paddedDepth(K) are 0: the microkernels take `depthGroup` steps of k at
// a time, and the same padding of A is 0 too. Columns past N hold any value (columns do
// not mix); packWeight writes 0. The layout does not depend on how the product is
// blocked, so a constant is packed once for every kernel and every shape.
#pragma once

#include "runtime/core/PackMatrix.h"
#include "runtime/layout/Expr.h"

#include <cstddef>
#include <cstdint>

namespace rtorch::gemm {

/// Steps of k that the microkernels take at once, and that lie together in packed A.
constexpr int64_t depthGroup = core::kDepthGroup;

/// K rounded up to whole groups.
layout::Expr paddedDepth(const layout::Expr &k);

struct PackedLayout {
  int64_t columns = 0; ///< of a panel: the width of the register tile

  /// Elements of a packed [k, n] matrix.
  layout::Expr elements(const layout::Expr &k, const layout::Expr &n) const;

  friend bool operator==(const PackedLayout &, const PackedLayout &) = default;
};

/// Packs a constant matrix [k, n] of elements of `elementBytes` (1, 2, 4 or 8) bytes
/// whose element (i, j) lies at `source` + (i * rowStride + j * columnStride) *
/// elementBytes. `packed` has room for elements(k, n). Does not fail.
void packWeight(const PackedLayout &layout, int64_t elementBytes, const void *source,
                int64_t k, int64_t n, int64_t rowStride, int64_t columnStride,
                void *packed);

} // namespace rtorch::gemm
