// Gradients of activations, by eager's formulas.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>
#include <numbers>

namespace rtorch::translate {
namespace {

Value number(Call &c, Value x, double value) { return c.number(value, dtypeOf(x)); }
Value add(Call &c, Value a, Value b) { return c.binary<rt::AddOp>(a, b); }
Value sub(Call &c, Value a, Value b) { return c.binary<rt::SubOp>(a, b); }
Value mul(Call &c, Value a, Value b) { return c.binary<rt::MulOp>(a, b); }
Value div(Call &c, Value a, Value b) { return c.binary<rt::DivOp>(a, b); }
Value times(Call &c, Value a, double b) { return mul(c, a, number(c, a, b)); }
Value plus(Call &c, Value a, double b) { return add(c, a, number(c, a, b)); }
/// a - x
Value from(Call &c, double a, Value x) { return sub(c, number(c, x, a), x); }
Value either(Call &c, Value a, Value b) { return c.binary<rt::BitwiseOrOp>(a, b); }

using Gradient = std::function<Value(Call &, Value gradient, Value x)>;

/// A row for an op of a gradient and of what the activation saw or gave, computed in
/// float32 for float16 and bfloat16, with the strides of a pointwise op of the two.
void addGradient(RuleTable &table, llvm::StringRef op, Gradient formula,
                 std::string saved = "self", std::string incoming = "grad_output") {
  addRule(table, {op}, [=](Call &c) -> Value {
    Value gradient = c.tensor(incoming), x = c.tensor(saved);
    if (!gradient || !x)
      return {};
    ScalarType dtype = resultType({{gradient, {}}, {x, {}}});
    Value result = formula(c, widened(c, c.convert(gradient, dtype)),
                           widened(c, c.convert(x, dtype)));
    return likeOperands(c, c.convert(result, dtype), {gradient, x});
  });
}

Value sigmoidBackward(Call &c, Value g, Value y) {
  return mul(c, g, mul(c, from(c, 1, y), y));
}

Value tanhBackward(Call &c, Value g, Value y) {
  return mul(c, g, from(c, 1, mul(c, y, y)));
}

Value siluBackward(Call &c, Value g, Value x) {
  Value s = c.unary<rt::SigmoidOp>(x);
  return mul(c, mul(c, g, s), plus(c, mul(c, x, from(c, 1, s)), 1));
}

/// g * (cdf(x) + x * pdf(x))
Value geluBackwardByErf(Call &c, Value g, Value x) {
  Value erf = c.unary<rt::ErfOp>(times(c, x, std::numbers::sqrt2 / 2));
  Value cdf = times(c, plus(c, erf, 1), 0.5);
  Value pdf = times(c, c.unary<rt::ExpOp>(times(c, mul(c, x, x), -0.5)),
                    std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2);
  return mul(c, g, add(c, cdf, mul(c, x, pdf)));
}

Value geluBackwardByTanh(Call &c, Value g, Value x) {
  const double beta = std::numbers::sqrt2 * std::numbers::inv_sqrtpi, kappa = 0.044715;
  Value square = mul(c, x, x);
  Value inner = times(c, mul(c, x, plus(c, times(c, square, kappa), 1)), beta);
  Value t = c.unary<rt::TanhOp>(inner);
  Value left = times(c, plus(c, t, 1), 0.5);
  Value slope = times(c, plus(c, times(c, square, 3 * kappa), 1), beta);
  Value right = mul(c, times(c, x, 0.5), mul(c, from(c, 1, mul(c, t, t)), slope));
  return mul(c, g, add(c, left, right));
}

Value geluBackward(Call &c, Value g, Value x) {
  return c.string("approximate") == "tanh" ? geluBackwardByTanh(c, g, x)
                                           : geluBackwardByErf(c, g, x);
}

Value mishBackward(Call &c, Value g, Value x) {
  Value soft = c.unary<rt::Log1pOp>(c.unary<rt::ExpOp>(x));
  Value t = c.unary<rt::TanhOp>(soft);
  Value slope = mul(c, mul(c, x, c.unary<rt::SigmoidOp>(x)), from(c, 1, mul(c, t, t)));
  return mul(c, g, add(c, t, slope));
}

/// g where the condition does not hold, else 0.
Value unless(Call &c, Value condition, Value g) {
  return c.where(condition, number(c, g, 0), g);
}

Value thresholdBackward(Call &c, Value g, Value x) {
  Value bound = c.full(*c.scalar("threshold"), dtypeOf(x));
  return unless(c, c.compare<rt::LeOp>(x, bound), g);
}

Value hardtanhBackward(Call &c, Value g, Value x) {
  Value low = c.full(*c.scalar("min_val"), dtypeOf(x));
  Value high = c.full(*c.scalar("max_val"), dtypeOf(x));
  return unless(c, either(c, c.compare<rt::LeOp>(x, low), c.compare<rt::GeOp>(x, high)),
                g);
}

Value hardswishBackward(Call &c, Value g, Value x) {
  Value three = number(c, x, 3);
  Value middle = mul(c, g, plus(c, div(c, x, three), 0.5));
  Value upper = c.where(c.compare<rt::LtOp>(x, three), middle, g);
  return unless(c, c.compare<rt::LeOp>(x, number(c, x, -3)), upper);
}

Value hardsigmoidBackward(Call &c, Value g, Value x) {
  Value inside = c.binary<rt::BitwiseAndOp>(c.compare<rt::GtOp>(x, number(c, x, -3)),
                                            c.compare<rt::LtOp>(x, number(c, x, 3)));
  return c.where(inside, times(c, g, 1.0 / 6), number(c, g, 0));
}

Value sloped(Call &c, Value g, Value x, double slope) {
  return c.where(c.compare<rt::GtOp>(x, number(c, x, 0)), g, times(c, g, slope));
}

Value leakyReluBackward(Call &c, Value g, Value x) {
  return sloped(c, g, x, c.real("negative_slope").value_or(0.01));
}

Value eluBackward(Call &c, Value g, Value x) {
  double alpha = c.real("alpha").value_or(1), scale = c.real("scale").value_or(1),
         inputScale = c.real("input_scale").value_or(1);
  Value grown =
      c.boolean("is_result")
          ? plus(c, x, alpha * scale)
          : times(c, c.unary<rt::ExpOp>(times(c, x, inputScale)), alpha * scale);
  Value negative = mul(c, times(c, g, inputScale), grown);
  return c.where(c.compare<rt::LeOp>(x, number(c, x, 0)), negative, times(c, g, scale));
}

Value softplusBackward(Call &c, Value g, Value x) {
  double beta = c.real("beta").value_or(1),
         threshold = c.real("threshold").value_or(20);
  Value scaled = times(c, x, beta);
  Value grown = c.unary<rt::ExpOp>(scaled);
  Value soft = div(c, mul(c, g, grown), plus(c, grown, 1));
  return c.where(c.compare<rt::GtOp>(scaled, number(c, x, threshold)), g, soft);
}

/// x < 0 ? 1 - z / (1 + z) : z / (1 + z), z = exp(-|x|)
Value logSigmoidBackward(Call &c, Value g, Value x) {
  Value decay = c.unary<rt::ExpOp>(c.unary<rt::NegOp>(c.unary<rt::AbsOp>(x)));
  Value share = div(c, decay, plus(c, decay, 1));
  Value negative = c.compare<rt::LtOp>(x, number(c, x, 0));
  return mul(c, g, c.where(negative, from(c, 1, share), share));
}

Value shrinkBackward(Call &c, Value g, Value x) {
  double bound = c.real("lambd").value_or(0.5);
  Value inside = c.compare<rt::LeOp>(c.unary<rt::AbsOp>(x), number(c, x, bound));
  return unless(c, inside, g);
}

Value logitBackward(Call &c, Value g, Value x) {
  std::optional<double> eps = c.real("eps");
  double low = eps.value_or(0), high = 1 - low;
  Value outside = either(c, c.compare<rt::LtOp>(x, number(c, x, low)),
                         c.compare<rt::GtOp>(x, number(c, x, high)));
  Value slope = div(c, g, mul(c, x, from(c, 1, x)));
  return c.where(outside, number(c, x, eps ? 0 : NAN), slope);
}

Value randomReluBackward(Call &c) {
  Value g = c.tensor("grad_output"), x = c.tensor("self"), noise = c.tensor("noise");
  if (!g || !x || !noise)
    return {};
  double lower = c.real("lower").value_or(1.0 / 8),
         upper = c.real("upper").value_or(1.0 / 3);
  bool random = c.boolean("training") && upper - lower > 1e-6;
  Value result = random ? mul(c, noise, g) : sloped(c, g, x, (lower + upper) / 2);
  return likeOperands(c, result, {g, x});
}

/// The gradients of both halves of the input, side by side.
Value gluBackward(Call &c) {
  Value g = c.tensor("grad_output"), x = c.tensor("self");
  if (!g || !x)
    return {};
  ScalarType dtype = dtypeOf(x);
  int64_t dim = c.dim("dim", rankOf(x));
  Expr size = sizeOf(x, dim), half = layout::floordiv(size, 2);
  g = widened(c, g);
  Value first = widened(c, c.slice(x, dim, 0, half));
  Value gate = c.unary<rt::SigmoidOp>(widened(c, c.slice(x, dim, half, size)));
  Value ofGate = mul(c, mul(c, mul(c, from(c, 1, gate), gate), g), first);
  Value result = c.convert(c.cat({mul(c, gate, g), ofGate}, dim), dtype);
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(x))) : result;
}

