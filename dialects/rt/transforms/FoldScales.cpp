// Scales and shifts of channels that are known while compiling go into the weight and
// the bias before them: batch norm after a convolution or a linear layer costs nothing.
#include "dialects/rt/transforms/Aliases.h"
#include "dialects/rt/transforms/Patterns.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;

namespace rtorch::rt {
namespace {

/// Ops that are looked at before a value counts as not constant.
constexpr size_t kMaxOps = 64;

/// Whether `value` depends on parameters and constants alone.
bool isConstant(Value value) {
  llvm::SetVector<Value> seen;
  seen.insert(value);
  for (size_t i = 0; i < seen.size(); ++i) {
    Operation *op = seen[i].getDefiningOp();
    if (!op || seen.size() > kMaxOps)
      return false;
    if (auto parameter = dyn_cast<ParameterOp>(op)) {
      if (parameter.getMutated())
        return false;
    } else if (!isa<LayoutOpInterface, ViewOpInterface>(op)) {
      return false;
    }
    seen.insert(op->operand_begin(), op->operand_end());
  }
  return true;
}

/// Whether `value` has `channels` elements in the dim that is `dim` in a tensor of rank
/// `rank`, and is the same along the others.
bool isPerChannel(Value value, int64_t rank, int64_t dim, const Expr &channels) {
  TensorType type = tensorType(value);
  int64_t own = dim - (rank - type.getRank());
  if (own < 0 || type.getSize(own) != channels)
    return false;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (i != own && !type.getSize(i).isConstant(1))
      return false;
  return true;
}

/// Builds the constants.
struct ConstantBuilder {
  PatternRewriter &b;
  Location loc;

  /// A per-channel value with its channels in dim `dim` of `rank`.
  Value aligned(Value value, int64_t rank, int64_t dim, const Expr &channels) {
    Dims sizes(rank, 1);
    sizes[dim] = channels;
    TensorType type = tensorType(value);
    if (type.getSizes() == sizes)
      return value;
    value = makeRowMajor(b, loc, value);
    return ViewOp::create(
        b, loc, TensorType::get(b.getContext(), sizes, type.getElementType()), value);
  }
  /// With the sizes of `x`, which `y` broadcasts to.
  template <typename Op> Value map(Value x, Value y) {
    return Op::create(b, loc, tensorType(x).withRowMajorLayout(), x, y);
  }
};

/// A convolution or linear layer whose weight is constant.
struct Layer {
  Operation *op = nullptr;
  Value weight, bias;
  int64_t channelDim = 0; ///< of the result
  int64_t weightDim = 0;  ///< that the channels of the result are in

  static std::optional<Layer> of(Value result);
};

std::optional<Layer> Layer::of(Value result) {
  Layer layer;
  layer.op = result.getDefiningOp();
  if (!layer.op || !result.hasOneUse())
    return std::nullopt;
  if (auto linear = dyn_cast<LinearOp>(layer.op)) {
    layer.weight = linear.getWeight(), layer.bias = linear.getBias();
    layer.channelDim = tensorType(result).getRank() - 1;
  } else if (auto convolution = dyn_cast<ConvolutionOp>(layer.op)) {
    // Groups of a transposed weight have their channels in one dim after the other.
    if (convolution.isTransposed() && convolution.getGroups() != 1)
      return std::nullopt;
    layer.weight = convolution.getWeight(), layer.bias = convolution.getBias();
    layer.channelDim = 1;
    layer.weightDim = convolution.isTransposed() ? 1 : 0;
  } else {
    return std::nullopt;
  }
  if (!isConstant(layer.weight) || (layer.bias && !isConstant(layer.bias)))
    return std::nullopt;
  return layer;
}

/// `layer` again, with another weight and bias, in the place of `op`.
void replace(PatternRewriter &rewriter, Operation *op, const Layer &layer, Value weight,
             Value bias) {
  if (auto linear = dyn_cast<LinearOp>(layer.op)) {
    rewriter.replaceOpWithNewOp<LinearOp>(op, op->getResultTypes().front(),
                                          linear.getX(), weight, bias);
    return;
  }
  auto convolution = cast<ConvolutionOp>(layer.op);
  rewriter.replaceOpWithNewOp<ConvolutionOp>(
      op, op->getResultTypes().front(), convolution.getX(), weight, bias,
      convolution.getStrideAttr(), convolution.getPaddingAttr(),
      convolution.getDilationAttr(), convolution.getGroupsAttr(),
      convolution.getOutputPaddingAttr());
}

/// The layer that gives one operand of `op`, if the other one is a constant a channel.
std::optional<std::pair<Layer, Value>> layerAndConstant(Operation *op, bool commutes) {
  TensorType type = tensorType(op->getResult(0));
  for (unsigned i = 0; i < (commutes ? 2 : 1); ++i) {
    Value sum = op->getOperand(i), other = op->getOperand(1 - i);
    if (tensorType(sum).getSizes() != type.getSizes() ||
        tensorType(sum).getElementType() != type.getElementType())
      continue;
    std::optional<Layer> layer = Layer::of(sum);
    if (layer &&
        isPerChannel(other, type.getRank(), layer->channelDim,
                     type.getSize(layer->channelDim)) &&
        isConstant(other))
      return std::pair(*layer, other);
  }
  return std::nullopt;
}

/// `layer(x) * scale`
struct FoldScale : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    auto match = layerAndConstant(op, /*commutes=*/true);
    if (!match)
      return rewriter.notifyMatchFailure(op, "not a layer and a constant a channel");
    auto &[layer, scale] = *match;
    ConstantBuilder c{rewriter, op.getLoc()};
    Expr channels = tensorType(op.getResult()).getSize(layer.channelDim);
    int64_t rank = tensorType(layer.weight).getRank();
    Value weight =
        c.map<MulOp>(layer.weight, c.aligned(scale, rank, layer.weightDim, channels));
    Value bias = layer.bias;
    if (bias)
      bias = c.map<MulOp>(bias, c.aligned(scale, 1, 0, channels));
    replace(rewriter, op, layer, weight, bias);
    return success();
  }
};

/// `layer(x) + shift` and `layer(x) - shift`
template <typename Op> struct FoldShift : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    constexpr bool adds = std::is_same_v<Op, AddOp>;
    auto match = layerAndConstant(op, adds);
    if (!match)
      return rewriter.notifyMatchFailure(op, "not a layer and a constant a channel");
    auto &[layer, shift] = *match;
    ConstantBuilder c{rewriter, op.getLoc()};
    Value bias =
        c.aligned(shift, 1, 0, tensorType(op.getResult()).getSize(layer.channelDim));
    if (layer.bias)
      bias = c.map<Op>(layer.bias, bias);
    else if (!adds)
      bias = NegOp::create(rewriter, op.getLoc(), tensorType(bias).withRowMajorLayout(),
                           bias);
    replace(rewriter, op, layer, layer.weight, bias);
    return success();
  }
};

} // namespace

void populateFoldScalePatterns(RewritePatternSet &patterns) {
  patterns.add<FoldScale, FoldShift<AddOp>, FoldShift<SubOp>>(patterns.getContext());
}

} // namespace rtorch::rt
