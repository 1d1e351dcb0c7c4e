#include "compiler/codegen/kernel/KernelFunction.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace rtorch::codegen {

/// Loads base pointers and symbol values from the frame.
static void loadFrame(gemm::Emitter &e, KernelState &state, Value frame) {
  Type pointer = LLVM::LLVMPointerType::get(e.b.getContext());
  Value buffers = e.load(pointer, frame);
  Value values = e.load(pointer, e.address(pointer, frame, 1));
  size_t count = state.kernel.getBlock().getNumArguments() +
                 state.kernel.getYield().getNumOperands();
  for (size_t i = 0; i < count; ++i)
    state.buffers.push_back(e.load(pointer, e.address(pointer, buffers, i)));
  for (auto [i, symbol] :
       llvm::enumerate(state.kernel.getSymbols().getAsRange<rt::SymbolAttr>()))
    state.symbols[symbol.getName().str()] =
        e.load(e.b.getI64Type(), e.address(e.b.getI64Type(), values, i));
}

void emitKernelFunction(OpBuilder &builder, StringRef symbol, KernelState &state,
                        llvm::function_ref<void(OpBuilder &, Value, Value)> tile) {
  MLIRContext *context = builder.getContext();
  Location loc = UnknownLoc::get(context);
  Type pointer = LLVM::LLVMPointerType::get(context), i64 = builder.getI64Type(),
       i32 = builder.getI32Type();
  auto type = builder.getFunctionType({pointer, i64, i64, pointer}, {i32});
  auto function = func::FuncOp::create(builder, loc, symbol, type);
  OpBuilder::InsertionGuard guard(builder);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  gemm::Emitter e(builder, loc);
  loadFrame(e, state, entry->getArgument(0));
  Value one = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(1));
  Value none = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(0));
  state.error = LLVM::AllocaOp::create(builder, loc, pointer, i32, one);
  e.store(none, state.error);
  e.loop(entry->getArgument(1), entry->getArgument(2), 1,
         [&](Value index) { tile(builder, index, entry->getArgument(3)); });
  func::ReturnOp::create(builder, loc, e.load(i32, state.error));
}

KernelInfo emitKernel(OpBuilder &builder, rt::KernelOp kernel, StringRef symbol,
                      const Target &target) {
  for (Operation &op : kernel.getBlock()) {
    if (isa<rt::AttentionOp>(op))
      return emitAttentionKernel(builder, kernel, symbol, target);
    if (auto convolution = dyn_cast<rt::PackedConvolutionOp>(op))
      return convolution.getWinograd()
                 ? emitWinogradKernel(builder, kernel, symbol, target)
                 : emitConvKernel(builder, kernel, symbol, target);
    if (isa<rt::ConvolutionOp>(op))
      return emitDepthwiseKernel(builder, kernel, symbol, target);
    if (isa<rt::LinearOp, rt::MatmulOp, rt::PackedLinearOp>(op))
      return emitGemmKernel(builder, kernel, symbol, target);
    if (isa<rt::ScanOp>(op))
      return emitScanKernel(builder, kernel, symbol, target);
    if (isa<rt::SortOp>(op))
      return emitSortKernel(builder, kernel, symbol, target);
    if (isa<rt::ScatterOp>(op))
      return emitScatterKernel(builder, kernel, symbol, target);
  }
  decomposeRowOps(kernel);
  collapseDims(kernel);
  return emitLoopKernel(builder, kernel, symbol, target);
}

} // namespace rtorch::codegen
