// Convolutions, as they are and transposed.
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

using Numbers = std::vector<int64_t>;

struct Windows {
  Numbers stride, padding, dilation;
  /// Only of transposed convolutions.
  std::optional<Numbers> outputPadding;
  int64_t groups = 1;
};

/// One number for all spatial dims, or one for each.
Numbers forEachDim(Numbers numbers, int64_t dims) {
  return numbers.size() == 1 ? Numbers(dims, numbers.front()) : numbers;
}

/// Whether every attribute that eager checks is right; reports the first that is not.
bool check(Call &c, Value x, Value weight, Value bias, const Windows &windows) {
  int64_t dims = rankOf(weight) - 2;
  auto fits = [&](const Numbers &numbers, int64_t least, const char *name) {
    bool right = static_cast<int64_t>(numbers.size()) == dims &&
                 llvm::all_of(numbers, [&](int64_t n) { return n >= least; });
    if (!right) {
      auto diagnostic = c.error() << "expects " << dims << " numbers of at least "
                                  << least << " for '" << name << "', but got [";
      llvm::interleaveComma(numbers, diagnostic);
      diagnostic << "]";
    }
    return right;
  };
  if (dims < 1 || dims > 3 || rankOf(x) != dims + 2) {
    c.error() << "expects an input and a weight of 1 to 3 spatial dims, but got "
              << rt::tensorType(x) << " and " << rt::tensorType(weight);
    return false;
  }
  if (!fits(windows.stride, 1, "stride") || !fits(windows.padding, 0, "padding") ||
      !fits(windows.dilation, 1, "dilation") ||
      (windows.outputPadding && !fits(*windows.outputPadding, 0, "output_padding")))
    return false;
  Expr inputs = windows.outputPadding ? sizeOf(weight, 0)
                                      : sizeOf(weight, 1) * Expr(windows.groups);
  if (windows.groups < 1 || !c.guards.equal(sizeOf(x, 1), inputs)) {
    c.error() << "expects an input of " << inputs.str() << " channels for "
              << windows.groups << " groups, but got " << rt::tensorType(x);
    return false;
  }
  if (bias && rankOf(bias) != 1) {
    c.error() << "expects a bias of rank 1, but got " << rt::tensorType(bias);
    return false;
  }
  return true;
}

/// The convolution of a batch.
Value batched(Call &c, Value x, Value weight, Value bias, const Windows &windows) {
  if (!check(c, x, weight, bias, windows))
    return {};
  std::optional<llvm::ArrayRef<int64_t>> outputPadding;
  mlir::DenseI64ArrayAttr outputPaddingAttr;
  if (windows.outputPadding) {
    outputPadding = *windows.outputPadding;
    outputPaddingAttr = c.builder.getDenseI64ArrayAttr(*windows.outputPadding);
  }
  Dims sizes = rt::ConvolutionOp::resultSizes(
      sizesOf(x), sizesOf(weight), windows.stride, windows.padding, windows.dilation,
      windows.groups, outputPadding);
  for (size_t dim = 2; dim < sizes.size(); ++dim)
    if (std::optional<int64_t> size = sizes[dim].constant(); size && *size < 0) {
      c.error() << "the window of " << rt::tensorType(weight)
                << " is larger than the padded input " << rt::tensorType(x);
      return {};
    }
  return c.compute<rt::ConvolutionOp>(sizes, dtypeOf(x), x, weight, bias,
                                      c.builder.getDenseI64ArrayAttr(windows.stride),
                                      c.builder.getDenseI64ArrayAttr(windows.padding),
                                      c.builder.getDenseI64ArrayAttr(windows.dilation),
                                      c.builder.getI64IntegerAttr(windows.groups),
                                      outputPaddingAttr);
}