Results preluBackward(Call &c) {
  Value g = c.tensor("grad_output"), x = c.tensor("self"), weight = c.tensor("weight");
  if (!g || !x || !weight)
    return mlir::failure();
  ScalarType dtype = dtypeOf(x);
  Value wide = widened(c, x), wideG = widened(c, g), w = widened(c, weight);
  Value positive = c.compare<rt::GtOp>(wide, number(c, wide, 0));
  Value ofX = c.where(positive, wideG, mul(c, w, wideG));
  Value ofWeight = unless(c, positive, mul(c, wide, wideG));
  ofX = likeOperands(c, c.convert(ofX, dtype), {x, weight, g});
  ofWeight = likeOperands(c, c.convert(ofWeight, dtype), {x, weight, g});
  if (!ofX || !ofWeight)
    return mlir::failure();
  return std::vector<Value>{ofX, ofWeight};
}

//===----------------------------------------------------------------------===//
// Softmax and dropout
//===----------------------------------------------------------------------===//

/// The result in the dtype that the forward op saw, row-major.
Value ofSoftmax(Call &c, Value result) {
  std::optional<ScalarType> dtype = c.dtype("input_dtype");
  result = dtype ? c.convert(result, *dtype) : result;
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
                : result;
}

/// y * (g - sum(g * y))
Value softmaxBackward(Call &c) {
  Value g = widened(c, c.tensor("grad_output")), y = widened(c, c.tensor("output"));
  if (!g || !y)
    return {};
  std::vector<int64_t> dims = allDims(rankOf(y));
  if (!dims.empty())
    dims = {c.dim("dim", rankOf(y))};
  Value product = mul(c, g, y);
  return ofSoftmax(
      c, sub(c, product, mul(c, y, c.reduce<rt::SumOp>(product, dims, true))));
}

