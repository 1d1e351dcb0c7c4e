// Products with few rows. Each element of the right operand is used once a row, so
// that packing it would cost more than the product: it is read where it lies, at the
// speed of the memory.
#pragma once

#include "compiler/codegen/gemm/Packing.h"

namespace rtorch::gemm {

/// Products of more rows are faster packed.
constexpr int64_t maxThinRows = 4;

/// Whether a thin product can read `b`: vectors are contiguous one way or the other.
bool isReadInPlace(const MatrixSource &b);

/// Rows of the left operand as the thin product wants them: row-major, `stride`
/// elements apart, zeros up to a whole vector after the last column.
struct ThinRows {
  mlir::Value pointer, stride;
  int64_t count = 0;
};

/// Elements between rows of `depth` columns.
layout::Expr thinStride(const layout::Expr &depth, const RegisterTile &tile);

/// Copies the first `existing` of `rows`, from row `first` of `source` on; the others
/// become zeros.
void packThinRows(Emitter &e, mlir::Type type, const RegisterTile &tile,
                  const MatrixSource &source, mlir::Value first, mlir::Value existing,
                  const Range &depth, const ThinRows &rows);

/// Where sums lie: row-major, `stride` elements apart. Whole vectors are written, also
/// past the last column.
struct ThinSums {
  mlir::Value pointer, stride;
};

/// Sets `rows` rows of sums to 0.
void clearThinSums(Emitter &e, mlir::Type type, const RegisterTile &tile, int64_t rows,
                   mlir::Value columns, const ThinSums &sums);

/// sums[i][j] += sum_k a[i][k] b[depth.start + k][columns.start + j].
void emitThinProduct(Emitter &e, mlir::Type type, const RegisterTile &tile,
                     const ThinRows &a, const MatrixSource &b, const Range &depth,
                     const Range &columns, const ThinSums &sums);

} // namespace rtorch::gemm