/// In float32 for float16 and bfloat16; a single image is a batch of one.
Value convolve(Call &c, Value x, Value weight, Value bias, Windows windows) {
  if (!x || !weight)
    return {};
  if (!isFloat(dtypeOf(x)) || dtypeOf(weight) != dtypeOf(x) ||
      (bias && dtypeOf(bias) != dtypeOf(x))) {
    c.error() << "expects input, weight and bias of one floating-point dtype, but got "
              << rt::tensorType(x) << " and " << rt::tensorType(weight);
    return {};
  }
  ScalarType dtype = dtypeOf(x), wide = isHalf(dtype) ? ScalarType::Float : dtype;
  int64_t dims = rankOf(weight) - 2;
  windows.stride = forEachDim(windows.stride, dims);
  windows.padding = forEachDim(windows.padding, dims);
  windows.dilation = forEachDim(windows.dilation, dims);
  if (windows.outputPadding)
    windows.outputPadding = forEachDim(*windows.outputPadding, dims);
  bool single = rankOf(x) == dims + 1;
  if (single)
    x = c.unsqueeze(x, 0);
  Value result = batched(c, c.convert(x, wide), c.convert(weight, wide),
                         bias ? c.convert(bias, wide) : bias, windows);
  if (result && single)
    result = c.squeeze(result, {0});
  return c.convert(result, dtype);
}

Windows windowsOf(Call &c, bool transposed) {
  Windows windows{c.integers("stride"), c.integers("padding"), c.integers("dilation"),
                  std::nullopt, c.integer("groups").value_or(1)};
  if (transposed)
    windows.outputPadding = c.integers("output_padding");
  return windows;
}

Value convolution(Call &c) {
  return convolve(c, c.tensor("input"), c.tensor("weight"), c.optionalTensor("bias"),
                  windowsOf(c, c.boolean("transposed")));
}

Value direct(Call &c) {
  return convolve(c, c.tensor("input"), c.tensor("weight"), c.optionalTensor("bias"),
                  windowsOf(c, false));
}

Value transposed(Call &c) {
  return convolve(c, c.tensor("input"), c.tensor("weight"), c.optionalTensor("bias"),
                  windowsOf(c, true));
}

/// `x` with `count` zeros behind each of its last dims.
Value padBehind(Call &c, Value x, const Numbers &count) {
  Dims sizes = sizesOf(x);
  size_t first = sizes.size() - count.size();
  for (size_t i = 0; i < count.size(); ++i)
    sizes[first + i] = sizes[first + i] + count[i];
  llvm::SmallVector<mlir::Attribute> low(sizes.size(),
                                         rt::ExprAttr::get(c.builder.getContext(), 0));
  return c.compute<rt::PadOp>(
      sizes, dtypeOf(x), x, c.builder.getArrayAttr(low),
      mlir::FloatAttr::get(rt::tensorType(x).getElementType(), 0.0));
}

/// Padding by name: 'valid' has none; 'same' keeps the sizes, and where both sides
/// cannot have the same padding, the end has one more.
Value paddedByName(Call &c) {
  Value x = c.tensor("input"), weight = c.tensor("weight");
  if (!x || !weight)
    return {};
  size_t dims = rankOf(weight) - 2;
  std::string_view mode = c.string("padding");
  Windows windows{forEachDim(c.integers("stride"), dims), Numbers(dims, 0),
                  forEachDim(c.integers("dilation"), dims), std::nullopt,
                  c.integer("groups").value_or(1)};
  Numbers behind(dims, 0);
  if (mode == "same") {
    for (size_t i = 0; i < dims; ++i) {
      std::optional<int64_t> window = sizeOf(weight, i + 2).constant();
      if (!window) {
        c.error() << "padding 'same' needs windows of fixed sizes, but got "
                  << rt::tensorType(weight);
        return {};
      }
      int64_t total = windows.dilation[i] * (*window - 1);
      windows.padding[i] = total / 2;
      behind[i] = total % 2;
    }
  } else if (mode != "valid") {
    c.error() << "expects padding 'same' or 'valid', but got '" << mode << "'";
    return {};
  }
  if (llvm::any_of(behind, [](int64_t count) { return count > 0; }))
    x = padBehind(c, x, behind);
  return convolve(c, x, weight, c.optionalTensor("bias"), windows);
}

} // namespace

void addConvolutionRules(RuleTable &table) {
  addRule(table, {"aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default"},
          direct);
  addRule(table, {"aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding"},
          paddedByName);
  addRule(table, {"aten._convolution_mode.default"}, paddedByName);
  addRule(table,
          {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input",
           "aten.conv_transpose3d.input"},
          transposed);
  addRule(table,
          {"aten.convolution.default", "aten._convolution.default",
           "aten._convolution.deprecated"},
          convolution);
}

} // namespace rtorch::translate
