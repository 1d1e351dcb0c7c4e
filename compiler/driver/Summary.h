// What the report tells of a scheduled module.
#pragma once

#include "compiler/include/rtorch/compiler.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace rtorch::compiler {

/// Fills in launches, views, copies, layouts, the arena and the open checks.
void summarize(mlir::ModuleOp module, Report &report);

/// "node 'linear_3' at model.py:12" or a part of it; empty for unknown locations.
std::string placeOf(mlir::Location loc);

} // namespace rtorch::compiler
