// Transposed convolutions as convolutions. With stride s, the results at places y = q *
// s + r, for each phase r, are a convolution of their own, of every s-th tap. Where all
// phases have as many taps, they are one convolution with a channel for each phase;
// else a convolution each, for a tap that is filled up with zeros would turn an
// infinite element into NaN. The results are dealt out to their places.
#include "compiler/schedule/Passes.h"
#include "compiler/schedule/Retype.h"
#include "compiler/schedule/TensorBuilder.h"

#include "mlir/IR/BuiltinOps.h"

#include <algorithm>
#include <functional>
#include <numeric>

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
  bool even;          ///< all phases have as many taps

  static Axis of(int64_t window, int64_t stride, int64_t padding, int64_t dilation,
                 int64_t outputPadding);
};

Axis Axis::of(int64_t window, int64_t stride, int64_t padding, int64_t dilation,
              int64_t outputPadding) {
  Axis axis;
  axis.phases = stride;
  int64_t extent = (window - 1) * dilation + 1;
  axis.even = stride == 1 || (dilation == 1 && window % stride == 0);
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

/// One phase along one dim: taps first, first + step, ... of the window, and the
/// convolution of stride 1 with these taps in reverse order.
struct PhaseAxis {
  int64_t first, step, taps, dilation;
  int64_t padding, behind; ///< zeros around the input, and behind it besides
  int64_t skipped;         ///< places before the first that is needed
  int64_t more;            ///< places that are needed, less the size of the input

  static PhaseAxis of(rt::ConvolutionOp op, int64_t dim, int64_t phase);
};

PhaseAxis PhaseAxis::of(rt::ConvolutionOp op, int64_t dim, int64_t phase) {
  int64_t window = *tensorType(op.getWeight()).getSize(2 + dim).constant();
  int64_t stride = op.getStride()[dim], padding = op.getPadding()[dim],
          dilation = op.getDilation()[dim];
  int64_t common = std::gcd(stride, dilation);
  PhaseAxis axis;
  axis.step = stride / common;
  axis.dilation = dilation / common;
  axis.first = 0;
  while (axis.first < axis.step && axis.first * dilation % stride != phase)
    ++axis.first;
  bool any = axis.first < std::min(axis.step, window);
  axis.taps = any ? (window - axis.first + axis.step - 1) / axis.step : 0;
  // Place q sums x[q - shift - m * dilation] over the taps m.
  int64_t shift = (axis.first * dilation - phase) / stride;
  int64_t reach = shift + (axis.taps - 1) * axis.dilation;
  int64_t start = padding / stride; // the first place
  axis.padding = std::max<int64_t>(reach - start, 0);
  axis.skipped = start - reach + axis.padding;
  int64_t last = floorDiv(
      (window - 1) * dilation + (*op.getOutputPadding())[dim] - padding, stride);
  axis.more = last - start;
  axis.behind = std::max<int64_t>(
      axis.skipped + axis.more - 2 * axis.padding + (axis.taps - 1) * axis.dilation, 0);
  return axis;
}

/// [groups * phases... * outputs, inputs, taps...] of [groups * inputs, outputs,
/// window...], the taps in reverse order.
Value phaseWeights(TensorBuilder &t, Value weight, int64_t groups,
                   ArrayRef<Axis> axes) {
  const int64_t dims = axes.size();
  if (groups == 1 && llvm::all_of(axes, [](const Axis &a) { return a.phases == 1; })) {
    SmallVector<int64_t> permutation = {1, 0}, spatial;
    for (int64_t i = 0; i < dims; ++i)
      permutation.push_back(2 + i), spatial.push_back(2 + i);
    return t.flip(t.permute(weight, permutation), spatial);
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

/// The convolution of stride 1.
Value convolve(TensorBuilder &t, Value x, Value weights, Value bias,
               ArrayRef<int64_t> padding, ArrayRef<int64_t> dilation, int64_t groups) {
  SmallVector<int64_t> ones(padding.size(), 1);
  Dims sizes = rt::ConvolutionOp::resultSizes(tensorType(x).getSizes(),
                                              tensorType(weights).getSizes(), ones,
                                              padding, dilation, groups, std::nullopt);
  auto type = TensorType::get(t.b.getContext(), sizes, tensorType(x).getElementType());
  return rt::ConvolutionOp::create(t.b, t.loc, type, x, weights, bias, ones, padding,
                                   dilation, groups, DenseI64ArrayAttr());
}

/// All phases by one convolution: [batch, groups * phases... * outputs, places...].
Value evenPhases(TensorBuilder &t, rt::ConvolutionOp op, ArrayRef<Axis> axes) {
  Value x = op.getX();
  SmallVector<int64_t> padding, dilation;
  int64_t phases = 1, groups = op.getGroups();
  for (auto [i, axis] : llvm::enumerate(axes)) {
    if (axis.behind)
      x = t.padTo(x, 2 + i, tensorType(x).getSize(2 + i) + axis.behind);
    padding.push_back(axis.padding);
    dilation.push_back(axis.dilation);
    phases *= axis.phases;
  }
  Value weights = phaseWeights(t, op.getWeight(), groups, axes);
  Value bias = phaseBias(t, op.getBias(), groups, phases);
  return convolve(t, x, weights, bias, padding, dilation, groups);
}

/// The places of a phase without taps: the bias, or 0.
Value emptyPhase(TensorBuilder &t, rt::ConvolutionOp op, const Dims &sizes) {
  Type element = tensorType(op.getX()).getElementType();
  if (!op.getBias())
    return rt::FullOp::create(t.b, t.loc,
                              TensorType::get(t.b.getContext(), sizes, element),
                              t.b.getFloatAttr(element, 0.0));
  Dims spread(sizes.size(), 1);
  spread[1] = sizes[1];
  return t.expand(t.view(op.getBias(), spread), sizes);
}

/// The places of one phase: [batch, outputs, places...].
Value onePhase(TensorBuilder &t, rt::ConvolutionOp op, ArrayRef<PhaseAxis> phase) {
  Value x = op.getX(), weight = op.getWeight();
  Dims sizes = tensorType(op.getResult()).getSizes();
  SmallVector<Axis> axes;
  SmallVector<int64_t> padding, dilation;
  bool empty = false;
  for (auto [i, axis] : llvm::enumerate(phase)) {
    int64_t dim = 2 + i;
    sizes[dim] = tensorType(op.getX()).getSize(dim) + axis.more;
    empty |= axis.taps == 0;
    if (empty)
      continue;
    // Every step-th tap.
    int64_t window = *tensorType(weight).getSize(dim).constant();
    int64_t rows = (window + axis.step - 1) / axis.step;
    Value split = t.split(t.padTo(weight, dim, rows * axis.step), dim, rows, axis.step);
    Value taps =
        t.slice(t.slice(split, dim + 1, axis.first, axis.first + 1), dim, 0, axis.taps);
    Dims narrow = tensorType(weight).getSizes();
    narrow[dim] = axis.taps;
    weight = t.view(taps, narrow);
    x = t.padTo(x, dim, tensorType(x).getSize(dim) + axis.behind);
    padding.push_back(axis.padding);
    dilation.push_back(axis.dilation);
    axes.push_back(Axis::of(axis.taps, 1, 0, 1, 0));
  }
  if (empty)
    return emptyPhase(t, op, sizes);
  Value result = convolve(t, x, phaseWeights(t, weight, op.getGroups(), axes),
                          op.getBias(), padding, dilation, op.getGroups());
  for (auto [i, axis] : llvm::enumerate(phase))
    if (axis.skipped || tensorType(result).getSize(2 + i) != sizes[2 + i])
      result = t.slice(result, 2 + i, axis.skipped, sizes[2 + i] + axis.skipped);
  return result;
}

/// The phases by a convolution each, side by side: [batch, phases... * outputs,
/// places...].
Value unevenPhases(TensorBuilder &t, rt::ConvolutionOp op) {
  SmallVector<Value> pieces;
  SmallVector<PhaseAxis> phase;
  std::function<void()> visit = [&] {
    int64_t dim = phase.size();
    if (dim == static_cast<int64_t>(op.getStride().size()))
      return pieces.push_back(onePhase(t, op, phase));
    for (int64_t r = 0; r < op.getStride()[dim]; ++r) {
      phase.push_back(PhaseAxis::of(op, dim, r));
      visit();
      phase.pop_back();
    }
  };
  visit();
  Dims sizes = tensorType(pieces[0]).getSizes();
  sizes[1] *= Expr(static_cast<int64_t>(pieces.size()));
  auto type =
      TensorType::get(t.b.getContext(), sizes, tensorType(op.getX()).getElementType());
  return rt::CatOp::create(t.b, t.loc, type, pieces, 1);
}

LogicalResult LowerTransposedPass::lower(rt::ConvolutionOp op) {
  TensorType weight = tensorType(op.getWeight()), old = tensorType(op.getResult());
  SmallVector<Axis> axes;
  int64_t groups = op.getGroups();
  for (int64_t i = 0; i + 2 < weight.getRank(); ++i) {
    std::optional<int64_t> window = weight.getSize(2 + i).constant();
    if (!window || *window < 1)
      return op.emitOpError() << "needs windows of fixed sizes, but got a weight "
                              << weight;
    axes.push_back(Axis::of(*window, op.getStride()[i], op.getPadding()[i],
                            op.getDilation()[i], (*op.getOutputPadding())[i]));
  }
  OpBuilder builder(op);
  TensorBuilder t{builder, op.getLoc()};
  bool even = llvm::all_of(axes, [](const Axis &axis) { return axis.even; });
  Value result = even ? evenPhases(t, op, axes) : unevenPhases(t, op);
  if (llvm::any_of(axes, [](const Axis &axis) { return axis.phases > 1; }))
    result = dealOut(t, result, even ? groups : 1, axes, old.getSize(1));
  for (auto [i, axis] : llvm::enumerate(axes)) {
    int64_t skipped = even ? axis.skipped : op.getPadding()[i] % op.getStride()[i];
    Expr size = old.getSize(2 + i);
    if (skipped || tensorType(result).getSize(2 + i) != size)
      result = t.slice(result, 2 + i, skipped, size + skipped);
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
