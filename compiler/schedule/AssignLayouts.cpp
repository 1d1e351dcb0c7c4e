#include "compiler/schedule/Passes.h"
#include "compiler/schedule/Retype.h"
#include "compiler/schedule/ViewChain.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_ASSIGNLAYOUTS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// Whether the op reads `operand` element by element in the order of its own result,
/// so that equal layouts suit both.
bool keepsChannels(Operation *op, Value operand) {
  TensorType from = tensorType(operand), to = tensorType(op->getResult(0));
  if (!hasInnerChannels(from) || from.getSize(1) != to.getSize(1))
    return isa<rt::CatOp>(op) && hasInnerChannels(from);
  if (isa<rt::PointwiseOpInterface, rt::CloneOp>(op))
    return from.getSizes() == to.getSizes();
  if (auto reduction = dyn_cast<rt::ReductionOpInterface>(op))
    return llvm::all_of(reduction.getReducedDims(),
                        [](int64_t dim) { return dim > 1; });
  if (auto index = dyn_cast<rt::IndexOp>(op))
    return operand == index.getSource() && index.getPosition() > 1 &&
           llvm::all_of(index.getDims(), [](int64_t dim) { return dim > 1; });
  return isa<rt::PadOp, rt::CatOp>(op);
}

bool wantsInnerChannels(Operation *op) {
  if (auto convolution = dyn_cast<rt::ConvolutionOp>(op))
    return !convolution.isTransposed();
  return llvm::any_of(op->getOperands(),
                      [&](Value operand) { return keepsChannels(op, operand); });
}

/// The strides that the result gets from the first operand whose layout was changed: a
/// pointwise op works best in the order of its operands.
std::optional<Dims> adoptedStrides(Operation *op,
                                   const llvm::DenseSet<Value> &changed) {
  if (!isa<rt::PointwiseOpInterface>(op))
    return std::nullopt;
  for (Value operand : op->getOperands()) {
    TensorType type = tensorType(operand);
    if (!changed.contains(viewRoot(operand)) ||
        type.getSizes() != tensorType(op->getResult(0)).getSizes())
      continue;
    layout::Guards guards = rt::guardsAround(op);
    size_t known = guards.recorded().size();
    if (layout::isDense(type.getLayout(), guards) && guards.recorded().size() == known)
      return type.getStrides();
  }
  return std::nullopt;
}

/// An activation: [batch, channels, spatial...], of more than one channel.
bool isActivation(Operation *op) {
  if (!isa<rt::LayoutOpInterface>(op) || op->getNumResults() != 1)
    return false;
  TensorType type = tensorType(op->getResult(0));
  return type.getRank() >= 3 && type.getRank() <= 5 && !type.getSize(1).isConstant(1);
}

/// "rt.view at net.py:12"
std::string describe(Operation *op) {
  std::string source;
  op->getLoc()->walk([&](Location part) {
    if (auto file = dyn_cast<FileLineColLoc>(part); file && source.empty())
      source = " at " + file.getFilename().str() + ":" + std::to_string(file.getLine());
    return WalkResult::advance();
  });
  return op->getName().getStringRef().str() + source;
}

struct AssignLayoutsPass : impl::AssignLayoutsBase<AssignLayoutsPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        assign(function);
  }

  void assign(func::FuncOp function) {
    Block &block = function.getBody().front();
    if (block.getOps<rt::ConvolutionOp>().empty())
      return;
    SmallVector<Operation *> ops;
    for (Operation &op : block)
      ops.push_back(&op);
    int64_t count = 0;
    SmallVector<std::string> copies;
    llvm::DenseSet<Value> changed;
    for (Operation *op : ops) {
      std::optional<Dims> strides = adoptedStrides(op, changed);
      if (!strides && isActivation(op) && wantsInnerChannels(op))
        strides = channelsLastStrides(tensorType(op->getResult(0)).getSizes());
      if (!strides)
        continue;
      Value result = op->getResult(0);
      changed.insert(result);
      if (tensorType(result) == withStrides(tensorType(result), *strides))
        continue;
      ++count;
      for (Operation *user : changeLayout(result, *strides))
        copies.push_back(describe(user));
    }
    dropCopies(block);
    Builder builder(&getContext());
    SmallVector<StringRef> names(copies.begin(), copies.end());
    function->setAttr(
        kLayoutsAttr,
        builder.getDictionaryAttr(
            {builder.getNamedAttr("channels_last", builder.getI64IntegerAttr(count)),
             builder.getNamedAttr("copies_for", builder.getStrArrayAttr(names))}));
  }

  /// A copy that no longer changes the layout is its source.
  static void dropCopies(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      auto clone = dyn_cast<rt::CloneOp>(op);
      if (!clone || clone.getType() != clone.getSource().getType() ||
          isExternal(viewRoot(clone.getSource())))
        continue;
      clone.getResult().replaceAllUsesWith(clone.getSource());
      clone.erase();
    }
  }
};

} // namespace
} // namespace rtorch::schedule
