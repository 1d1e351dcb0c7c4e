// The innermost product: a register tile of sums over packed panels.
//
// A microkernel is a private function of the module, shared by all kernels in it:
//
//     uk_<type>_<rows>x<columns>(a: ptr, b: ptr, c: ptr, stride: i64, groups: i64,
//                                accumulate: i1)
//
// It computes c[i][j] = (accumulate ? c[i][j] : 0) + sum_k a[i][k] * b[k][j] for
// `rows` rows, `columns` columns and `groups` * depthGroup steps of k. `a` is a panel
// [groups][rows][depthGroup], `b` a panel as PackedLayout says, `c` has `stride`
// elements between rows. A call of its own keeps the registers of the k loop apart
// from the loops around it.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/codegen/gemm/Emitter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <string>
#include <vector>

namespace rtorch::gemm {

/// The arguments of one microkernel call.
struct TileOperands {
  mlir::Value a, b, c, stride, groups, accumulate;
};

/// Rows cut into panels of nearly equal height: short panels at the end would leave
/// most of the multiply-add latency uncovered. Panel p has height(p) rows from
/// start(p) on; the first panels are one row higher where the rows do not divide.
struct RowPanels {
  mlir::Value count;  ///< ceil(rows / tile rows)
  mlir::Value height; ///< rows div count
  mlir::Value higher; ///< rows mod count: so many panels have one more row

  static RowPanels of(Emitter &e, mlir::Value rows, int64_t maxHeight);
  mlir::Value start(Emitter &e, mlir::Value panel) const;
  mlir::Value heightOf(Emitter &e, mlir::Value panel) const;
};

/// The heights (ascending) that panels can have for `rows` rows; for any number of
/// rows, all from 1 to `maxHeight`.
std::vector<int64_t> panelHeights(std::optional<int64_t> rows, int64_t maxHeight);

/// Branches on `height`, one of `heights` (ascending): a binary search.
void switchOverHeights(Emitter &e, llvm::ArrayRef<int64_t> heights, mlir::Value height,
                       llvm::function_ref<void(int64_t)> body);

/// Adds a function that is never inlined to `module` and moves the insertion point
/// into it.
mlir::func::FuncOp addPrivateFunction(Emitter &e, mlir::ModuleOp module,
                                      llvm::StringRef name, mlir::FunctionType type);

/// "f32": for the names of functions.
std::string typeName(mlir::Type type);

/// Calls the microkernel for `height` rows, which is one of `heights`; microkernels
/// that the module lacks are added to it.
void callMicrokernel(Emitter &e, mlir::Type elementType, const RegisterTile &tile,
                     llvm::ArrayRef<int64_t> heights, mlir::Value height,
                     const TileOperands &operands);

} // namespace rtorch::gemm
