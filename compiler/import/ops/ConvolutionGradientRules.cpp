// Gradients of convolutions. With regard to the input it is the transposed convolution
// (of a transposed one, the convolution). With regard to the weight it sums over batch
// and space: a convolution again, in which images and channels have changed places and
// the gradient is the window, or a product of the gradient's channels and of what the
// weight's taps saw.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

using Numbers = std::vector<int64_t>;

/// The arguments of a forward convolution of `dims` spatial dims.
struct Windows {
  Numbers stride, padding, dilation;
  int64_t groups = 1;

  /// How many elements window `dim` spans.
  int64_t extent(Value weight, size_t dim) const {
    return dilation[dim] * (*sizeOf(weight, 2 + dim).constant() - 1) + 1;
  }
};

Numbers forEachDim(Numbers numbers, int64_t dims) {
  return numbers.size() == 1 ? Numbers(dims, numbers.front()) : numbers;
}

std::optional<Windows> windowsOf(Call &c, int64_t dims) {
  Windows w{forEachDim(c.integers("stride"), dims),
            forEachDim(c.integers("padding"), dims),
            forEachDim(c.integers("dilation"), dims), c.integer("groups").value_or(1)};
  auto fits = [&](const Numbers &numbers, int64_t least) {
    return static_cast<int64_t>(numbers.size()) == dims &&
           llvm::all_of(numbers, [&](int64_t n) { return n >= least; });
  };
  if (!fits(w.stride, 1) || !fits(w.padding, 0) || !fits(w.dilation, 1) ||
      w.groups < 1) {
    c.error() << "expects a positive stride and dilation and a padding for each of "
              << dims << " dims, and 1 group or more";
    return std::nullopt;
  }
  return w;
}

/// rt.convolution of x with a weight; transposed with an output padding.
Value convolve(Call &c, Value x, Value weight, const Windows &w,
               const std::optional<Numbers> &outputPadding = std::nullopt) {
  std::optional<llvm::ArrayRef<int64_t>> more;
  mlir::DenseI64ArrayAttr moreAttr;
  if (outputPadding) {
    more = *outputPadding;
    moreAttr = c.builder.getDenseI64ArrayAttr(*outputPadding);
  }
  Dims sizes = rt::ConvolutionOp::resultSizes(sizesOf(x), sizesOf(weight), w.stride,
                                              w.padding, w.dilation, w.groups, more);
  return c.compute<rt::ConvolutionOp>(sizes, dtypeOf(x), x, weight, Value(),
                                      c.builder.getDenseI64ArrayAttr(w.stride),
                                      c.builder.getDenseI64ArrayAttr(w.padding),
                                      c.builder.getDenseI64ArrayAttr(w.dilation),
                                      c.builder.getI64IntegerAttr(w.groups), moreAttr);
}

/// The first elements of the spatial dims, as many as `sizes` says.
Value cutTo(Call &c, Value x, const Dims &sizes) {
  for (size_t dim = 2; x && dim < sizes.size(); ++dim)
    if (sizeOf(x, dim) != sizes[dim])
      x = c.slice(x, dim, 0, sizes[dim]);
  return x;
}

/// The gradient with regard to what a convolution reads: its transposed convolution.
/// Elements behind the last window got no part in any sum.
Value throughConvolution(Call &c, Value gradient, Value weight, const Windows &w,
                         const Dims &sizes) {
  Numbers behind;
  for (size_t dim = 0; dim < w.stride.size(); ++dim) {
    Expr reached = (sizeOf(gradient, 2 + dim) - 1) * w.stride[dim] -
                   2 * w.padding[dim] + w.extent(weight, dim);
    Expr rest = c.guards.simplify(sizes[2 + dim] - reached);
    // A size that is not known yet is cut to its number afterwards.
    behind.push_back(rest.constant().value_or(w.stride[dim] - 1));
  }
  return cutTo(c, convolve(c, gradient, weight, w, behind), sizes);
}

/// Dims 0 and 1 changed, and dim 1 of [N, C, ...] split into groups in front:
/// [groups, C / groups, N, ...].
Value groupsFirst(Call &c, Value x, int64_t groups) {
  Dims sizes = sizesOf(x), split{sizes[0], groups, layout::floordiv(sizes[1], groups)};
  split.insert(split.end(), sizes.begin() + 2, sizes.end());
  x = c.reshape(x, split);
  std::vector<int64_t> order = allDims(split.size());
  std::rotate(order.begin(), order.begin() + 1, order.begin() + 3);
  return c.permute(x, order);
}

