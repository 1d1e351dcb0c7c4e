// Runs scheduled kernels inside the compiler.
#pragma once

#include "compiler/emit/ModuleBuilder.h"

#include <cstddef>
#include <vector>

namespace rtorch::fold {

/// A result of the function: its layout and its bytes.
struct ComputedValue {
  rt::TensorType type;
  std::vector<std::byte> bytes;
};

/// Compiles the kernels of `module` for this machine and runs the launches of its
/// function, which has no arguments and whose sizes are all numbers. Gives the
/// function's results in order; nothing where a kernel hit an error (an index out of
/// range), which is then left for the run that needs it.
llvm::Expected<std::vector<ComputedValue>>
runLaunches(mlir::ModuleOp module, const emit::StorageBytes &storages,
            unsigned threads);

} // namespace rtorch::fold
