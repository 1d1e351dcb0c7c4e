// Which dims a loop kernel runs over, and in which order.
#pragma once

#include "compiler/codegen/kernel/Evaluator.h"
#include "compiler/codegen/lowering/Target.h"

namespace rtorch::codegen {

/// The iteration space of a loop kernel: the dims of its largest tensors, cut into
/// rows. Each row covers the reduced dims, or the lane dim alone where nothing is
/// reduced or the lanes run over rows.
struct LoopNest {
  layout::Dims sizes;
  llvm::SmallVector<int64_t> reduced; ///< ascending
  int64_t laneDim = -1;               ///< vectors run along it; -1: scalars
  int64_t width = 1;                  ///< lanes of a vector
  llvm::SmallVector<int64_t> outer;   ///< dims of the rows: not reduced, lanes, along
  /// An operand as large as the domain is not contiguous along the lanes: neighbouring
  /// rows share its cache lines, so tiles are square.
  bool gathers = false;
  /// Arguments that are contiguous over the dims `along`, taken together, instead of
  /// the lanes: they are read in squares that are transposed in registers.
  llvm::SmallVector<unsigned> transposed;
  llvm::SmallVector<int64_t> along; ///< in the order of those arguments' memory
  /// What is reduced are windows, or elements at indices: terms are found, not walked.
  bool windows = false;
  /// Reduced dims but for the lane dim.
  llvm::SmallVector<int64_t> reducedOuter;

  bool lanesReduced() const { return llvm::is_contained(reduced, laneDim); }
  layout::Expr product(llvm::ArrayRef<int64_t> dims) const;
  layout::Expr laneSize() const;

  static LoopNest of(rt::KernelOp kernel, const Target &target);
};

} // namespace rtorch::codegen