/// x as its windows see it: [N, C, outputs..., taps...].
Value seenByWindows(Call &c, Value x, Value weight, const Windows &w,
                    const Dims &outputs) {
  Dims low(rankOf(x), 0), sizes = sizesOf(x);
  bool pads = false;
  for (size_t dim = 0; dim < w.stride.size(); ++dim) {
    low[2 + dim] = w.padding[dim];
    sizes[2 + dim] = c.guards.simplify((outputs[2 + dim] - 1) * w.stride[dim] +
                                       w.extent(weight, dim));
    pads |= w.padding[dim] != 0;
  }
  if (pads)
    x = c.pad(x, low, sizes, Scalar::of(0.0));
  for (size_t dim = 0; dim < w.stride.size(); ++dim) {
    int64_t at = 2 + dim;
    if (!pads && sizeOf(x, at) != sizes[at])
      x = c.slice(x, at, 0, sizes[at]);
    x = c.unfold(x, at, *sizeOf(weight, at).constant(), w.stride[dim], w.dilation[dim]);
  }
  return x;
}

/// Fewer output channels than this leave most lanes of a convolution empty.
constexpr int64_t kMinOutputs = 8;

/// Whether the gradient of the weight is computed as a convolution whose window is the
/// gradient of the result: nothing is copied for each tap. Windows of one tap are a
/// product as they are.
bool isConvolution(Value gradient, Value weight, const Windows &w) {
  Dims taps = sizesOf(weight), places = sizesOf(gradient);
  taps.erase(taps.begin(), taps.begin() + 2);
  places.erase(places.begin(), places.begin() + 2);
  std::optional<int64_t> outputs = sizeOf(gradient, 1).constant();
  return outputs && *outputs / w.groups >= kMinOutputs &&
         !layout::numel(taps).isConstant(1) && layout::numel(places).isConstant() &&
         !layout::numel(places).isConstant(0);
}

/// weight[o, c, t] = sum over n, p of x'[c, n, t * dilation + p * stride] *
/// gradient'[o, n, p], where ' changes the first two dims: of each group, a convolution
/// over n with the window p, strided by the dilation and dilated by the stride.
Value ofWeightByConvolution(Call &c, Value gradient, Value x, Value weight,
                            const Windows &w) {
  Dims sizes = sizesOf(x);
  if (w.groups > 1) { // [N, G, C / G, ...] to [C / G, G * N, ...]
    Dims split{sizes[0], w.groups, layout::floordiv(sizes[1], w.groups)};
    split.insert(split.end(), sizes.begin() + 2, sizes.end());
    std::vector<int64_t> order = allDims(split.size());
    std::swap(order[0], order[2]);
    x = c.permute(c.reshape(x, split), order);
    Dims merged{split[2], split[0] * w.groups};
    merged.insert(merged.end(), sizes.begin() + 2, sizes.end());
    x = c.reshape(x, merged);
  } else {
    x = c.transpose(x, 0, 1);
  }
  Windows swapped{w.dilation, w.padding, w.stride, w.groups};
  Value result = convolve(c, x, c.transpose(gradient, 0, 1), swapped);
  if (!result)
    return result;
  // Elements that no window reached make more positions than there are taps.
  Dims kept = sizesOf(result), taps = sizesOf(weight);
  std::copy(taps.begin() + 2, taps.end(), kept.begin() + 2);
  return c.transpose(cutTo(c, result, kept), 0, 1);
}

