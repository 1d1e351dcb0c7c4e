// Masked access to memory in the width of registers.
#pragma once

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>

namespace rtorch::codegen {

/// Splits masked loads and stores of vectors longer than `vectorBytes`. LLVM 22 splits
/// them itself when it selects instructions, but wrongly without AVX-512: of a load
/// whose mask is known to be off for one half, it reads that half unmasked.
void splitMaskedMemory(mlir::ModuleOp module, int64_t vectorBytes);

} // namespace rtorch::codegen
