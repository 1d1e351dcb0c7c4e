// Expansion of math functions into arithmetic, for scalars and vectors.
#pragma once

#include "mlir/IR/Operation.h"
#include "llvm/Support/LogicalResult.h"

namespace rtorch::codegen {

struct ExpandMathOptions {
  /// Whether a fused multiply-add is one instruction. Without, `math.fma` is computed
  /// in twice the precision (f32) or with split products (f64).
  bool hasFma = true;
  /// Whether f16 and f32 are converted by an instruction. Without, by integer ones.
  bool hasF16 = true;
};

/// Replaces the ops below `root` that have no instruction by arith and vector ops.
llvm::LogicalResult expandMath(mlir::Operation *root,
                               const ExpandMathOptions &options = {});

} // namespace rtorch::codegen