/// g - exp(y) * sum(g)
Value logSoftmaxBackward(Call &c) {
  Value g = widened(c, c.tensor("grad_output")), y = widened(c, c.tensor("output"));
  if (!g || !y)
    return {};
  std::vector<int64_t> dims = allDims(rankOf(y));
  if (!dims.empty())
    dims = {c.dim("dim", rankOf(y))};
  Value total = c.reduce<rt::SumOp>(g, dims, true);
  return ofSoftmax(c, sub(c, g, mul(c, c.unary<rt::ExpOp>(y), total)));
}

/// g * mask * scale
Value dropoutBackward(Call &c) {
  Value g = c.tensor("grad_output"), mask = c.tensor("mask");
  if (!g || !mask)
    return {};
  Value wide = widened(c, g);
  Value kept = times(c, c.convert(mask, dtypeOf(wide)), c.real("scale").value_or(1));
  return likeOperands(c, c.convert(mul(c, wide, kept), dtypeOf(g)), {g, mask});
}

} // namespace

void addActivationGradientRules(RuleTable &table) {
  addGradient(table, "aten.sigmoid_backward.default", sigmoidBackward, "output");
  addGradient(table, "aten.tanh_backward.default", tanhBackward, "output");
  addGradient(table, "aten.silu_backward.default", siluBackward);
  addGradient(table, "aten.gelu_backward.default", geluBackward);
  addGradient(table, "aten.mish_backward.default", mishBackward);
  addGradient(table, "aten.threshold_backward.default", thresholdBackward);
  addGradient(table, "aten.hardtanh_backward.default", hardtanhBackward);
  addGradient(table, "aten.hardswish_backward.default", hardswishBackward);
  addGradient(table, "aten.hardsigmoid_backward.default", hardsigmoidBackward);
  addGradient(table, "aten.leaky_relu_backward.default", leakyReluBackward);
  addGradient(table, "aten.elu_backward.default", eluBackward, "self_or_result");
  addGradient(table, "aten.softplus_backward.default", softplusBackward);
  addGradient(table, "aten.log_sigmoid_backward.default", logSigmoidBackward);
  addGradient(table, "aten.hardshrink_backward.default", shrinkBackward, "self",
              "grad_out");
  addGradient(table, "aten.softshrink_backward.default", shrinkBackward);
  addGradient(table, "aten.logit_backward.default", logitBackward);
  addRule(table, {"aten.rrelu_with_noise_backward.default"}, randomReluBackward);
  addRule(table, {"aten.glu_backward.default"}, gluBackward);
  addMultiRule(table, {"aten._prelu_kernel_backward.default"}, preluBackward);
  addRule(table, {"aten._softmax_backward_data.default"}, softmaxBackward);
  addRule(table, {"aten._log_softmax_backward_data.default"}, logSoftmaxBackward);
  addRule(table, {"aten.native_dropout_backward.default"}, dropoutBackward);
}

} // namespace rtorch::translate
