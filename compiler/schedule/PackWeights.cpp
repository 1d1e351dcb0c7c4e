#include "compiler/schedule/Passes.h"
#include "compiler/schedule/ViewChain.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_PACKWEIGHTS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// Whether `value` is known at compile time: a view of a parameter that nothing
/// writes to, of fixed sizes and strides.
bool isConstantWeight(Value value) {
  auto parameter = viewRoot(value).getDefiningOp<rt::ParameterOp>();
  if (!parameter || parameter.getMutated() || tensorType(value).getRank() != 2)
    return false;
  // Packed panels go to registers as they are; what is widened on the way does not.
  if (Type type = tensorType(value).getElementType(); !type.isF32() && !type.isF64())
    return false;
  layout::Layout layout = tensorType(value).getLayout();
  auto isConstant = [](const layout::Expr &expr) { return expr.isConstant(); };
  return llvm::all_of(layout.sizes, isConstant) &&
         llvm::all_of(layout.strides, isConstant) && layout.offset.isConstant() &&
         layout.sizes[0].constant().value_or(0) > 0 &&
         layout.sizes[1].constant().value_or(0) > 0;
}

struct PackWeightsPass : impl::PackWeightsBase<PackWeightsPass> {
  using PackWeightsBase::PackWeightsBase;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<rt::LinearOp, rt::MatmulOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      if (auto linear = dyn_cast<rt::LinearOp>(op))
        pack(op, linear.getX(), linear.getWeight(), linear.getBias(), true);
      else
        pack(op, op->getOperand(0), op->getOperand(1), {}, false);
    }
  }

  /// One pack op a weight: uses of the same weight share it.
  Value packed(OpBuilder &builder, Value weight, bool transposed) {
    Value &result = packs_[{weight, unsigned(transposed)}];
    if (result)
      return result;
    TensorType type = tensorType(weight);
    int64_t panel = panelVectors * (vectorBytes / type.getElementBytes());
    int64_t k = transposed ? 1 : 0, multiple = kMultiple;
    Dims sizes = {layout::ceildiv(type.getSize(1 - k), panel),
                  layout::ceildiv(type.getSize(k), multiple) * layout::Expr(multiple),
                  panel};
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointAfterValue(weight);
    result = rt::PackOp::create(
        builder, weight.getLoc(),
        TensorType::get(builder.getContext(), sizes, type.getElementType()), weight,
        transposed, panel, multiple);
    return result;
  }

  void pack(Operation *op, Value x, Value weight, Value bias, bool transposed) {
    if (!isConstantWeight(weight))
      return;
    OpBuilder builder(op);
    int64_t columns = *tensorType(weight).getSize(transposed ? 0 : 1).constant();
    if (columns == 1) // a panel would be zeros but for one column
      return;
    Value result =
        rt::PackedLinearOp::create(builder, op->getLoc(), op->getResult(0).getType(), x,
                                   packed(builder, weight, transposed), bias, columns);
    op->getResult(0).replaceAllUsesWith(result);
    op->erase();
  }

  llvm::DenseMap<std::pair<Value, unsigned>, Value> packs_;
};

} // namespace
} // namespace rtorch::schedule
