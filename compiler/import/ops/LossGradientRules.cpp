// Gradients of losses, by eager's formulas.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value number(Call &c, Value like, double value) {
  return c.number(value, dtypeOf(like));
}
Value sub(Call &c, Value a, Value b) { return c.binary<rt::SubOp>(a, b); }
Value add(Call &c, Value a, Value b) { return c.binary<rt::AddOp>(a, b); }
Value mul(Call &c, Value a, Value b) { return c.binary<rt::MulOp>(a, b); }
Value div(Call &c, Value a, Value b) { return c.binary<rt::DivOp>(a, b); }
Value times(Call &c, Value a, double b) { return mul(c, a, number(c, a, b)); }

/// at::Reduction::Mean
bool isMean(Call &c) { return c.integer("reduction").value_or(1) == 1; }
bool isElementwise(Call &c) { return c.integer("reduction").value_or(1) == 0; }

/// The slope of the loss in each element of the input.
using Slope = std::function<Value(Call &, Value x, Value target)>;

enum class Strides { RowMajor, OfInput };

/// gradient * slope, over the number of elements for a mean.
void addElementwise(RuleTable &table, llvm::StringRef op, Slope slope,
                    Strides strides = Strides::RowMajor) {
  addRule(table, {op}, [=](Call &c) -> Value {
    Value gradient = c.tensor("grad_output"), self = c.tensor("self"),
          target = c.tensor("target");
    if (!gradient || !self || !target)
      return {};
    Value x = widened(c, self), g = c.convert(gradient, dtypeOf(x));
    Value result = mul(c, slope(c, x, c.convert(target, dtypeOf(x))), g);
    if (Value weight = c.node.find("weight") ? c.optionalTensor("weight") : Value())
      result = mul(c, result, c.convert(weight, dtypeOf(x)));
    if (isMean(c) && result)
      result =
          div(c, result, c.full(Scalar::of(layout::numel(sizesOf(x))), dtypeOf(x)));
    result = c.convert(result, dtypeOf(self));
    if (!result)
      return result;
    return strides == Strides::RowMajor
               ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
               : c.withStrides(result,
                               layout::preserveStrides(layoutOf(self), c.guards));
  });
}

Value mse(Call &c, Value x, Value target) { return times(c, sub(c, x, target), 2); }

/// `inner` in the middle, and -bound and bound outside of it.
Value clipped(Call &c, Value distance, double width, double bound, Value inner,
              bool inclusive) {
  Value below = number(c, distance, -width), above = number(c, distance, width);
  Value low = inclusive ? c.compare<rt::LeOp>(distance, below)
                        : c.compare<rt::LtOp>(distance, below);
  Value high = inclusive ? c.compare<rt::GeOp>(distance, above)
                         : c.compare<rt::GtOp>(distance, above);
  return c.where(low, number(c, distance, -bound),
                 c.where(high, number(c, distance, bound), inner));
}

Value smoothL1(Call &c, Value x, Value target) {
  double beta = c.real("beta").value_or(1);
  Value distance = sub(c, x, target);
  return clipped(c, distance, beta, 1, div(c, distance, number(c, x, beta)), false);
}

Value huber(Call &c, Value x, Value target) {
  double delta = c.real("delta").value_or(1);
  Value distance = sub(c, x, target);
  return clipped(c, distance, delta, delta, distance, true);
}

/// (x - t) / max((1 - x) x, 1e-12)
Value crossEntropyOfProbability(Call &c, Value x, Value target) {
  Value spread = mul(c, sub(c, number(c, x, 1), x), x);
  spread = c.binary<rt::MaximumOp>(spread, number(c, x, 1e-12));
  return div(c, sub(c, x, target), spread);
}

/// -t z / (1 + z), z = exp(-t x)
Value softMargin(Call &c, Value x, Value target) {
  Value opposite = c.unary<rt::NegOp>(target);
  Value z = c.unary<rt::ExpOp>(mul(c, opposite, x));
  return div(c, mul(c, opposite, z), add(c, z, number(c, x, 1)));
}

/// Each row's gradient goes to the class that was its target.
Value negativeLogLikelihoodBackward(Call &c) {
  Value gradient = c.tensor("grad_output"), self = c.tensor("self"),
        target = c.tensor("target"), weight = c.optionalTensor("weight");
  if (!gradient || !self || !target)
    return {};
  Value x = widened(c, self), g = c.convert(gradient, dtypeOf(x));
  int64_t dim = rankOf(x) > 1;
  target = c.unsqueeze(target, dim);
  if (rankOf(target) > rankOf(x)) // one row with a target of one element
    target = c.squeeze(target, {0});
  if (isElementwise(c) && rankOf(g) < rankOf(x) && rankOf(g))
    g = c.unsqueeze(g, dim);
  if (isMean(c))
    g = div(c, g, c.convert(c.tensor("total_weight"), dtypeOf(x)));
  Value chosen = c.unary<rt::NegOp>(g);
  if (weight) {
    Dims sizes(rankOf(x), 1);
    sizes[dim] = sizeOf(weight, 0);
    chosen = mul(c, chosen, c.reshape(c.convert(weight, dtypeOf(x)), sizes));
  }
  auto whole = [&](const Expr &value) {
    return c.full(Scalar::of(value), dtypeOf(target));
  };
  Value isIgnored =
      c.compare<rt::EqOp>(target, whole(c.expr("ignore_index").value_or(-100)));
  Value number_ = c.countAlong(sizeOf(x, dim), dim, rankOf(x));
  Value isTarget = c.compare<rt::EqOp>(target, c.convert(number_, dtypeOf(target)));
  isTarget = c.binary<rt::BitwiseAndOp>(isTarget, c.unary<rt::LogicalNotOp>(isIgnored));
  Value zero = c.full(Scalar::of(0.0), dtypeOf(x), sizesOf(x));
  Value result = c.convert(c.where(isTarget, chosen, zero), dtypeOf(self));
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
                : result;
}

} // namespace

void addLossGradientRules(RuleTable &table) {
  addElementwise(table, "aten.mse_loss_backward.default", mse);
  addElementwise(table, "aten.smooth_l1_loss_backward.default", smoothL1);
  addElementwise(table, "aten.huber_loss_backward.default", huber);
  addElementwise(table, "aten.binary_cross_entropy_backward.default",
                 crossEntropyOfProbability, Strides::OfInput);
  addElementwise(table, "aten.soft_margin_loss_backward.default", softMargin);
  addRule(table, {"aten.nll_loss_backward.default", "aten.nll_loss2d_backward.default"},
          negativeLogLikelihoodBackward);
}

} // namespace rtorch::translate
