// Products with matrices of weights back to rt.linear, without the reshapes that their
// decomposition needed.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Patterns.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::layout::Guards;

namespace rtorch::rt {
namespace {

/// The last `count` sizes of both are equal.
bool sameLastSizes(Value a, Value b, int64_t count) {
  TensorType x = tensorType(a), y = tensorType(b);
  for (int64_t i = 1; i <= count; ++i)
    if (x.getRank() < i || y.getRank() < i ||
        x.getSize(x.getRank() - i) != y.getSize(y.getRank() - i))
      return false;
  return true;
}

Dims leadingSizes(Value value, int64_t dropped) {
  Dims sizes = tensorType(value).getSizes();
  sizes.resize(sizes.size() - dropped);
  return sizes;
}

Value behindClones(Value value) {
  while (auto clone = value.getDefiningOp<CloneOp>())
    value = clone.getSource();
  return value;
}

/// The tensor of rank 2 that every matrix of `value` is: behind expands and reshapes of
/// the leading dims. Null if there is none.
Value commonMatrix(Value value) {
  while (tensorType(value).getRank() > 2) {
    Operation *op = value.getDefiningOp();
    if (!isa_and_nonnull<ExpandOp, ViewOp, UnsqueezeOp, CloneOp>(op) ||
        !sameLastSizes(op->getOperand(0), value, 2))
      return {};
    value = op->getOperand(0);
  }
  return tensorType(value).getRank() == 2 ? value : Value();
}

/// The matrix of which `matrix` is the transposed view; a parameter that is not
/// transposed gets such a view. Null for other tensors.
Value transposedWeight(Value matrix, Location loc, PatternRewriter &rewriter) {
  if (Value source = transposedMatrix(matrix))
    return source;
  if (!aliasBase(matrix).getDefiningOp<ParameterOp>())
    return {};
  return transposeMatrices(rewriter, loc, matrix);
}

/// `matmul(x, permute(w))`, also with `w` repeated for every batch, is `linear(x, w)`.
/// A product with one matrix that is no weight loses the repetition.
struct MatmulToLinear : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Value matrix = commonMatrix(op.getRhs());
    if (!matrix)
      return rewriter.notifyMatchFailure(op, "'rhs' is not one matrix");
    if (leadingSizes(op.getLhs(), 1) != leadingSizes(op.getResult(), 1))
      return rewriter.notifyMatchFailure(op, "'lhs' is broadcast");
    if (Value weight = transposedWeight(matrix, op.getLoc(), rewriter)) {
      rewriter.replaceOpWithNewOp<LinearOp>(op, op.getType(), op.getLhs(), weight,
                                            Value());
      return success();
    }
    if (matrix == op.getRhs())
      return rewriter.notifyMatchFailure(op, "'rhs' is not a transposed weight");
    rewriter.modifyOpInPlace(op, [&] { op.getRhsMutable().assign(matrix); });
    return success();
  }
};

/// `linear(x, w) + b` is `linear(x, w, b)`, also with a reshape of the leading dims
/// before the sum.
struct AddBias : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &rewriter) const override {
    for (bool swapped : {false, true}) {
      Value sum = swapped ? op.getB() : op.getA();
      if (succeeded(rewrite(op, sum, swapped ? op.getA() : op.getB(), rewriter)))
        return success();
    }
    return rewriter.notifyMatchFailure(op, "no operand is a linear without bias");
  }

