#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_PREPARERESULTS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// A copy of `value` with the same strides and no offset.
Value cloneOf(OpBuilder &builder, Value value) {
  TensorType type = tensorType(value);
  layout::Layout layout = type.getLayout();
  layout.offset = 0;
  return rt::CloneOp::create(
      builder, value.getLoc(),
      TensorType::get(builder.getContext(), layout, type.getElementType()), value);
}

/// Whether a buffer laid out as `view` holds exactly the elements of its root.
bool coversRoot(Value view, Value root, layout::Guards &guards) {
  TensorType type = tensorType(view);
  return type.getOffset().isConstant(0) &&
         layout::numel(type.getSizes()) == layout::numel(tensorType(root).getSizes()) &&
         layout::isDense(type.getLayout(), guards);
}

struct PrepareResultsPass : impl::PrepareResultsBase<PrepareResultsPass> {
  void runOnOperation() override {
    getOperation().walk([&](rt::ReturnOp op) { prepare(op); });
  }

  void prepare(rt::ReturnOp op) {
    OpBuilder builder(op);
    layout::Guards guards = rt::guardsAround(op);
    // Roots that some result covers live in that result's memory.
    llvm::DenseSet<Value> covered;
    for (Value value : op.getOperands())
      if (coversRoot(value, viewRoot(value), guards))
        covered.insert(viewRoot(value));
    for (OpOperand &operand : op->getOpOperands()) {
      Value root = viewRoot(operand.get());
      if (isExternal(root))
        continue;
      if (root.getDefiningOp<rt::FullOp>() || !covered.contains(root))
        operand.set(cloneOf(builder, operand.get()));
    }
  }
};

} // namespace
} // namespace rtorch::schedule
