// Emission of matrix products: C = A B with everything around it fused in.
#pragma once

#include "compiler/codegen/gemm/Blocking.h"
#include "compiler/codegen/gemm/MatrixSource.h"

#include <variant>

namespace rtorch::gemm {

/// A right operand that is packed already, as PackedLayout says, at `pointer`
/// (aligned to RTORCH_ALIGNMENT).
struct PackedB {
  mlir::Value pointer;
};

/// C [m, n] = A [m, k] B [k, n]. Where k is 0, the sums are 0.
struct GemmSpec {
  mlir::Type elementType; ///< f32 or f64
  mlir::Value m, n, k;    ///< i64, constants where static
  MatrixSource a;
  std::variant<PackedB, MatrixSource> b;
  StoreFn store;
};

/// Emits the computation of one tile of the grid that gridSize() counts. `scratch`
/// points to scratchBytes() of memory. `blocking` must have been chosen for the
/// element type, and with packedB as `spec.b` is. Microkernels go to the module around
/// the insertion point, which must be reachable from it: not inside the body builder of
/// an op that is not created yet.
void emitGemmTile(mlir::OpBuilder &builder, mlir::Location loc, const GemmSpec &spec,
                  const Blocking &blocking, mlir::Value tileIndex, mlir::Value scratch);

/// Packing of a right operand ahead of several launches: tiles of the grid, and one
/// tile of it. `packed` has room for blocking.packed().elements(k, n).
layout::Expr packGridSize(const Blocking &blocking, const layout::Expr &k,
                          const layout::Expr &n);
void emitPackTile(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type elementType,
                  const Blocking &blocking, const MatrixSource &source, mlir::Value k,
                  mlir::Value n, mlir::Value tileIndex, mlir::Value packed);

} // namespace rtorch::gemm
