// Transposed convolutions as convolutions. With stride s, the results at places y = q *
// s + r, for each phase r, are a convolution of their own, of every s-th tap: all
// phases together are one convolution with a channel for each phase, whose results are
// dealt out to their places.
#include "compiler/schedule/Passes.h"
#include "compiler/schedule/Retype.h"
#include "compiler/schedule/TensorBuilder.h"

#include "mlir/IR/BuiltinOps.h"

#include <algorithm>

using namespace mlir;
using rtorch::layout::Dims;
using rtorch::layout::Expr;
using rtorch::rt::tensorType;

namespace rtorch::schedule {
using rt::TensorType;
#define GEN_PASS_DEF_LOWERTRANSPOSED
#include "compiler/schedule/Passes.h.inc"
namespace {

int64_t floorDiv(int64_t x, int64_t y) { return x / y - (x % y < 0); }

/// One spatial dim of a transposed convolution, and of the convolution that it becomes.
struct Axis {
  int64_t phases;     ///< the stride
  int64_t taps;       ///< of a phase
  int64_t dilation;   ///< between the taps of a phase
  int64_t padding;    ///< of the convolution
  int64_t behind = 0; ///< zeros behind the input besides
  int64_t skipped;    ///< places before the first result
  int64_t spread;     ///< taps with zeros in between for the dilation, if phases > 1

  static Axis of(int64_t window, int64_t stride, int64_t padding, int64_t dilation,
                 int64_t outputPadding);
};

Axis Axis::of(int64_t window, int64_t stride, int64_t padding, int64_t dilation,
              int64_t outputPadding) {
  Axis axis;
  axis.phases = stride;
  int64_t extent = (window - 1) * dilation + 1;
  axis.spread = extent;
  axis.taps = stride == 1 ? window : (extent + stride - 1) / stride;
  axis.dilation = stride == 1 ? dilation : 1;
  int64_t reach = (axis.taps - 1) * axis.dilation; // inputs before the last one
  // Places q begin at -reach + padding; those before padding / stride are not needed.
  axis.padding = std::max<int64_t>(reach - padding / stride, 0);
  axis.skipped = padding - (reach - axis.padding) * stride;
  // The last place that is needed, relative to the last input.
  int64_t last = floorDiv(extent + outputPadding - 1 - padding, stride);
  axis.behind = std::max<int64_t>(last - axis.padding, 0);
  return axis;
}

struct LowerTransposedPass : impl::LowerTransposedBase<LowerTransposedPass> {
  void runOnOperation() override {
    SmallVector<rt::ConvolutionOp> ops;
    getOperation().walk([&](rt::ConvolutionOp op) {
      if (op.isTransposed())
        ops.push_back(op);
    });
    for (rt::ConvolutionOp op : ops)
      if (failed(lower(op)))
        return signalPassFailure();
  }

