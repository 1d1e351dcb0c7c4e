// Passes inside the rt dialect, and the pipeline from imported to value form.
#pragma once

#include "dialects/rt/Rt.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/CommandLine.h"

namespace rtorch::rt {

/// The dialect's two forms; see the dialect's description.
enum class GraphForm { Imported, Value };

#define GEN_PASS_DECL
#include "dialects/rt/transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "dialects/rt/transforms/Passes.h.inc"

/// Takes functions in imported form; leaves them in value form, verified at both ends.
/// A failed verification is an error at the user's source line.
void buildValueFormPipeline(mlir::OpPassManager &pm);

/// Makes the pipeline available as `--rt-to-value-form`.
void registerPipelines();

} // namespace rtorch::rt
