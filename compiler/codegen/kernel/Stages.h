// In which walk over a row each reduction of a kernel is computed, and which values
// are kept between walks.
#pragma once

#include "compiler/codegen/kernel/LoopNest.h"

namespace rtorch::codegen {

/// Cheaper to keep in memory than to compute again.
bool isExpensive(mlir::Operation *op);

struct Stages {
  /// Reductions of each stage; those of a stage depend on earlier stages only.
  std::vector<llvm::SmallVector<mlir::Operation *>> reductions;

  /// A value of the whole row that is expensive to compute and needed again later: the
  /// first stage that computes it keeps it in scratch memory.
  struct Stored {
    mlir::Value value;
    size_t stage;
  };
  std::vector<Stored> stored;

  static Stages of(rt::KernelOp kernel, const LoopNest &nest);
};

} // namespace rtorch::codegen
