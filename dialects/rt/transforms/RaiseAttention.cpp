// Product, softmax, product back to rt.attention.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Patterns.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Guards;

namespace rtorch::rt {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

//===----------------------------------------------------------------------===//
// Bounds
//===----------------------------------------------------------------------===//

struct Bounds {
  double low = -kInfinity, high = kInfinity;
  bool isFinite() const { return std::isfinite(low) && std::isfinite(high); }
};

/// What is beyond the largest finite float may have become infinite.
Bounds rounded(double low, double high) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return {low < -kLargest ? -kInfinity : low, high > kLargest ? kInfinity : high};
}

Bounds boundsOf(Value value, int depth = 0);

Bounds boundsOfProduct(Bounds a, Bounds b) {
  if (!a.isFinite() || !b.isFinite())
    return {};
  auto [low, high] =
      std::minmax({a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high});
  return rounded(low, high);
}

Bounds boundsOfConvert(ConvertOp op, int depth) {
  if (tensorType(op.getX()).getElementType().isInteger(1))
    return {0, 1};
  return boundsOf(op.getX(), depth);
}

/// Bounds of the elements as far as the ops around tell; not NaN where finite.
Bounds boundsOf(Value value, int depth) {
  constexpr int kDeepest = 16;
  Operation *op = value.getDefiningOp();
  if (!op || depth++ == kDeepest)
    return {};
  if (std::optional<double> number = uniformNumber(value))
    return std::isnan(*number) ? Bounds{} : Bounds{*number, *number};
  return llvm::TypeSwitch<Operation *, Bounds>(op)
      .Case<ViewOpInterface, CloneOp>(
          [&](auto view) { return boundsOf(view->getOperand(0), depth); })
      .Case([&](WhereOp where) {
        Bounds a = boundsOf(where.getA(), depth), b = boundsOf(where.getB(), depth);
        return Bounds{std::min(a.low, b.low), std::max(a.high, b.high)};
      })
      .Case([&](ConvertOp convert) { return boundsOfConvert(convert, depth); })
      .Case([&](MulOp mul) {
        return boundsOfProduct(boundsOf(mul.getA(), depth),
                               boundsOf(mul.getB(), depth));
      })
      .Case([&](SubOp sub) {
        Bounds a = boundsOf(sub.getA(), depth), b = boundsOf(sub.getB(), depth);
        return a.isFinite() && b.isFinite() ? rounded(a.low - b.high, a.high - b.low)
                                            : Bounds{};
      })
      .Default(Bounds{});
}

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

bool negates(Operation *op) { return isa_and_nonnull<LogicalNotOp, BitwiseNotOp>(op); }

/// Whether `value` is `scores == -inf`.
bool isMaskedOut(Value value, Value scores) {
  auto eq = value.getDefiningOp<EqOp>();
  if (!eq)
    return false;
  return (eq.getA() == scores && uniformNumber(eq.getB()) == -kInfinity) ||
         (eq.getB() == scores && uniformNumber(eq.getA()) == -kInfinity);
}

/// Whether the reduction is over the last dim, which stays.
template <typename Reduction> bool isOverLastDim(Reduction op) {
  int64_t last = tensorType(op.getX()).getRank() - 1;
  return op.getKeepdim() && op.getDims() == ArrayRef<int64_t>(last);
}

/// Whether `condition` holds for rows in which every score is -inf.
bool isWithoutScore(Value condition, Value scores) {
  if (auto all = condition.getDefiningOp<AllOp>())
    return isOverLastDim(all) && isMaskedOut(all.getX(), scores);
  if (!negates(condition.getDefiningOp()))
    return false;
  auto any = condition.getDefiningOp()->getOperand(0).getDefiningOp<AnyOp>();
  if (!any || !isOverLastDim(any) || !negates(any.getX().getDefiningOp()))
    return false;
  return isMaskedOut(any.getX().getDefiningOp()->getOperand(0), scores);
}

/// The parts of an attention that was taken apart.
struct Parts {
  Value query, transposedKey, mask;
  double scale = 1;
  /// Rows without any score give 0, not NaN.
  bool safe = false;
};

/// Takes a factor off `value`: from `x * c` and `x / c` it gives x.
Value withoutScale(Value value, double &scale) {
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<MulOp, DivOp>(op))
    return value;
  for (unsigned i : {1u, 0u}) {
    std::optional<double> factor = uniformNumber(op->getOperand(i));
    Value other = op->getOperand(1 - i);
    if (!factor || !std::isfinite(*factor) || *factor == 0 ||
        other.getType() != value.getType() || (i == 0 && isa<DivOp>(op)))
      continue;
    scale = isa<MulOp>(op) ? scale * *factor : scale / *factor;
    return other;
  }
  return value;
}

/// softmax, and around it the rows without a score put to 0. Null if `weights` is
/// something else or also used elsewhere.
SoftmaxOp matchSoftmax(Value weights, Parts &parts) {
  if (!weights.hasOneUse())
    return {};
  auto softmax = weights.getDefiningOp<SoftmaxOp>();
  if (auto where = weights.getDefiningOp<WhereOp>()) {
    softmax = where.getB().getDefiningOp<SoftmaxOp>();
    if (!softmax || !softmax->hasOneUse() || uniformNumber(where.getA()) != 0.0 ||
        !isWithoutScore(where.getCondition(), softmax.getX()))
      return {};
    parts.safe = true;
  }
  if (!softmax || static_cast<int64_t>(softmax.getDim()) !=
                      tensorType(softmax.getX()).getRank() - 1)
    return {};
  bool shared = llvm::any_of(softmax.getX().getUsers(), [&](Operation *user) {
    return user != softmax && !(parts.safe && isa<EqOp>(user));
  });
  return shared ? SoftmaxOp() : softmax;
}

