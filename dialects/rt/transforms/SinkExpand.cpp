// Pointwise ops before the expansion of their operands instead of after it: an
// attention mask of [B, 1, 1, S] is then not computed for each query.
#include "dialects/rt/transforms/Patterns.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Guards;
using rtorch::layout::Layout;

namespace rtorch::rt {
namespace {

/// The tensor that `value` expands, or `value`.
Value beforeExpansion(Value value) {
  auto expand = value.getDefiningOp<ExpandOp>();
  return expand ? expand.getSource() : value;
}

/// The sizes that `operands` broadcast to, in `rank` dims; they are known to broadcast.
Dims broadcastOf(ArrayRef<Value> operands, int64_t rank) {
  Dims sizes(rank, layout::Expr(1));
  for (Value operand : operands) {
    TensorType type = tensorType(operand);
    int64_t skipped = rank - type.getRank();
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      if (!type.getSize(dim).isConstant(1))
        sizes[skipped + dim] = type.getSize(dim);
  }
  return sizes;
}

struct SinkExpand : OpInterfaceRewritePattern<PointwiseOpInterface> {
  SinkExpand(MLIRContext *context, const Guards &guards)
      : OpInterfaceRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(PointwiseOpInterface op,
                                PatternRewriter &rewriter) const override {
    TensorType type = tensorType(op->getResult(0));
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(beforeExpansion(operand));
    Dims sizes = broadcastOf(operands, type.getRank());
    if (ValueRange(operands) == op->getOperands() || sizes == type.getSizes())
      return rewriter.notifyMatchFailure(op, "no dim of the result is an expansion");
    // Views depend on the strides of what they see, and users see those of results.
    if (!llvm::all_of(op->getUsers(), llvm::IsaPred<LayoutOpInterface>))
      return rewriter.notifyMatchFailure(op, "strides of the result are observed");
    // Without the leading dims that only expansions have.
    int64_t rank = 0;
    for (Value operand : operands)
      rank = std::max(rank, tensorType(operand).getRank());
    sizes.erase(sizes.begin(), sizes.end() - rank);
    auto narrow = TensorType::get(op->getContext(), sizes, type.getElementType());
    Guards guards = guards_;
    std::optional<Layout> layout =
        layout::expandTo(narrow.getLayout(), type.getSizes(), guards);
    if (!layout)
      return rewriter.notifyMatchFailure(op, "the result does not expand");
    OperationState state(op->getLoc(), op->getName(), operands, {narrow},
                         op->getAttrs());
    Value result = rewriter.create(state)->getResult(0);
    rewriter.replaceOpWithNewOp<ExpandOp>(
        op, TensorType::get(op->getContext(), *layout, type.getElementType()), result);
    return success();
  }

private:
  const Guards &guards_;
};

} // namespace

void populateSinkExpandPatterns(RewritePatternSet &patterns, const Guards &guards) {
  patterns.add<SinkExpand>(patterns.getContext(), guards);
}

} // namespace rtorch::rt
