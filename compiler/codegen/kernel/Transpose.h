// Transposition of small squares in registers.
#pragma once

#include "compiler/codegen/gemm/Emitter.h"

namespace rtorch::codegen {

/// The columns of the square whose rows are `rows`: n vectors of n lanes, n a power of
/// two. Swaps the off-diagonal blocks, halves, quarters and so on, of all pairs of
/// rows: n log2(n) shuffles.
llvm::SmallVector<mlir::Value> transposeSquare(gemm::Emitter &e,
                                               llvm::ArrayRef<mlir::Value> rows);

} // namespace rtorch::codegen