private:
  static LogicalResult rewrite(AddOp op, Value sum, Value bias,
                               PatternRewriter &rewriter) {
    if (sum.getType() != op.getType() || !sum.hasOneUse())
      return failure();
    auto view = sum.getDefiningOp<ViewOp>();
    auto linear = (view ? view.getSource() : sum).getDefiningOp<LinearOp>();
    if (!linear || linear.getBias() || !linear->hasOneUse() ||
        !sameLastSizes(linear.getResult(), sum, 1))
      return failure();
    if (auto expand = bias.getDefiningOp<ExpandOp>())
      bias = expand.getSource();
    if (tensorType(bias).getRank() != 1 || !sameLastSizes(bias, sum, 1))
      return failure();
    Value result = LinearOp::create(rewriter, op.getLoc(), linear.getType(),
                                    linear.getX(), linear.getWeight(), bias);
    if (view)
      result = ViewOp::create(rewriter, view.getLoc(), view.getType(), result);
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// `linear(view(x))` of a view that keeps the last dim is a view of `linear(x)`.
struct HoistView : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    auto view = behindClones(op.getX()).getDefiningOp<ViewOp>();
    if (!view)
      return rewriter.notifyMatchFailure(op, "'x' is not a view");
    Value x = behindClones(view.getSource());
    // Of views without elements the last dim does not tell the number of rows.
    if (!sameLastSizes(x, view.getResult(), 1) ||
        numel(leadingSizes(x, 1)) != numel(leadingSizes(view.getResult(), 1)))
      return rewriter.notifyMatchFailure(op, "the view changes the last dim");
    Dims sizes = tensorType(x).getSizes();
    sizes.back() = tensorType(op.getWeight()).getSize(0);
    auto type = TensorType::get(op.getContext(), sizes,
                                tensorType(op.getResult()).getElementType());
    Value linear =
        LinearOp::create(rewriter, op.getLoc(), type, x, op.getWeight(), op.getBias());
    if (tensorType(op.getResult()).isRowMajor()) {
      rewriter.replaceOpWithNewOp<ViewOp>(op, op.getType(), linear);
      return success();
    }
    Value flat =
        ViewOp::create(rewriter, view.getLoc(),
                       tensorType(op.getResult()).withRowMajorLayout(), linear);
    rewriter.replaceOpWithNewOp<CloneOp>(op, op.getType(), flat);
    return success();
  }
};

/// A product of matrices whose leading dims were merged is a view of the product with
/// the leading dims as they were in one of the operands.
struct SplitBatch : OpRewritePattern<MatmulOp> {
  SplitBatch(MLIRContext *context, const Guards &guards)
      : OpRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Value lhs = beforeMerge(op.getLhs()), rhs = beforeMerge(op.getRhs());
    if (!lhs && !rhs)
      return rewriter.notifyMatchFailure(op, "no operand has merged leading dims");
    if (leadingSizes(op.getLhs(), 2) != leadingSizes(op.getRhs(), 2))
      return rewriter.notifyMatchFailure(op, "leading dims differ");
    if (!tensorType(op.getResult()).isRowMajor())
      return rewriter.notifyMatchFailure(op, "the result is not row-major");
    if (!lhs)
      lhs = splitLike(op.getLhs(), rhs, rewriter);
    else if (!rhs || leadingSizes(lhs, 2) != leadingSizes(rhs, 2))
      rhs = splitLike(op.getRhs(), lhs, rewriter);
    if (!lhs || !rhs)
      return rewriter.notifyMatchFailure(op, "an operand cannot be viewed so");
    TensorType type = tensorType(op.getResult());
    Dims sizes = leadingSizes(lhs, 2);
    for (int64_t dim : {2, 1})
      sizes.push_back(type.getSize(type.getRank() - dim));
    auto product = MatmulOp::create(
        rewriter, op.getLoc(),
        TensorType::get(op.getContext(), sizes, type.getElementType()), lhs, rhs);
    rewriter.replaceOpWithNewOp<ViewOp>(op, type, product);
    return success();
  }

private:
  /// The tensor of more leading dims that `value` views.
  static Value beforeMerge(Value value) {
    auto view = behindClones(value).getDefiningOp<ViewOp>();
    if (!view || tensorType(view.getResult()).getRank() != 3)
      return {};
    Value source = behindClones(view.getSource());
    bool merges = tensorType(source).getRank() > 3 && sameLastSizes(source, value, 2);
    return merges ? source : Value();
  }

  /// A view of `value` with the leading dims of `model`; null if there is none.
  Value splitLike(Value value, Value model, PatternRewriter &rewriter) const {
    TensorType type = tensorType(value);
    Dims sizes = leadingSizes(model, 2);
    for (int64_t dim : {2, 1})
      sizes.push_back(type.getSize(type.getRank() - dim));
    Guards trial = guards_;
    std::optional<layout::Layout> layout =
        layout::viewAs(type.getLayout(), sizes, trial);
    if (!layout || trial.recorded().size() != guards_.recorded().size())
      return {};
    return ViewOp::create(rewriter, value.getLoc(), withLayout(type, *layout), value);
  }

  const Guards &guards_;
};

} // namespace

void populateRaiseLinearPatterns(RewritePatternSet &patterns, const Guards &guards) {
  patterns.add<MatmulToLinear, AddBias, HoistView>(patterns.getContext());
  patterns.add<SplitBatch>(patterns.getContext(), guards);
}

} // namespace rtorch::rt
