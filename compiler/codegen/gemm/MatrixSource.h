// How contractions reach their operands and results: through callbacks, so that
// whatever surrounds a contraction is computed while its operands are packed and its
// results are stored.
#pragma once

#include "mlir/IR/Builders.h"

#include <functional>

namespace rtorch::gemm {

/// Emits the load of `width` elements as vector<width x T>: (row, col .. col + width)
/// or (row .. row + width, col). Lanes that `mask` (vector<width x i1>, null: none)
/// turns off must not be accessed and must be 0.
using LoadFn =
    std::function<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::Value row,
                              mlir::Value col, int64_t width, mlir::Value mask)>;

/// Emits the use of one vector of finished sums, (row, col .. col + width). Only lanes
/// that `mask` turns on (null: all) are elements of the result; the others hold any
/// value.
using StoreFn =
    std::function<void(mlir::OpBuilder &, mlir::Location, mlir::Value row,
                       mlir::Value col, mlir::Value sums, mlir::Value mask)>;

/// An operand that is not packed yet. Packing uses `alongColumn` only where
/// `rowContiguous` is false and `columnContiguous` is true, else `alongRow`; the other
/// may be empty.
struct MatrixSource {
  LoadFn alongRow;    ///< elements of one row
  LoadFn alongColumn; ///< elements of one column
  /// Which direction is cheap to load vectors from (unit stride).
  bool rowContiguous = true;
  bool columnContiguous = false;

  bool loadsAlongColumns() const { return !rowContiguous && columnContiguous; }
};

/// The matrix at `pointer` whose element (i, j) is i * rowStride + j * columnStride
/// elements of `type` further on. Strides are i64 values; a constant 1 makes the
/// direction contiguous, others are gathered.
MatrixSource stridedSource(mlir::Type type, mlir::Value pointer, mlir::Value rowStride,
                           mlir::Value columnStride);

/// Stores sums to `pointer` + row * rowStride + col, contiguous along the row.
StoreFn rowMajorStore(mlir::Value pointer, mlir::Value rowStride);

/// The transposed view.
MatrixSource transpose(MatrixSource source);

} // namespace rtorch::gemm
