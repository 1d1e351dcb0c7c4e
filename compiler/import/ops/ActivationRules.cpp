// Activations: ops of the dialect, and compositions by eager's formulas.
#include "compiler/import/ops/Rules.h"

#include <cmath>

namespace rtorch::translate {
namespace {

using Formula = std::function<Value(Call &, Value)>;

/// Which strides eager gives to an activation's result.
enum class Strides { LikeUnary, Preserve, RowMajor };

/// A formula of `self`, computed in float32 for float16 and bfloat16.
Value activation(Call &c, Value x, const Formula &formula, Strides strides) {
  if (!x)
    return x;
  ScalarType dtype = dtypeOf(x);
  Value wide = isHalf(dtype) ? c.convert(x, ScalarType::Float) : x;
  Value result = c.convert(formula(c, wide), dtype);
  if (!result)
    return result;
  if (strides == Strides::LikeUnary)
    return c.likeUnary(result, x);
  if (strides == Strides::Preserve)
    return c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards));
  return c.withStrides(result, layout::contiguousStrides(sizesOf(x)));
}

void addFormula(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
                Formula formula, Strides strides = Strides::LikeUnary) {
  addRule(table, ops, [formula = std::move(formula), strides](Call &c) {
    return activation(c, c.tensor("self"), formula, strides);
  });
}

Value number(Call &c, Value x, double value) { return c.number(value, dtypeOf(x)); }

Value bounded(Call &c, Value x, double low, double high) {
  Value above = c.binary<rt::MaximumOp>(x, number(c, x, low));
  return c.binary<rt::MinimumOp>(above, number(c, x, high));
}

/// min(max(x + 3, 0), 6)
Value shiftedRelu6(Call &c, Value x) {
  return bounded(c, c.binary<rt::AddOp>(x, number(c, x, 3)), 0, 6);
}

Value hardsigmoid(Call &c, Value x) {
  return c.binary<rt::DivOp>(shiftedRelu6(c, x), number(c, x, 6));
}

Value hardswish(Call &c, Value x) {
  Value product = c.binary<rt::MulOp>(x, shiftedRelu6(c, x));
  return c.binary<rt::DivOp>(product, number(c, x, 6));
}

Value leakyRelu(Call &c, Value x) {
  double slope = c.real("negative_slope").value_or(0.01);
  Value zero = number(c, x, 0);
  return c.where(c.compare<rt::GtOp>(x, zero), x,
                 c.binary<rt::MulOp>(x, number(c, x, slope)));
}

/// x > 0 ? scale * x : scale * alpha * (exp(inputScale * x) - 1)
Value expLinear(Call &c, Value x, double alpha, double scale, double inputScale) {
  Value scaled = inputScale == 1 ? x : c.binary<rt::MulOp>(x, number(c, x, inputScale));
  Value negative =
      c.binary<rt::MulOp>(c.unary<rt::Expm1Op>(scaled), number(c, x, alpha * scale));
  Value positive = scale == 1 ? x : c.binary<rt::MulOp>(x, number(c, x, scale));
  return c.where(c.compare<rt::LeOp>(x, number(c, x, 0)), negative, positive);
}

Value elu(Call &c, Value x) {
  return expLinear(c, x, c.real("alpha").value_or(1), c.real("scale").value_or(1),
                   c.real("input_scale").value_or(1));
}

Value selu(Call &c, Value x) {
  return expLinear(c, x, 1.6732632423543772848170429916717,
                   1.0507009873554804934193349852946, 1);
}

Value celu(Call &c, Value x) {
  double alpha = c.real("alpha").value_or(1);
  return expLinear(c, x, alpha, 1, 1 / alpha);
}

Value softplus(Call &c, Value x) {
  double beta = c.real("beta").value_or(1),
         threshold = c.real("threshold").value_or(20);
  Value scaled = c.binary<rt::MulOp>(x, number(c, x, beta));
  Value soft = c.unary<rt::Log1pOp>(c.unary<rt::ExpOp>(scaled));
  soft = c.binary<rt::DivOp>(soft, number(c, x, beta));
  return c.where(c.compare<rt::GtOp>(scaled, number(c, x, threshold)), x, soft);
}

