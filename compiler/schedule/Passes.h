// From value-form graphs to kernels, launches and a memory plan.
#pragma once

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace rtorch::rt {
class RtDialect;
} // namespace rtorch::rt

namespace rtorch::schedule {

#define GEN_PASS_DECL
#include "compiler/schedule/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/schedule/Passes.h.inc"

/// Name of the function attribute with what rt-assign-layouts did: `channels_last`, the
/// number of tensors, and `copies_for`, descriptions of the ops that need copies.
inline constexpr llvm::StringLiteral kLayoutsAttr = "rt.layouts";

/// Name of the function attribute with the arena's size in bytes, an #rt.expr.
inline constexpr llvm::StringLiteral kArenaAttr = "rt.arena";

} // namespace rtorch::schedule
