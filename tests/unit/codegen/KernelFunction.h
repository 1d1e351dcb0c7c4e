// A function with the kernel signature whose body is written for one grid tile.
#pragma once

#include "compiler/codegen/gemm/Emitter.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>

namespace rtorch::test {

/// Access to what a kernel gets, at the entry of the function.
class KernelFrame {
public:
  KernelFrame(gemm::Emitter &e, mlir::Value frame);
  mlir::Value buffer(int64_t index) const;
  mlir::Value value(int64_t index) const;
  /// `fixed` as a constant if it is there, else value(index).
  mlir::Value size(std::optional<int64_t> fixed, int64_t index) const;

private:
  gemm::Emitter &e_;
  mlir::Value buffers_, values_;
};

using TileBody =
    std::function<void(gemm::Emitter &, mlir::Value tile, mlir::Value scratch)>;

/// Adds the kernel `name` to `module`. `prepare` reads the frame before the loop over
/// the grid tiles and returns what to emit in it.
void addKernelFunction(
    mlir::ModuleOp module, llvm::StringRef name,
    const std::function<TileBody(const KernelFrame &, gemm::Emitter &)> &prepare);

} // namespace rtorch::test
