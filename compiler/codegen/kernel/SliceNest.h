// Loops over the slices of a tensor that an op treats each on its own, with vectors
// across neighbouring slices.
#pragma once

#include "compiler/codegen/kernel/KernelFunction.h"

namespace rtorch::codegen {

/// A slice is one index of every dim in `outer` and of `laneDim`; what happens along
/// the other dims is the op's business.
struct SliceNest {
  layout::Dims sizes;
  llvm::SmallVector<int64_t> outer; ///< ascending
  int64_t laneDim = -1;             ///< -1: one slice at a time
  int64_t width = 1;
  layout::Expr slice = 1; ///< about how many steps a slice takes

  /// Slices of a tensor of type `type` along all dims but `whole`; lanes run along the
  /// dim in which it is contiguous, if that is not a whole one.
  static SliceNest of(rt::TensorType type, llvm::ArrayRef<int64_t> whole,
                      const layout::Expr &slice, const Target &target);

  /// Number of tiles.
  layout::Expr grid() const;
  /// Runs `body` for each slice (or vector of them) of a tile. Indices of dims that are
  /// whole are 0; `mask` is null where all lanes count.
  void
  forSlices(gemm::Emitter &e, const KernelState &state, mlir::Value tile,
            llvm::function_ref<void(const Indices &, mlir::Value mask)> body) const;

private:
  layout::Expr outerCount() const;
  layout::Expr chunks() const;
  layout::Expr unitsPerTile() const;
};

/// The index of each of `dims` in row-major order for the index `linear`.
void delinearize(gemm::Emitter &e, const KernelState &state, const layout::Dims &sizes,
                 llvm::ArrayRef<int64_t> dims, mlir::Value linear, Indices &position);

} // namespace rtorch::codegen
