// Losses, by eager's formulas.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>
#include <numbers>

namespace rtorch::translate {
namespace {

/// at::Reduction
enum class Fold { None, Mean, Sum };

Fold foldOf(Call &c) { return static_cast<Fold>(c.integer("reduction").value_or(1)); }

Value folded(Call &c, Value loss, Fold fold) {
  if (!loss || fold == Fold::None)
    return loss;
  std::vector<int64_t> all = allDims(rankOf(loss));
  return fold == Fold::Sum ? c.reduce<rt::SumOp>(loss, all, false)
                           : meanOver(c, loss, all, false);
}

Value number(Call &c, Value like, double value) {
  return c.number(value, dtypeOf(like));
}

Value sub(Call &c, Value a, Value b) { return c.binary<rt::SubOp>(a, b); }
Value add(Call &c, Value a, Value b) { return c.binary<rt::AddOp>(a, b); }
Value mul(Call &c, Value a, Value b) { return c.binary<rt::MulOp>(a, b); }
Value div(Call &c, Value a, Value b) { return c.binary<rt::DivOp>(a, b); }
Value atLeast(Call &c, Value x, double low) {
  return c.binary<rt::MaximumOp>(x, number(c, x, low));
}

using Elementwise = std::function<Value(Call &, Value x, Value target)>;

/// A loss of an input and a target, element by element, computed in their common dtype.
/// The result has it, too, or the input's.
void addElementwise(RuleTable &table, llvm::StringRef op, Elementwise formula,
                    std::string inputName = "self", bool hasInputsDtype = false) {
  addRule(table, {op}, [=](Call &c) -> Value {
    Value x = c.tensor(inputName), target = c.tensor("target");
    if (!x || !target)
      return {};
    ScalarType dtype = resultType({{x, {}}, {target, {}}}),
               resultDtype = hasInputsDtype ? dtypeOf(x) : dtype;
    x = widened(c, c.convert(x, dtype));
    target = widened(c, c.convert(target, dtype));
    Value loss = formula(c, x, target);
    if (Value weight = c.node.find("weight") ? c.optionalTensor("weight") : Value())
      loss = mul(c, loss, c.convert(weight, dtypeOf(x)));
    return c.convert(folded(c, loss, foldOf(c)), resultDtype);
  });
}

Value smoothL1(Call &c, Value x, Value target) {
  double beta = c.real("beta").value_or(1);
  Value distance = c.unary<rt::AbsOp>(sub(c, x, target));
  if (beta == 0)
    return distance;
  Value square =
      div(c, mul(c, mul(c, distance, distance), number(c, x, 0.5)), number(c, x, beta));
  Value linear = sub(c, distance, number(c, x, 0.5 * beta));
  return c.where(c.compare<rt::LtOp>(distance, number(c, x, beta)), square, linear);
}

Value huber(Call &c, Value x, Value target) {
  double delta = c.real("delta").value_or(1);
  Value distance = c.unary<rt::AbsOp>(sub(c, x, target));
  Value square = mul(c, mul(c, distance, distance), number(c, x, 0.5));
  Value linear =
      mul(c, sub(c, distance, number(c, x, 0.5 * delta)), number(c, x, delta));
  return c.where(c.compare<rt::LeOp>(distance, number(c, x, delta)), square, linear);
}

/// Logarithms are bounded by -100.
Value crossEntropyOfProbability(Call &c, Value x, Value target) {
  Value log = atLeast(c, c.unary<rt::LogOp>(x), -100);
  Value logRest = atLeast(c, c.unary<rt::Log1pOp>(c.unary<rt::NegOp>(x)), -100);
  return sub(c, mul(c, sub(c, target, number(c, x, 1)), logRest), mul(c, target, log));
}

/// (1 - t) x + w (log(1 + exp(-|x|)) + max(-x, 0)), w = (posWeight - 1) t + 1
Value crossEntropyOfLogit(Call &c, Value x, Value target) {
  Value one = number(c, x, 1), negative = c.unary<rt::NegOp>(x);
  Value decay = c.unary<rt::ExpOp>(c.unary<rt::NegOp>(c.unary<rt::AbsOp>(x)));
  Value soft = add(c, c.unary<rt::Log1pOp>(decay), atLeast(c, negative, 0));
  if (Value positive = c.optionalTensor("pos_weight")) {
    positive = c.convert(positive, dtypeOf(x));
    soft = mul(c, add(c, mul(c, sub(c, positive, one), target), one), soft);
  }
  return add(c, mul(c, sub(c, one, target), x), soft);
}

Value divergence(Call &c, Value x, Value target) {
  if (c.boolean("log_target"))
    return mul(c, c.unary<rt::ExpOp>(target), sub(c, target, x));
  Value information = mul(c, target, c.unary<rt::LogOp>(target));
  Value zero = number(c, x, 0);
  information = c.where(c.compare<rt::EqOp>(target, zero), zero, information);
  return sub(c, information, mul(c, target, x));
}

Value poisson(Call &c, Value x, Value target) {
  Value loss;
  if (c.boolean("log_input")) {
    loss = sub(c, c.unary<rt::ExpOp>(x), mul(c, target, x));
  } else {
    Value log = c.unary<rt::LogOp>(add(c, x, number(c, x, *c.real("eps"))));
    loss = sub(c, x, mul(c, target, log));
  }
  if (!c.boolean("full"))
    return loss;
  Value log = c.unary<rt::LogOp>(target);
  Value stirling = sub(c, mul(c, target, log), target);
  Value root = c.unary<rt::LogOp>(mul(c, target, number(c, x, 2 * std::numbers::pi)));
  stirling = add(c, stirling, mul(c, root, number(c, x, 0.5)));
  Value large = c.compare<rt::GtOp>(target, number(c, x, 1));
  return add(c, loss, c.where(large, stirling, number(c, x, 0)));
}

Value softMargin(Call &c, Value x, Value target) {
  Value product = mul(c, c.unary<rt::NegOp>(target), x);
  return c.unary<rt::Log1pOp>(c.unary<rt::ExpOp>(product));
}

Value hingeEmbedding(Call &c, Value x, Value target) {
  Value zero = number(c, x, 0), one = number(c, x, 1);
  double margin = c.real("margin").value_or(1);
  Value room = atLeast(c, sub(c, number(c, x, margin), x), 0);
  Value apart = c.where(c.compare<rt::NeOp>(target, one), room, zero);
  Value together = c.where(c.compare<rt::NeOp>(target, number(c, x, -1)), x, zero);
  return add(c, apart, together);
}

//===----------------------------------------------------------------------===//
// Losses of two inputs
//===----------------------------------------------------------------------===//

Value marginRanking(Call &c) {
  Value a = c.tensor("input1"), b = c.tensor("input2"), target = c.tensor("target");
  if (!a || !b || !target)
    return {};
  Value distance = sub(c, a, b);
  Value loss =
      add(c, mul(c, c.unary<rt::NegOp>(c.convert(target, dtypeOf(a))), distance),
          number(c, a, c.real("margin").value_or(0)));
  return folded(c, atLeast(c, loss, 0), foldOf(c));
}

Value cosineEmbedding(Call &c) {
  Value a = c.tensor("input1"), b = c.tensor("input2"), target = c.tensor("target");
  if (!a || !b || !target)
    return {};
  std::vector<int64_t> last{rankOf(a) - 1};
  auto total = [&](Value x) { return c.reduce<rt::SumOp>(x, last, false); };
  Value epsilon = number(c, a, 1e-12);
  Value square = mul(c, add(c, total(mul(c, a, a)), epsilon),
                     add(c, total(mul(c, b, b)), epsilon));
  Value cosine = div(c, total(mul(c, a, b)), c.unary<rt::SqrtOp>(square));
  Value zero = number(c, a, 0), one = number(c, a, 1);
  Value room =
      atLeast(c, sub(c, cosine, number(c, a, c.real("margin").value_or(0))), 0);
  target = c.convert(target, dtypeOf(a));
  Value together = c.where(c.compare<rt::EqOp>(target, one), sub(c, one, cosine), zero);
  Value apart = c.where(c.compare<rt::EqOp>(target, number(c, a, -1)), room, zero);
  return folded(c, add(c, together, apart), foldOf(c));
}

Value tripletMargin(Call &c) {
  Value anchor = c.tensor("anchor"), positive = c.tensor("positive"),
        negative = c.tensor("negative");
  if (!anchor || !positive || !negative)
    return {};
  double p = c.real("p").value_or(2), eps = c.real("eps").value_or(1e-6);
  Value near = pairwiseDistance(c, anchor, positive, p, eps, false);
  Value far = pairwiseDistance(c, anchor, negative, p, eps, false);
  if (c.boolean("swap"))
    far = c.binary<rt::MinimumOp>(
        far, pairwiseDistance(c, positive, negative, p, eps, false));
  if (!near || !far)
    return {};
  Value loss = add(c, sub(c, near, far), number(c, near, c.real("margin").value_or(1)));
  return folded(c, atLeast(c, loss, 0), foldOf(c));
}

/// sum over the other classes of max(0, margin - x[target] + x[i])^p, over their
/// number.
Value multiMargin(Call &c) {
  Value x = c.tensor("self"), target = c.tensor("target");
  if (!x || !target)
    return {};
  bool single = rankOf(x) < 2;
  if (single)
    x = c.reshape(x, {1, layout::numel(sizesOf(x))});
  Value place = c.reshape(target, {sizeOf(x, 0), 1});
  Value margin = number(c, x, c.real("margin").value_or(1));
  Value chosen = c.gather(x, place, 1);
  Value loss = atLeast(c, add(c, sub(c, margin, chosen), x), 0);
  if (c.real("p").value_or(1) == 2)
    loss = mul(c, loss, loss);
  if (Value weight = c.optionalTensor("weight"))
    loss =
        mul(c, loss,
            c.unsqueeze(c.indexSelect(weight, c.reshape(place, {sizeOf(x, 0)}), 0), 1));
  Value own =
      c.compare<rt::EqOp>(c.convert(c.iota(sizeOf(x, 1)), dtypeOf(place)), place);
  loss = c.reduce<rt::SumOp>(c.where(own, number(c, x, 0), loss), {1}, false);
  loss = div(c, loss, c.full(Scalar::of(sizeOf(x, 1)), dtypeOf(x)));
  Fold fold = foldOf(c);
  if (single && fold == Fold::None)
    return loss ? c.reshape(loss, {}) : loss;
  return folded(c, loss, fold);
}

/// For each target class t of a row and each class i that is none: max(0, 1 - (x[t] -
/// x[i])), summed, over the number of classes. Targets end with the first -1.
std::pair<Value, Value> multiLabelMargin(Call &c) {
  Value self = c.tensor("self"), target = c.tensor("target"), x = self;
  if (!x || !target)
    return {};
  Expr classes = rankOf(x) ? sizesOf(x).back() : Expr(1);
  Expr rows = rankOf(x) > 1 ? sizeOf(x, 0) : Expr(1);
  x = c.reshape(x, {rows, classes});
  target = c.reshape(target, {rows, classes});
  ScalarType index = dtypeOf(target);
  Value ended =
      c.convert(c.compare<rt::LtOp>(target, c.number(0, index)), ScalarType::Long);
  Value counts =
      c.compare<rt::EqOp>(c.scan(ended, 1, "add"), c.number(0, ScalarType::Long));
  Value safe = c.where(counts, target, c.number(0, index));
  Value chosen = c.gather(x, safe, 1); // [rows, targets]
  Value same =
      c.compare<rt::EqOp>(c.unsqueeze(safe, 2), c.convert(c.iota(classes), index));
  same = c.binary<rt::BitwiseAndOp>(same,
                                    c.unsqueeze(counts, 2)); // [rows, targets, classes]
  Value isTarget = c.reduce<rt::AnyOp>(same, {1}, false);
  Value room =
      add(c, sub(c, number(c, x, 1), c.unsqueeze(chosen, 2)), c.unsqueeze(x, 1));
  Value used = c.binary<rt::BitwiseAndOp>(
      c.unsqueeze(counts, 2), c.unsqueeze(c.unary<rt::LogicalNotOp>(isTarget), 1));
  Value loss = c.where(used, atLeast(c, room, 0), number(c, x, 0));
  loss = c.reduce<rt::SumOp>(loss, {1, 2}, false);
  loss = div(c, loss, c.full(Scalar::of(classes), dtypeOf(x)));
  Fold fold = foldOf(c);
  if (rankOf(self) < 2 && fold == Fold::None)
    loss = loss ? c.reshape(loss, {}) : loss;
  else
    loss = folded(c, loss, fold);
  isTarget = c.convert(isTarget, dtypeOf(self));
  return {loss, isTarget ? c.reshape(isTarget, sizesOf(c.tensor("target"))) : isTarget};
}

//===----------------------------------------------------------------------===//
// Losses of classes
//===----------------------------------------------------------------------===//

/// What the classes' losses are made of: log probabilities [N, C, ...] (or [C]), and
/// for each target its weight, 0 where it is ignored.
struct Classes {
  Value logs, target, weight, classWeight, isIgnored;
  int64_t dim = 0;
};

Classes classesOf(Call &c, Value logs, Value target) {
  Classes k{logs, target, {}, c.optionalTensor("weight"), {}};
  k.dim = rankOf(logs) > 1;
  ScalarType dtype = dtypeOf(logs);
  Value ignored =
      c.full(Scalar::of(c.expr("ignore_index").value_or(-100)), dtypeOf(target));
  k.isIgnored = c.compare<rt::EqOp>(target, ignored);
  k.target = c.where(k.isIgnored, c.number(0, dtypeOf(target)), target);
  Value own = c.number(1, dtype);
  if (k.classWeight) {
    k.classWeight = c.convert(k.classWeight, dtype);
    own = c.indexSelect(k.classWeight, k.target, 0);
  }
  k.weight = c.where(k.isIgnored, c.number(0, dtype), own);
  return k;
}

/// The weighted negative log probability of each target: the target's sizes.
Value targetLosses(Call &c, const Classes &k) {
  Value place = c.unsqueeze(k.target, k.dim);
  Value chosen = c.gather(k.logs, place, k.dim);
  if (!chosen)
    return chosen;
  chosen = c.reshape(chosen, sizesOf(k.target));
  // Where the target is ignored, not even an infinity counts.
  Value zero = number(c, chosen, 0);
  return c.where(k.isIgnored, zero, mul(c, c.unary<rt::NegOp>(chosen), k.weight));
}

Value totalOf(Call &c, Value x) {
  return x ? c.reduce<rt::SumOp>(x, allDims(rankOf(x)), false) : x;
}

/// The mean divides by the weights that count.
Value foldedByWeight(Call &c, Value losses, const Classes &k, Fold fold) {
  if (!losses || fold == Fold::None)
    return losses;
  Value sum = totalOf(c, losses);
  return fold == Fold::Sum ? sum : div(c, sum, totalOf(c, k.weight));
}

Value negativeLogLikelihood(Call &c) {
  Value logs = c.tensor("self"), target = c.tensor("target");
  if (!logs || !target)
    return {};
  ScalarType dtype = dtypeOf(logs);
  Classes k = classesOf(c, widened(c, logs), target);
  return c.convert(foldedByWeight(c, targetLosses(c, k), k, foldOf(c)), dtype);
}

/// The loss, and the sum of the weights where the losses are folded.
Results negativeLogLikelihoodForward(Call &c) {
  Value loss = negativeLogLikelihood(c), total;
  if (!loss)
    return mlir::failure();
  if (c.isUsed(1)) {
    Value logs = c.tensor("self");
    Classes k = classesOf(c, logs, c.tensor("target"));
    total = foldOf(c) == Fold::None ? number(c, logs, 0) : totalOf(c, k.weight);
  }
  return std::vector<Value>{loss, total};
}

/// -sum(target * log softmax(x)) for targets that are probabilities.
Value crossEntropyOfMixture(Call &c, Value logs, Value target, double smoothing) {
  int64_t dim = rankOf(logs) > 1;
  Expr classes = sizeOf(logs, dim);
  Value count = c.full(Scalar::of(classes), dtypeOf(logs));
  if (smoothing != 0)
    target = add(c, mul(c, target, number(c, logs, 1 - smoothing)),
                 div(c, number(c, logs, smoothing), count));
  Value product = mul(c, logs, target);
  if (Value weight = c.optionalTensor("weight")) {
    weight = c.convert(weight, dtypeOf(logs));
    for (int64_t i = dim + 1; i < rankOf(logs); ++i)
      weight = c.unsqueeze(weight, rankOf(weight));
    product = mul(c, product, weight);
  }
  Value losses = c.unary<rt::NegOp>(c.reduce<rt::SumOp>(product, {dim}, false));
  return folded(c, losses, foldOf(c));
}

/// The part of label smoothing: the mean of all classes' losses.
Value smoothLosses(Call &c, const Classes &k) {
  Value logs = k.logs;
  if (k.classWeight) {
    Value weight = k.classWeight;
    for (int64_t i = k.dim + 1; i < rankOf(logs); ++i)
      weight = c.unsqueeze(weight, rankOf(weight));
    logs = mul(c, logs, weight);
  }
  Value sum = c.unary<rt::NegOp>(c.reduce<rt::SumOp>(logs, {k.dim}, false));
  return c.where(k.isIgnored, number(c, logs, 0), sum);
}

Value crossEntropy(Call &c) {
  Value x = c.tensor("self"), target = c.tensor("target");
  if (!x || !target)
    return {};
  ScalarType dtype = dtypeOf(x);
  x = widened(c, x);
  int64_t dim = rankOf(x) > 1;
  Value logs = c.compute<rt::LogSoftmaxOp>(sizesOf(x), dtypeOf(x), x, dim);
  double smoothing = c.real("label_smoothing").value_or(0);
  if (isFloat(dtypeOf(target)))
    return c.convert(
        crossEntropyOfMixture(c, logs, c.convert(target, dtypeOf(x)), smoothing),
        dtype);
  Classes k = classesOf(c, logs, target);
  Value loss = foldedByWeight(c, targetLosses(c, k), k, foldOf(c));
  if (smoothing != 0) {
    Value smooth = foldedByWeight(c, smoothLosses(c, k), k, foldOf(c));
    Value share = div(c, number(c, logs, smoothing),
                      c.full(Scalar::of(sizeOf(logs, dim)), dtypeOf(logs)));
    loss = add(c, mul(c, loss, number(c, logs, 1 - smoothing)), mul(c, smooth, share));
  }
  return c.convert(loss, dtype);
}

} // namespace

void addLossRules(RuleTable &table) {
  addElementwise(table, "aten.mse_loss.default", [](Call &c, Value x, Value target) {
    Value distance = sub(c, x, target);
    return mul(c, distance, distance);
  });
  addElementwise(table, "aten.l1_loss.default", [](Call &c, Value x, Value target) {
    return c.unary<rt::AbsOp>(sub(c, x, target));
  });
  addElementwise(table, "aten.smooth_l1_loss.default", smoothL1);
  addElementwise(table, "aten.huber_loss.default", huber, "self",
                 /*hasInputsDtype=*/true);
  addElementwise(table, "aten.binary_cross_entropy.default", crossEntropyOfProbability);
  addElementwise(table, "aten.binary_cross_entropy_with_logits.default",
                 crossEntropyOfLogit);
  addElementwise(table, "aten.kl_div.default", divergence);
  addElementwise(table, "aten.poisson_nll_loss.default", poisson, "input");
  addElementwise(table, "aten.soft_margin_loss.default", softMargin);
  addElementwise(table, "aten.hinge_embedding_loss.default", hingeEmbedding);
  addRule(table, {"aten.margin_ranking_loss.default"}, marginRanking);
  addRule(table, {"aten.cosine_embedding_loss.default"}, cosineEmbedding);
  addRule(table, {"aten.triplet_margin_loss.default"}, tripletMargin);
  addRule(
      table,
      {"aten.nll_loss.default", "aten.nll_loss2d.default", "aten.nll_loss_nd.default"},
      negativeLogLikelihood);
  addMultiRule(table,
               {"aten.nll_loss_forward.default", "aten.nll_loss2d_forward.default"},
               negativeLogLikelihoodForward);
  addRule(table, {"aten.cross_entropy_loss.default"}, crossEntropy);
  addRule(table, {"aten.multi_margin_loss.default"}, multiMargin);
  addRule(table, {"aten.multilabel_margin_loss.default"},
          [](Call &c) { return multiLabelMargin(c).first; });
  addMultiRule(table, {"aten.multilabel_margin_loss_forward.default"},
               [](Call &c) -> Results {
                 auto [loss, isTarget] = multiLabelMargin(c);
                 if (!loss || !isTarget)
                   return mlir::failure();
                 return std::vector<Value>{loss, isTarget};
               });
}

} // namespace rtorch::translate
