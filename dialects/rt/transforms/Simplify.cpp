// Arithmetic that changes nothing, and the pass that drops it with views and copies.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Passes.h"
#include "dialects/rt/transforms/Patterns.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Guards;

namespace rtorch::rt {
#define GEN_PASS_DEF_SIMPLIFY
#include "dialects/rt/transforms/Passes.h.inc"

FullOp uniformConstant(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto full = dyn_cast<FullOp>(op))
      return full;
    if (!isa<ViewOpInterface, CloneOp>(op) || isa<AsStridedOp>(op))
      return {};
    value = op->getOperand(0);
  }
  return {};
}

std::optional<double> uniformNumber(Value value) {
  FullOp full = uniformConstant(value);
  if (!full)
    return std::nullopt;
  if (auto number = dyn_cast<FloatAttr>(full.getValue()))
    return number.getValueAsDouble();
  if (auto number = dyn_cast<IntegerAttr>(full.getValue())) {
    if (number.getType().isInteger(1))
      return number.getValue().isZero() ? 0.0 : 1.0;
    return number.getValue().getSExtValue();
  }
  return std::nullopt;
}

namespace {

/// Gives `value` for the result of `op`; a copy gives it the strides of the result and
/// goes where nobody observes them.
void replaceByCopy(Operation *op, Value value, PatternRewriter &rewriter) {
  rewriter.replaceOpWithNewOp<CloneOp>(op, op->getResult(0).getType(), value);
}

/// `x * 1`, `x / 1`, `x - 0` and `x + (-0.0)` are x, NaN and signed zeros included;
/// `x + 0` only for integers.
struct DropNeutralOperand : RewritePattern {
  explicit DropNeutralOperand(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isa<AddOp, SubOp, MulOp, DivOp>(op))
      return rewriter.notifyMatchFailure(op, "no neutral operand is known");
    bool commutes = isa<AddOp, MulOp>(op);
    for (unsigned i : {1u, 0u}) {
      if (i == 0 && !commutes)
        break;
      std::optional<double> number = uniformNumber(op->getOperand(i));
      Value other = op->getOperand(1 - i);
      if (!number || !isNeutral(op, *number) ||
          tensorType(other).getSizes() != tensorType(op->getResult(0)).getSizes())
        continue;
      replaceByCopy(op, other, rewriter);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no operand is neutral");
  }

private:
  static bool isNeutral(Operation *op, double number) {
    if (isa<MulOp, DivOp>(op))
      return number == 1.0;
    bool isFloat = isa<FloatType>(tensorType(op->getResult(0)).getElementType());
    bool negative = std::signbit(number);
    return number == 0.0 && (!isFloat || negative == isa<AddOp>(op));
  }
};

/// `where` with a condition that is the same everywhere is one of its operands.
struct FoldWhere : OpRewritePattern<WhereOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(WhereOp op, PatternRewriter &rewriter) const override {
    std::optional<double> condition = uniformNumber(op.getCondition());
    if (!condition)
      return rewriter.notifyMatchFailure(op, "condition is not constant");
    Value chosen = *condition != 0 ? op.getA() : op.getB();
    if (tensorType(chosen).getSizes() != tensorType(op.getResult()).getSizes())
      return rewriter.notifyMatchFailure(op, "the chosen operand is broadcast");
    replaceByCopy(op, chosen, rewriter);
    return success();
  }
};

/// Whether every value of dtype `from` is one of dtype `to`.
bool isExact(Type from, Type to) {
  if (from.isInteger(1))
    return true;
  auto integer = dyn_cast<IntegerType>(from);
  if (auto wider = dyn_cast<IntegerType>(to); integer && wider) {
    if (integer.isUnsigned() == wider.isUnsigned())
      return wider.getWidth() >= integer.getWidth() && !wider.isInteger(1);
    return integer.isUnsigned() && wider.getWidth() > integer.getWidth();
  }
  auto floating = dyn_cast<FloatType>(to);
  if (!floating)
    return false;
  if (integer)
    return integer.getWidth() <= floating.getFPMantissaWidth();
  auto narrower = cast<FloatType>(from);
  return narrower == floating ||
         (narrower.getWidth() < floating.getWidth() && floating.getWidth() >= 32);
}

/// `convert(convert(x))` is one conversion, or x, where the first is exact.
struct MergeConverts : OpRewritePattern<ConvertOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConvertOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getX().getDefiningOp<ConvertOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "source is not a conversion");
    Value x = inner.getX();
    if (!isExact(tensorType(x).getElementType(),
                 tensorType(inner.getResult()).getElementType()))
      return rewriter.notifyMatchFailure(op, "the first conversion rounds");
    if (tensorType(x).getElementType() == tensorType(op.getResult()).getElementType())
      replaceByCopy(op, x, rewriter);
    else
      rewriter.modifyOpInPlace(op, [&] { op->setOperand(0, x); });
    return success();
  }
};

