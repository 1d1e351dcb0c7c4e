// Expansions that concern number formats rather than functions.
#pragma once

#include "mlir/IR/Operation.h"

namespace rtorch::codegen {

/// Replaces conversions that LLVM would make calls of, one for each element: f32 to and
/// from bf16 by integer operations (round to nearest even; any NaN becomes the quiet
/// one), f64 to f16 and bf16 by way of f32, as PyTorch does. Those to and from f16 too,
/// unless the target has instructions for them.
void expandNarrowConversions(mlir::Operation *root, bool hasF16);

/// Replaces `math.fma` where the target has no instruction for it: f32 is computed in
/// f64 (rounded twice, exact before that), f64 with the product split into two numbers
/// (off by at most about one unit in the last place). `vector.fma`, which sums products
/// where one rounding more does no harm, stays and becomes two instructions there.
void expandFusedMultiplyAdd(mlir::Operation *root);

/// Replaces `math.ipowi` by repeated squaring. Products wrap around; a negative
/// exponent gives 1 for a base of 1, 1 or -1 for -1, else 0 (also for 0).
void expandIntegerPowers(mlir::Operation *root);

} // namespace rtorch::codegen
