#include "compiler/schedule/Passes.h"
#include "compiler/schedule/TensorBuilder.h"
#include "compiler/schedule/ViewChain.h"
#include "compiler/schedule/Winograd.h"

#include "mlir/IR/BuiltinOps.h"

#include <algorithm>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_PACKCONVOLUTIONS
#include "compiler/schedule/Passes.h.inc"
namespace {

/// With fewer channels than this, a padded copy keeps the layout of the input: its
/// channels are read one by one in any case.
constexpr int64_t kFewChannels = 8;

struct PackConvolutionsPass : impl::PackConvolutionsBase<PackConvolutionsPass> {
  using PackConvolutionsBase::PackConvolutionsBase;

  void runOnOperation() override {
    SmallVector<rt::ConvolutionOp> ops;
    getOperation().walk([&](rt::ConvolutionOp op) { ops.push_back(op); });
    for (rt::ConvolutionOp op : ops)
      if (failed(pack(op)))
        return signalPassFailure();
  }

  LogicalResult pack(rt::ConvolutionOp op) {
    std::optional<int64_t> outputs = tensorType(op.getWeight()).getSize(0).constant();
    if (!outputs || *outputs < 1)
      return op.emitOpError() << "needs a fixed number of output channels, but got a "
                                 "weight "
                              << tensorType(op.getWeight());
    if (isDepthwise(op))
      packDepthwise(op);
    else
      packDense(op, *outputs);
    return success();
  }

  static bool isDepthwise(rt::ConvolutionOp op) {
    Expr groups = static_cast<int64_t>(op.getGroups());
    TensorType x = tensorType(op.getX()), result = tensorType(op.getResult());
    return op.getGroups() > 1 && x.getSize(1) == groups &&
           result.getSize(1) == groups &&
           tensorType(op.getWeight()).getSizes().back().isConstant();
  }

  /// What kernels address must be memory.
  static Value inMemory(TensorBuilder &t, Value x) {
    return viewRoot(x).getDefiningOp<rt::FullOp>() ? t.cloneRowMajor(x) : x;
  }

  static bool isPadded(rt::ConvolutionOp op) {
    return llvm::any_of(op.getPadding(), [](int64_t count) { return count > 0; });
  }

  void packDepthwise(rt::ConvolutionOp op) {
    OpBuilder builder(op);
    TensorBuilder t{builder, op.getLoc()};
    Value x = inMemory(t, op.getX());
    if (!hasInnerChannels(tensorType(x)))
      x = t.clone(x, channelsLastStrides(tensorType(x).getSizes()));
    // [channels, 1, taps...] with the channels innermost.
    Value weight = op.getWeight();
    int64_t rank = tensorType(weight).getRank();
    SmallVector<int64_t> inner = {1}, back = {rank - 1, 0};
    for (int64_t dim = 2; dim < rank; ++dim)
      inner.push_back(dim), back.push_back(dim - 1);
    inner.push_back(0);
    weight = t.permute(t.cloneRowMajor(t.permute(weight, inner)), back);
    op.getXMutable().assign(x);
    op.getWeightMutable().assign(weight);
  }

  void packDense(rt::ConvolutionOp op, int64_t outputs) {
    OpBuilder builder(op);
    TensorBuilder t{builder, op.getLoc()};
    Value x = inMemory(t, op.getX());
    SmallVector<int64_t> padding(op.getPadding());
    if (isPadded(op) && !readsZerosInPlace(op, x)) {
      x = padded(t, x, padding);
      padding.assign(padding.size(), 0);
    }
    Value bias = op.getBias() ? inMemory(t, op.getBias()) : Value();
    // The taps keep their places when weights are packed.
    auto [weight, flipped] = withoutFlips(op.getWeight(), 2);
    bool filtered = winograd && paysWinograd(op, x);
    if (filtered) {
      weight = winogradFilters(t, weight, flipped);
      flipped.clear();
    }
    Value result = rt::PackedConvolutionOp::create(
        builder, op.getLoc(), op.getResult().getType(), x,
        packWeight(t, weight, flipped, op.getGroups(), outputs), bias, outputs,
        op.getStride(), padding, op.getDilation(), filtered);
    op.getResult().replaceAllUsesWith(result);
    op.erase();
  }

  /// Whether a row of zeros can stand for a pixel outside: its channels are read with
  /// the input's stride.
  static bool readsZerosInPlace(rt::ConvolutionOp op, Value x) {
    return tensorType(x).getStrides()[1].isConstant(1) ||
           tensorType(op.getWeight()).getSize(1).isConstant(1);
  }

  static Value padded(TensorBuilder &t, Value x, ArrayRef<int64_t> padding) {
    Dims sizes = tensorType(x).getSizes(), low(sizes.size(), 0);
    for (auto [i, count] : llvm::enumerate(padding)) {
      low[i + 2] = count;
      sizes[i + 2] = sizes[i + 2] + 2 * count;
    }
    bool few = sizes[1].constant().value_or(0) <= kFewChannels;
    return t.pad(x, low, sizes,
                 few ? layout::contiguousStrides(sizes) : channelsLastStrides(sizes));
  }

  /// [groups, panels, taps..., channels, width] of [outputs, channels, taps...], of
  /// which the dims `flipped` are read in reverse order.
  Value packWeight(TensorBuilder &t, Value weight, ArrayRef<int64_t> flipped,
                   int64_t groups, int64_t outputs) {
    int64_t inGroup = outputs / groups;
    int64_t width = panelWidth(inGroup, tensorType(weight).getElementBytes());
    int64_t panels = (inGroup + width - 1) / width;
    int64_t rank = tensorType(weight).getRank();
    Value grouped = t.split(weight, 0, groups, inGroup);
    grouped = t.padTo(grouped, 1, panels * width);
    Value split = t.split(grouped, 1, panels, width);
    SmallVector<int64_t> permutation = {0, 1};
    for (int64_t dim = 4; dim < rank + 2; ++dim)
      permutation.push_back(dim);
    permutation.append({3, 2});
    split = t.permute(split, permutation);
    // A flip is a copy as it is.
    return flipped.empty() ? t.cloneRowMajor(split) : t.flip(split, flipped);
  }

  /// Channels of a panel: vectors of the target, as many as leave the fewest columns
  /// unused; few channels make a vector of their own.
  int64_t panelWidth(int64_t outputs, int64_t elementBytes) const {
    int64_t lanes = vectorBytes / elementBytes;
    if (outputs <= lanes / 2)
      return std::max<int64_t>(llvm::PowerOf2Ceil(outputs),
                               std::min<int64_t>(lanes, 4));
    int64_t best = 0, bestCost = 0;
    // Two vectors a row are the best shape, one vector loads more for each sum.
    for (auto [vectors, cost] :
         {std::pair<int64_t, int64_t>{2, 20}, {3, 20}, {1, 23}}) {
      int64_t width = vectors * lanes;
      int64_t total = (outputs + width - 1) / width * width * cost;
      if (!best || total < bestCost)
        best = width, bestCost = total;
    }
    return best;
  }
};

} // namespace
} // namespace rtorch::schedule
