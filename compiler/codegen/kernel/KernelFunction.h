// The frame of every kernel function: its arguments, the loop over grid tiles, the
// error that it returns.
#pragma once

#include "compiler/codegen/kernel/Evaluator.h"
#include "compiler/codegen/lowering/Target.h"

namespace rtorch::codegen {

/// What the schedule must know of a kernel besides its code. Expressions are over the
/// kernel's symbols.
struct KernelInfo {
  layout::Expr grid;         ///< number of tiles
  layout::Expr scratchBytes; ///< per thread
  std::vector<ErrorSiteInfo> sites;
};

/// Emits a function named `symbol` with the kernel ABI (runtime/format/KernelAbi.h) at
/// the builder's insertion point; `tile` emits the work of one grid tile.
void emitKernelFunction(
    mlir::OpBuilder &builder, llvm::StringRef symbol, KernelState &state,
    llvm::function_ref<void(mlir::OpBuilder &, mlir::Value tile, mlir::Value scratch)>
        tile);

/// The same of a class that tells a KernelInfo by `info()` and emits `emitTile(builder,
/// tile, scratch)`; it is made of the state and `arguments`.
template <typename Kernel, typename... Arguments>
KernelInfo emitKernelOf(mlir::OpBuilder &builder, rt::KernelOp kernel,
                        llvm::StringRef symbol, const Arguments &...arguments) {
  KernelState state;
  state.kernel = kernel;
  Kernel body(state, arguments...);
  KernelInfo info = body.info();
  emitKernelFunction(builder, symbol, state,
                     [&](mlir::OpBuilder &b, mlir::Value tile, mlir::Value scratch) {
                       body.emitTile(b, tile, scratch);
                     });
  info.sites = std::move(state.sites);
  return info;
}

/// Emits `kernel` for `target` as a function named `symbol`. Ops such as softmax are
/// taken apart in place first.
KernelInfo emitKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                      llvm::StringRef symbol, const Target &target);

/// Replaces softmax, log_softmax and layer_norm in the kernel's body by reductions and
/// pointwise ops.
void decomposeRowOps(rt::KernelOp kernel);

/// Brings the dims of a kernel of pointwise ops and reductions into the order of memory
/// and merges those that no buffer tells apart.
void collapseDims(rt::KernelOp kernel);

/// The strategies; `emitKernel` chooses by the ops in the body.
KernelInfo emitLoopKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                          llvm::StringRef symbol, const Target &target);
KernelInfo emitGemmKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                          llvm::StringRef symbol, const Target &target);
KernelInfo emitConvKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                          llvm::StringRef symbol, const Target &target);
KernelInfo emitWinogradKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                              llvm::StringRef symbol, const Target &target);
KernelInfo emitDepthwiseKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                               llvm::StringRef symbol, const Target &target);
KernelInfo emitScanKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                          llvm::StringRef symbol, const Target &target);
KernelInfo emitSortKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                          llvm::StringRef symbol, const Target &target);
KernelInfo emitScatterKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                             llvm::StringRef symbol, const Target &target);
KernelInfo emitAttentionKernel(mlir::OpBuilder &builder, rt::KernelOp kernel,
                               llvm::StringRef symbol, const Target &target);

} // namespace rtorch::codegen