/// weight[o, c, t] = sum over n, p of gradient[n, o, p] * x[n, c, p * stride + t].
Value ofWeight(Call &c, Value gradient, Value x, Value weight, const Windows &w) {
  if (isConvolution(gradient, weight, w))
    return ofWeightByConvolution(c, gradient, x, weight, w);
  const int64_t dims = w.stride.size();
  Dims window = sizesOf(weight), taps(window.begin() + 2, window.end());
  Value seen = groupsFirst(c, seenByWindows(c, x, weight, w, sizesOf(gradient)),
                           w.groups);              // [G, C / G, N, P..., T...]
  Value left = groupsFirst(c, gradient, w.groups); // [G, O / G, N, P...]
  if (!seen || !left)
    return {};
  Expr inputs = sizeOf(seen, 1), outputs = sizeOf(left, 1);
  Dims images = sizesOf(left), space(images.begin() + 2, images.end());
  Expr terms = layout::numel(space);
  // [G, N * P, C / G * T]
  std::vector<int64_t> order = allDims(rankOf(seen));
  order.erase(order.begin() + 1);
  order.insert(order.begin() + 2 + dims, 1);
  seen = c.permute(seen, order);
  Value right = c.reshape(seen, {w.groups, terms, inputs * layout::numel(taps)});
  left = c.reshape(left, {w.groups, outputs, terms});
  Value product = w.groups == 1 ? c.matmul(c.squeeze(left, {0}), c.squeeze(right, {0}))
                                : c.matmul(left, right);
  return product ? c.reshape(product, sizesOf(weight)) : product;
}

/// The strides of eager's results: channels_last if input or weight suggest it.
Dims formatOf(Call &c, Value x, Value weight, const Dims &sizes) {
  auto suggests = [&](Value value) {
    return layout::suggestMemoryFormat(layoutOf(value), c.guards) !=
           layout::MemoryFormat::Contiguous;
  };
  bool last = suggests(x) || suggests(weight);
  if (!last)
    return layout::contiguousStrides(sizes);
  return layout::stridesOf(sizes.size() == 5 ? layout::MemoryFormat::ChannelsLast3d
                                             : layout::MemoryFormat::ChannelsLast,
                           sizes);
}

Results convolutionBackward(Call &c) {
  Value gradient = c.tensor("grad_output"), x = c.tensor("input"),
        weight = c.tensor("weight");
  if (!gradient || !x || !weight)
    return mlir::failure();
  const int64_t dims = rankOf(weight) - 2;
  if (dims < 1 || dims > 3 || rankOf(x) != dims + 2 || rankOf(gradient) != dims + 2) {
    c.error()
        << "expects a gradient, an input and a weight of 1 to 3 spatial dims, but "
           "got "
        << rt::tensorType(gradient) << ", " << rt::tensorType(x) << " and "
        << rt::tensorType(weight);
    return mlir::failure();
  }
  for (int64_t dim = 2; dim < dims + 2; ++dim)
    if (!sizeOf(weight, dim).isConstant()) {
      c.error() << "expects a window whose size is known when compiling, but got "
                << rt::tensorType(weight);
      return mlir::failure();
    }
  std::optional<Windows> windows = windowsOf(c, dims);
  if (!windows)
    return mlir::failure();
  ScalarType dtype = dtypeOf(x);
  Value g = widened(c, gradient), wide = widened(c, x), w = widened(c, weight);
  bool transposed = c.boolean("transposed");
  std::vector<bool> mask = outputMask(c);
  auto finished = [&](Value result) {
    result = c.convert(result, dtype);
    return result ? c.withStrides(result, formatOf(c, x, weight, sizesOf(result)))
                  : result;
  };
  Value ofX, ofTaps, ofBias;
  if (mask[0])
    // An output padding beyond the stride has room for windows that no element had.
    ofX = finished(transposed ? cutTo(c, convolve(c, g, w, *windows), sizesOf(x))
                              : throughConvolution(c, g, w, *windows, sizesOf(x)));
  // A transposed convolution reads its gradient through the windows.
  if (mask[1])
    ofTaps = finished(transposed ? ofWeight(c, wide, g, w, *windows)
                                 : ofWeight(c, g, wide, w, *windows));
  if (mask[2]) {
    std::vector<int64_t> others = allDims(rankOf(g));
    others.erase(others.begin() + 1);
    ofBias = c.convert(c.reduce<rt::SumOp>(g, others, false), dtype);
  }
  if ((mask[0] && !ofX) || (mask[1] && !ofTaps) || (mask[2] && !ofBias))
    return mlir::failure();
  return std::vector<Value>{ofX, ofTaps, ofBias};
}

} // namespace

void addConvolutionGradientRules(RuleTable &table) {
  addMultiRule(table, {"aten.convolution_backward.default"}, convolutionBackward);
}

} // namespace rtorch::translate