/// The attribute of an rt.full of dtype `type` for an element `value` of another dtype;
/// null where the cast is not folded.
Attribute convertConstant(Attribute value, Type type) {
  Builder builder(type.getContext());
  if (isa<ExprAttr>(value))
    return isa<FloatType>(type) || type.isInteger(64) ? value : Attribute();
  if (type.isInteger(1)) {
    if (auto number = dyn_cast<FloatAttr>(value))
      return builder.getBoolAttr(!number.getValue().isZero());
    return builder.getBoolAttr(!cast<IntegerAttr>(value).getValue().isZero());
  }
  if (auto number = dyn_cast<FloatAttr>(value)) {
    APFloat converted = number.getValue();
    bool lost = false;
    if (auto floating = dyn_cast<FloatType>(type)) {
      converted.convert(floating.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                        &lost);
      return builder.getFloatAttr(floating, converted);
    }
    return {}; // what is out of range is the formula's matter
  }
  auto number = dyn_cast<IntegerAttr>(value);
  if (!number || number.getType().isUnsignedInteger())
    return {};
  APInt bits = number.getValue();
  if (number.getType().isInteger(1))
    bits = bits.zext(64);
  if (auto floating = dyn_cast<FloatType>(type)) {
    APFloat converted(floating.getFloatSemantics());
    converted.convertFromAPInt(bits, /*IsSigned=*/true, APFloat::rmNearestTiesToEven);
    return builder.getFloatAttr(floating, converted);
  }
  return builder.getIntegerAttr(type, bits.sextOrTrunc(type.getIntOrFloatBitWidth()));
}

/// A converted constant is a constant of the other dtype.
struct ConvertFull : OpRewritePattern<ConvertOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConvertOp op,
                                PatternRewriter &rewriter) const override {
    FullOp full = uniformConstant(op.getX());
    if (!full)
      return rewriter.notifyMatchFailure(op, "operand is not constant");
    TensorType type = tensorType(op.getResult());
    Attribute value = convertConstant(full.getValue(), type.getElementType());
    if (!value)
      return rewriter.notifyMatchFailure(op, "the cast is not folded");
    rewriter.replaceOpWithNewOp<FullOp>(op, type, value);
    return success();
  }
};

/// A copy of a constant is a constant.
struct CloneFull : OpRewritePattern<CloneOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CloneOp op, PatternRewriter &rewriter) const override {
    FullOp full = uniformConstant(op.getSource());
    if (!full)
      return rewriter.notifyMatchFailure(op, "source is not constant");
    rewriter.replaceOpWithNewOp<FullOp>(op, op.getType(), full.getValue());
    return success();
  }
};

/// A constant operand of a pointwise op needs no elements: rank 0 broadcasts.
struct ShrinkConstantOperand : OpInterfaceRewritePattern<PointwiseOpInterface> {
  ShrinkConstantOperand(MLIRContext *context, const Guards &guards)
      : OpInterfaceRewritePattern(context), guards_(guards) {}

  LogicalResult matchAndRewrite(PointwiseOpInterface op,
                                PatternRewriter &rewriter) const override {
    for (OpOperand &operand : op->getOpOperands()) {
      FullOp full = uniformConstant(operand.get());
      if (!full || tensorType(operand.get()).getRank() == 0 ||
          !othersSuffice(op, operand))
        continue;
      auto type = TensorType::get(op->getContext(), Dims(),
                                  tensorType(full.getResult()).getElementType());
      Value scalar = FullOp::create(rewriter, full.getLoc(), type, full.getValue());
      rewriter.modifyOpInPlace(op, [&] { operand.set(scalar); });
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no constant operand can shrink");
  }

private:
  /// Whether the result has the sizes of the other operands, broadcast.
  bool othersSuffice(Operation *op, OpOperand &operand) const {
    SmallVector<Dims> sizes;
    for (OpOperand &other : op->getOpOperands())
      if (&other != &operand)
        sizes.push_back(tensorType(other.get()).getSizes());
    Guards trial = guards_;
    return !sizes.empty() && layout::broadcastSizes(sizes, trial) ==
                                 tensorType(op->getResult(0)).getSizes();
  }

  const Guards &guards_;
};

struct SimplifyPass : impl::SimplifyBase<SimplifyPass> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    Guards guards = guardsOf(getOperation());
    RewritePatternSet patterns(context);
    populateSimplifyViewPatterns(patterns, guards);
    populateSinkExpandPatterns(patterns, guards);
    patterns.add<DropNeutralOperand, FoldWhere, MergeConverts, ConvertFull, CloneFull>(
        context);
    patterns.add<ShrinkConstantOperand>(context, guards);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace rtorch::rt
