// A fusion group as a kernel of its own.
#pragma once

#include "compiler/schedule/FusionGroups.h"

namespace rtorch::schedule {

/// An outlined group and what its launch passes.
struct OutlinedKernel {
  rt::KernelOp kernel; // detached; its symbol name is not set
  llvm::SmallVector<mlir::Value> inputs;
  llvm::SmallVector<mlir::Value> targets;    // of the group's writes
  llvm::SmallVector<mlir::Attribute> values; // #rt.expr, of the kernel's symbols
  /// Locations of the kernel's ops in order: op number i of the body is at
  /// FileLineColLoc("op", i, 0), so that equal kernels are equal.
  llvm::SmallVector<mlir::Location> locations;
};

/// Clones the group's ops, and the views and constants between them, into a kernel.
/// Symbols are renumbered k0, k1, ... by first use.
OutlinedKernel outlineKernel(const FusionGroup &group);

/// "linear_gelu": what the group's kernel is called before it is numbered.
std::string kernelBaseName(const FusionGroup &group);

} // namespace rtorch::schedule