Value mish(Call &c, Value x) {
  Value soft = c.unary<rt::Log1pOp>(c.unary<rt::ExpOp>(x));
  return c.binary<rt::MulOp>(x, c.unary<rt::TanhOp>(soft));
}

/// min(x, 0) - log(1 + exp(-|x|))
Value logSigmoid(Call &c, Value x) {
  Value decay = c.unary<rt::ExpOp>(c.unary<rt::NegOp>(c.unary<rt::AbsOp>(x)));
  return c.binary<rt::SubOp>(c.binary<rt::MinimumOp>(x, number(c, x, 0)),
                             c.unary<rt::Log1pOp>(decay));
}

Value hardshrink(Call &c, Value x) {
  double bound = c.real("lambd").value_or(0.5);
  Value inside = c.compare<rt::LeOp>(c.unary<rt::AbsOp>(x), number(c, x, bound));
  return c.where(inside, number(c, x, 0), x);
}

Value threshold(Call &c, Value x) {
  ScalarType dtype = dtypeOf(x);
  Value bound = c.full(*c.scalar("threshold"), dtype);
  return c.where(c.compare<rt::LeOp>(x, bound), c.full(*c.scalar("value"), dtype), x);
}

Value hardtanh(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value low = c.full(c.scalar("min_val").value_or(Scalar::of(-1.0)), dtypeOf(x));
  Value high = c.full(c.scalar("max_val").value_or(Scalar::of(1.0)), dtypeOf(x));
  Value result = c.binary<rt::MinimumOp>(c.binary<rt::MaximumOp>(x, low), high);
  return result ? c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards))
                : result;
}

Value relu6(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value low = c.number(0, dtypeOf(x)), high = c.number(6, dtypeOf(x));
  Value result = c.binary<rt::MinimumOp>(c.binary<rt::MaximumOp>(x, low), high);
  return result ? c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards))
                : result;
}

Value glu(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t dim = c.dim("dim", rankOf(x));
  Expr size = sizeOf(x, dim), half = layout::floordiv(size, 2);
  Value gate = c.unary<rt::SigmoidOp>(c.slice(x, dim, half, size));
  return c.binary<rt::MulOp>(c.slice(x, dim, 0, half), gate);
}

/// x > 0 ? x : weight * x, one weight for all or one a channel (dim 1).
Value prelu(Call &c) {
  Value x = c.tensor("self"), weight = c.tensor("weight");
  if (!x || !weight)
    return {};
  if (rankOf(weight) == 1 && rankOf(x) != 1) {
    // One a channel, or one for all.
    Dims sizes(rankOf(x), 1);
    if (rankOf(x) > 1)
      sizes[1] = sizeOf(weight, 0);
    weight = c.reshape(weight, sizes);
  }
  Value zero = c.number(0, dtypeOf(x));
  Value result =
      c.where(c.compare<rt::GtOp>(x, zero), x, c.binary<rt::MulOp>(weight, x));
  return result ? c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards))
                : result;
}

/// Outside of training, rrelu is leaky_relu with the middle of its slopes.
Value randomRelu(Call &c, Value x) {
  double lower = c.real("lower").value_or(1.0 / 8),
         upper = c.real("upper").value_or(1.0 / 3);
  Value scaled = c.binary<rt::MulOp>(x, number(c, x, (lower + upper) / 2));
  return c.where(c.compare<rt::LeOp>(x, number(c, x, 0)), scaled, x);
}

std::string refuseRandomRelu(const importer::Graph &, const importer::Node &node) {
  const importer::Argument *training = node.find("training");
  auto *value = training ? std::get_if<bool>(training) : nullptr;
  return value && *value ? "rrelu in training mode is random and not supported" : "";
}

/// The input itself outside of training.
Value dropout(Call &c) { return c.tensor(c.node.find("input") ? "input" : "self"); }

