// The passes between importer and code generation.
#pragma once

#include "compiler/codegen/lowering/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <string>
#include <vector>

namespace rtorch::compiler {

/// Imported form → value form, simplified and verified.
void buildGraphPipeline(mlir::OpPassManager &pm);

/// Layouts of activations, and operands of convolutions in the layout of the kernels
/// for `target`; what becomes of weights alone is folded later. `winograd`: by minimal
/// filtering where that pays.
void buildLayoutPipeline(mlir::OpPassManager &pm, const codegen::Target &target,
                         bool winograd);

/// Value form → kernels, launches and a memory plan for `target`.
void buildSchedulePipeline(mlir::OpPassManager &pm, const codegen::Target &target);

/// Makes `pm` print the IR to stderr after each pass whose argument is in `names`.
void dumpAfter(mlir::PassManager &pm, std::vector<std::string> names);

} // namespace rtorch::compiler
