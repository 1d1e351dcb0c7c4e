// Builds the views and copies that passes bring tensors into other layouts with.
#pragma once

#include "compiler/schedule/Retype.h"

namespace rtorch::schedule {

/// Creates ops of the value form at one place; static geometry, so every view exists.
struct TensorBuilder {
  mlir::OpBuilder &b;
  mlir::Location loc;

  mlir::Value permute(mlir::Value x, llvm::ArrayRef<int64_t> permutation);
  /// The view of these sizes, which must exist.
  mlir::Value view(mlir::Value x, const layout::Dims &sizes);
  /// `x` with dim `dim` split into `outer` and `inner`.
  mlir::Value split(mlir::Value x, int64_t dim, const layout::Expr &outer,
                    const layout::Expr &inner);
  mlir::Value slice(mlir::Value x, int64_t dim, const layout::Expr &start,
                    const layout::Expr &end);
  mlir::Value expand(mlir::Value x, const layout::Dims &sizes);
  mlir::Value clone(mlir::Value x, const layout::Dims &strides);
  mlir::Value cloneRowMajor(mlir::Value x);
  /// `x` between zeros, begun at `low`.
  mlir::Value pad(mlir::Value x, const layout::Dims &low, const layout::Dims &sizes,
                  const layout::Dims &strides);
  /// `x` with zeros behind it in dim `dim`, row-major; itself if it has that size.
  mlir::Value padTo(mlir::Value x, int64_t dim, const layout::Expr &size);
  /// Tensors of one type but for dim `dim` one after the other, row-major.
  mlir::Value cat(mlir::ValueRange inputs, int64_t dim);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value scale(mlir::Value x, double factor);
  /// `x` with dim `dim` in reverse order, row-major.
  mlir::Value flip(mlir::Value x, int64_t dim);
  mlir::Value flip(mlir::Value x, llvm::ArrayRef<int64_t> dims);

private:
  rt::TensorType type(const layout::Layout &layout, mlir::Value like);
  layout::Guards guards();
};

/// What `x` is flips of along dims from `first` on, and those dims, each of which is
/// flipped once: `x` itself and none where it is no such flip.
std::pair<mlir::Value, llvm::SmallVector<int64_t>> withoutFlips(mlir::Value x,
                                                                int64_t first);

} // namespace rtorch::schedule