  static LogicalResult lower(rt::ConvolutionOp op);
};

/// [groups * phases... * outputs, inputs, taps...] of [groups * inputs, outputs,
/// window...], the taps in reverse order.
Value phaseWeights(TensorBuilder &t, Value weight, int64_t groups, ArrayRef<Axis> axes,
                   ArrayRef<int64_t> dilation) {
  const int64_t dims = axes.size();
  for (int64_t i = 0; i < dims; ++i) {
    const Axis &axis = axes[i];
    int64_t dim = 2 + i;
    Expr window = tensorType(weight).getSize(dim);
    if (axis.phases > 1 && dilation[i] > 1) {
      // Zeros between the taps: [window, 1] beside zeros.
      Value apart = t.padTo(t.split(weight, dim, window, 1), dim + 1, dilation[i]);
      Dims sizes = tensorType(weight).getSizes();
      sizes[dim] = window * Expr(dilation[i]);
      weight = t.slice(t.view(apart, sizes), dim, 0, axis.spread);
    }
    if (axis.phases > 1)
      weight = t.padTo(weight, dim, axis.taps * axis.phases);
  }
  // [groups, inputs, outputs, (taps, phases)...]
  Expr inputs = floordiv(tensorType(weight).getSize(0), groups);
  Value split = t.split(weight, 0, groups, inputs);
  for (int64_t i = 0; i < dims; ++i)
    split = t.split(split, 3 + 2 * i, axes[i].taps, axes[i].phases);
  for (int64_t i = 0; i < dims; ++i)
    split = t.flip(split, 3 + 2 * i);
  SmallVector<int64_t> permutation = {0};
  for (int64_t i = 0; i < dims; ++i)
    permutation.push_back(4 + 2 * i);
  permutation.append({2, 1});
  for (int64_t i = 0; i < dims; ++i)
    permutation.push_back(3 + 2 * i);
  Value ordered = t.cloneRowMajor(t.permute(split, permutation));
  Expr outputs = tensorType(weight).getSize(1) * Expr(groups);
  Dims sizes = {outputs, inputs};
  for (const Axis &axis : axes) {
    sizes[0] *= Expr(axis.phases);
    sizes.push_back(axis.taps);
  }
  return t.view(ordered, sizes);
}

/// The bias of each phase.
Value phaseBias(TensorBuilder &t, Value bias, int64_t groups, int64_t phases) {
  if (!bias || phases == 1)
    return bias;
  Expr inGroup = floordiv(tensorType(bias).getSize(0), groups);
  Value spread =
      t.expand(t.view(bias, {groups, 1, inGroup}), {groups, phases, inGroup});
  return t.view(t.cloneRowMajor(spread), {inGroup * Expr(groups * phases)});
}

/// [batch, outputs, (places * phases)...] of [batch, groups * phases... * outputs,
/// places...], with the channels innermost.
Value dealOut(TensorBuilder &t, Value result, int64_t groups, ArrayRef<Axis> axes,
              const Expr &outputs) {
  const int64_t dims = axes.size();
  Dims sizes = tensorType(result).getSizes(), parts = {sizes[0], groups};
  for (const Axis &axis : axes)
    parts.push_back(axis.phases);
  Expr inGroup = floordiv(outputs, groups);
  parts.push_back(inGroup);
  parts.insert(parts.end(), sizes.begin() + 2, sizes.end());
  Value apart = t.view(result, parts);
  // [batch, (places, phases)..., groups, outputs]
  SmallVector<int64_t> permutation = {0};
  for (int64_t i = 0; i < dims; ++i)
    permutation.append({3 + dims + i, 2 + i});
  permutation.append({1, 2 + dims});
  Value ordered = t.cloneRowMajor(t.permute(apart, permutation));
  Dims merged = {sizes[0]};
  for (int64_t i = 0; i < dims; ++i)
    merged.push_back(sizes[2 + i] * Expr(axes[i].phases));
  merged.push_back(outputs);
  SmallVector<int64_t> back = {0, dims + 1};
  for (int64_t i = 0; i < dims; ++i)
    back.push_back(1 + i);
  return t.permute(t.view(ordered, merged), back);
}

LogicalResult LowerTransposedPass::lower(rt::ConvolutionOp op) {
  TensorType weight = tensorType(op.getWeight()), old = tensorType(op.getResult());
  SmallVector<Axis> axes;
  SmallVector<int64_t> padding, dilation;
  int64_t phases = 1, groups = op.getGroups();
  for (int64_t i = 0; i + 2 < weight.getRank(); ++i) {
    std::optional<int64_t> window = weight.getSize(2 + i).constant();
    if (!window || *window < 1)
      return op.emitOpError() << "needs windows of fixed sizes, but got a weight "
                              << weight;
    axes.push_back(Axis::of(*window, op.getStride()[i], op.getPadding()[i],
                            op.getDilation()[i], (*op.getOutputPadding())[i]));
    padding.push_back(axes.back().padding);
    dilation.push_back(axes.back().dilation);
    phases *= axes.back().phases;
  }
  OpBuilder builder(op);
  TensorBuilder t{builder, op.getLoc()};
  Value x = op.getX();
  for (auto [i, axis] : llvm::enumerate(axes))
    if (axis.behind)
      x = t.padTo(x, 2 + i, tensorType(x).getSize(2 + i) + axis.behind);
  Value weights = phaseWeights(t, op.getWeight(), groups, axes, op.getDilation());
  Value bias = phaseBias(t, op.getBias(), groups, phases);
  SmallVector<int64_t> ones(axes.size(), 1);
  Dims sizes = rt::ConvolutionOp::resultSizes(tensorType(x).getSizes(),
                                              tensorType(weights).getSizes(), ones,
                                              padding, dilation, groups, std::nullopt);
  Value result = rt::ConvolutionOp::create(
      builder, op.getLoc(),
      TensorType::get(op.getContext(), sizes, old.getElementType()), x, weights, bias,
      ones, padding, dilation, groups, DenseI64ArrayAttr());
  if (phases > 1)
    result = dealOut(t, result, groups, axes, old.getSize(1));
  for (auto [i, axis] : llvm::enumerate(axes)) {
    Expr size = old.getSize(2 + i);
    if (axis.skipped || tensorType(result).getSize(2 + i) != size)
      result = t.slice(result, 2 + i, axis.skipped, size + axis.skipped);
  }
  if (tensorType(result).getSizes() != old.getSizes())
    return op.emitOpError() << "expects results of sizes "
                            << rt::printDims(old.getSizes()) << ", but makes "
                            << rt::printDims(tensorType(result).getSizes());
  replaceLayout(op.getResult(), result);
  op.erase();
  return success();
}

} // namespace
} // namespace rtorch::schedule
