#include "tests/unit/codegen/KernelFunction.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace rtorch::test {

KernelFrame::KernelFrame(gemm::Emitter &e, Value frame) : e_(e) {
  Type pointer = LLVM::LLVMPointerType::get(e.b.getContext());
  buffers_ = e.load(e.b.getI64Type(), frame);
  buffers_ = LLVM::IntToPtrOp::create(e.b, e.loc, pointer, buffers_);
  values_ = e.load(e.b.getI64Type(), e.address(e.b.getI64Type(), frame, 1));
  values_ = LLVM::IntToPtrOp::create(e.b, e.loc, pointer, values_);
}

Value KernelFrame::buffer(int64_t index) const {
  Type i64 = e_.b.getI64Type();
  Value bits = e_.load(i64, e_.address(i64, buffers_, index));
  return LLVM::IntToPtrOp::create(e_.b, e_.loc, buffers_.getType(), bits);
}

Value KernelFrame::value(int64_t index) const {
  Type i64 = e_.b.getI64Type();
  return e_.load(i64, e_.address(i64, values_, index));
}

Value KernelFrame::size(std::optional<int64_t> fixed, int64_t index) const {
  return fixed ? e_.constant(*fixed) : value(index);
}

void addKernelFunction(
    ModuleOp module, StringRef name,
    const std::function<TileBody(const KernelFrame &, gemm::Emitter &)> &prepare) {
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  Location loc = b.getUnknownLoc();
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type i64 = b.getI64Type(), i32 = b.getI32Type();
  auto type = b.getFunctionType({pointer, i64, i64, pointer}, {i32});
  auto function = func::FuncOp::create(b, loc, name, type);
  b.setInsertionPointToStart(function.addEntryBlock());
  gemm::Emitter e(b, loc);
  KernelFrame frame(e, function.getArgument(0));
  TileBody body = prepare(frame, e);
  e.loop(function.getArgument(1), function.getArgument(2), 1,
         [&](Value tile) { body(e, tile, function.getArgument(3)); });
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  func::ReturnOp::create(b, loc, zero);
}

} // namespace rtorch::test