/// `query * key^T`, scaled before or after.
bool matchProduct(Value scores, Parts &parts) {
  scores = withoutScale(scores, parts.scale);
  auto product = scores.getDefiningOp<MatmulOp>();
  if (!product || !product->hasOneUse())
    return false;
  parts.query = withoutScale(product.getLhs(), parts.scale);
  parts.transposedKey = withoutScale(product.getRhs(), parts.scale);
  return true;
}

/// The product, with or without a mask added.
bool matchScores(Value scores, Parts &parts) {
  if (matchProduct(scores, parts))
    return true;
  auto add = scores.getDefiningOp<AddOp>();
  if (!add)
    return false;
  for (bool swapped : {false, true}) {
    Value sum = swapped ? add.getB() : add.getA();
    Parts found = parts;
    if (sum.getType() != scores.getType() || !sum.hasOneUse() ||
        !matchProduct(sum, found))
      continue;
    parts = found;
    parts.mask = swapped ? add.getA() : add.getB();
    return true;
  }
  return false;
}

/// The condition of `where(condition, 0, -inf)`, which as a mask means the same.
Value boolMask(Value mask) {
  auto where = mask.getDefiningOp<WhereOp>();
  if (where && uniformNumber(where.getA()) == 0.0 &&
      uniformNumber(where.getB()) == -kInfinity)
    return where.getCondition();
  return mask;
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// Swaps the last two dims by a view.
Value transposed(Value value, PatternRewriter &rewriter) {
  SmallVector<int64_t> order =
      llvm::to_vector(llvm::seq<int64_t>(0, tensorType(value).getRank()));
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  layout::Layout layout = layout::permuteDims(tensorType(value).getLayout(), order);
  return PermuteOp::create(rewriter, value.getLoc(),
                           withLayout(tensorType(value), layout), value, order);
}

bool sameLeadingSizes(Value a, Value b) {
  Dims x = tensorType(a).getSizes(), y = tensorType(b).getSizes();
  return x.size() == y.size() && x.size() >= 2 &&
         std::equal(x.begin(), x.end() - 2, y.begin());
}

/// `softmax(scale * query * key^T + mask) * value`, with rows without a score put to 0
/// or a mask that leaves none, is `rt.attention`. The result has the query's order of
/// dims, as the fused op of eager PyTorch gives it.
struct MatmulToAttention : OpRewritePattern<MatmulOp> {
  MatmulToAttention(MLIRContext *context, const Guards &guards)
      : OpRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Parts parts;
    SoftmaxOp softmax = matchSoftmax(op.getLhs(), parts);
    if (!softmax)
      return rewriter.notifyMatchFailure(op, "'lhs' is not a softmax of its own");
    if (!matchScores(softmax.getX(), parts))
      return rewriter.notifyMatchFailure(op,
                                         "the scores are not a product of their own");
    if (!sameLeadingSizes(parts.query, parts.transposedKey) ||
        !sameLeadingSizes(parts.query, op.getRhs()))
      return rewriter.notifyMatchFailure(op, "leading dims are broadcast");
    // Without the guard for rows without a score these are NaN in eager PyTorch, but 0
    // in rt.attention: the mask must not be able to make one.
    if (!parts.safe && parts.mask && !std::isfinite(boundsOf(parts.mask).low))
      return rewriter.notifyMatchFailure(op, "the mask may be -inf for a whole row");
    if (parts.mask)
      parts.mask = boolMask(parts.mask);
    Value key = transposed(parts.transposedKey, rewriter);
    TensorType type = resultType(op, parts.query);
    Value result =
        AttentionOp::create(rewriter, op.getLoc(), type, parts.query, key, op.getRhs(),
                            parts.mask, rewriter.getF64FloatAttr(parts.scale),
                            rewriter.getBoolAttr(false), rewriter.getBoolAttr(false));
    if (type == op.getType())
      rewriter.replaceOp(op, result);
    else
      rewriter.replaceOpWithNewOp<CloneOp>(op, op.getType(), result);
    return success();
  }

private:
  TensorType resultType(MatmulOp op, Value query) const {
    TensorType result = tensorType(op.getResult()).withRowMajorLayout();
    layout::Layout layout = tensorType(query).getLayout();
    if (layout.sizes != result.getSizes())
      return result;
    Guards trial = guards_;
    layout.strides = layout::preserveStrides(layout, trial);
    layout.offset = 0;
    return trial.recorded().size() == guards_.recorded().size()
               ? withLayout(result, layout)
               : result;
  }

  const Guards &guards_;
};

} // namespace

void populateRaiseAttentionPatterns(RewritePatternSet &patterns, const Guards &guards) {
  patterns.add<MatmulToAttention>(patterns.getContext(), guards);
}

} // namespace rtorch::rt