/// dropout and kin: only outside of training, or with probability 0.
std::string refuseTraining(const importer::Graph &, const importer::Node &node) {
  const importer::Argument *train = node.find("train");
  auto *value = train ? std::get_if<bool>(train) : nullptr;
  const importer::Argument *p = node.find("p");
  auto *probability = p ? std::get_if<double>(p) : nullptr;
  if ((value && !*value) || (probability && *probability == 0))
    return {};
  return "dropout in training mode is not supported; call eval() before exporting";
}

} // namespace

void addActivationRules(RuleTable &table) {
  addFormula(table, {"aten.silu.default"},
             [](Call &c, Value x) { return c.unary<rt::SiluOp>(x); });
  addFormula(table, {"aten.gelu.default"}, [](Call &c, Value x) {
    return c.string("approximate") == "tanh" ? c.unary<rt::GeluTanhOp>(x)
                                             : c.unary<rt::GeluOp>(x);
  });
  addFormula(table, {"aten.hardsigmoid.default"}, hardsigmoid);
  addFormula(table, {"aten.hardswish.default"}, hardswish);
  addFormula(table, {"aten.leaky_relu.default"}, leakyRelu);
  addFormula(table, {"aten.elu.default"}, elu);
  addFormula(table, {"aten.selu.default"}, selu);
  addFormula(table, {"aten.celu.default"}, celu);
  addFormula(table, {"aten.softplus.default"}, softplus);
  addFormula(table, {"aten.mish.default"}, mish);
  addFormula(table, {"aten.log_sigmoid.default"}, logSigmoid, Strides::RowMajor);
  addFormula(table, {"aten.hardshrink.default"}, hardshrink);
  addFormula(table, {"aten.threshold.default"}, threshold);
  addRule(table, {"aten.hardtanh.default"}, hardtanh);
  addRule(table, {"aten.relu6.default"}, relu6);
  addRule(table, {"aten.glu.default"}, glu);
  addRule(table, {"aten.prelu.default", "aten._prelu_kernel.default"}, prelu);
  addFormula(table, {"aten.rrelu.default"}, randomRelu);
  addMultiRule(table, {"aten.log_sigmoid_forward.default"}, [](Call &c) -> Results {
    Value x = c.tensor("self");
    Value result = activation(c, x, logSigmoid, Strides::RowMajor), decay;
    if (!result)
      return mlir::failure();
    if (c.isUsed(1))
      decay = activation(
          c, x,
          [](Call &c, Value x) {
            return c.unary<rt::ExpOp>(c.unary<rt::NegOp>(c.unary<rt::AbsOp>(x)));
          },
          Strides::RowMajor);
    return std::vector<Value>{result, decay};
  });
  addMultiRule(
      table, {"aten.rrelu_with_noise_functional.default"}, [](Call &c) -> Results {
        Value result = activation(c, c.tensor("self"), randomRelu, Strides::LikeUnary);
        if (!result)
          return mlir::failure();
        return std::vector<Value>{result, c.tensor("noise")};
      });
  for (llvm::StringRef op :
       {"aten.rrelu.default", "aten.rrelu_with_noise_functional.default"})
    table[op].refuse = refuseRandomRelu;
  addMultiRule(table, {"aten.native_dropout.default"}, [](Call &c) -> Results {
    Value x = c.tensor("input"), mask;
    if (!x)
      return mlir::failure();
    if (c.isUsed(1))
      mask = c.full(Scalar::of(true), ScalarType::Bool, sizesOf(x));
    x = c.clone(x, layout::preserveStrides(layoutOf(x), c.guards));
    return std::vector<Value>{x, mask};
  });
  table["aten.native_dropout.default"].refuse = refuseTraining;
  for (llvm::StringRef op : {"aten.dropout.default", "aten.feature_dropout.default",
                             "aten.alpha_dropout.default"}) {
    addRule(table, {op}, dropout);
    table[op].refuse = refuseTraining;
  }
}

} // namespace rtorch::translate
