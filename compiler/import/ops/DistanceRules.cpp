// Norms and distances.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>
#include <numbers>

namespace rtorch::translate {

Value normOver(Emitter &e, Value x, double order, const std::vector<int64_t> &dims,
               bool keep) {
  if (!x)
    return x;
  auto powered = [&](Value base, double exponent) {
    return e.binary<rt::PowOp>(base, e.number(exponent, dtypeOf(base)));
  };
  if (order == 2)
    return e.unary<rt::SqrtOp>(
        e.reduce<rt::SumOp>(e.binary<rt::MulOp>(x, x), dims, keep));
  Value magnitude = e.unary<rt::AbsOp>(x);
  if (order == 1)
    return e.reduce<rt::SumOp>(magnitude, dims, keep);
  if (std::isinf(order))
    return order > 0 ? e.reduce<rt::AmaxOp>(magnitude, dims, keep)
                     : e.reduce<rt::AminOp>(magnitude, dims, keep);
  if (order == 0) {
    Value nonZero = e.compare<rt::NeOp>(x, e.number(0, dtypeOf(x)));
    return e.reduce<rt::SumOp>(e.convert(nonZero, dtypeOf(x)), dims, keep);
  }
  Value sum = e.reduce<rt::SumOp>(powered(magnitude, order), dims, keep);
  return sum ? powered(sum, 1 / order) : sum;
}

/// a - b in their common dtype.
static Value differenceOf(Emitter &e, Value a, Value b) {
  ScalarType dtype = resultType({{a, {}}, {b, {}}});
  return e.binary<rt::SubOp>(e.convert(a, dtype), e.convert(b, dtype));
}

Value pairwiseDistance(Emitter &e, Value a, Value b, double p, double eps, bool keep) {
  if (!a || !b)
    return {};
  Value difference = differenceOf(e, a, b);
  if (!isFloat(dtypeOf(difference)))
    difference = e.convert(difference, ScalarType::Float);
  difference = e.binary<rt::AddOp>(difference, e.number(eps, dtypeOf(difference)));
  return normOver(e, difference, p, {rankOf(difference) - 1}, keep);
}

namespace {

Value cosineSimilarity(Call &c) {
  Value a = c.tensor("x1"), b = c.tensor("x2");
  if (!a || !b)
    return {};
  ScalarType dtype = resultType({{a, {}}, {b, {}}});
  a = c.convert(a, dtype), b = c.convert(b, dtype);
  std::optional<Dims> sizes = c.broadcast({a, b});
  if (!sizes)
    return {};
  a = c.expand(a, *sizes), b = c.expand(b, *sizes);
  std::vector<int64_t> dim{c.dim("dim", rankOf(a))};
  if (sizes->empty()) // counts as rank 1
    a = c.unsqueeze(a, 0), b = c.unsqueeze(b, 0);
  Value eps = c.number(c.real("eps").value_or(1e-8), dtype);
  auto unit = [&](Value x) {
    Value norm = c.binary<rt::MaximumOp>(normOver(c, x, 2, dim, true), eps);
    return c.binary<rt::DivOp>(x, norm);
  };
  return c.reduce<rt::SumOp>(c.binary<rt::MulOp>(unit(a), unit(b)), dim, false);
}

/// Distances of all pairs of rows.
Value pairDistances(Call &c) {
  Value a = c.tensor("x1"), b = c.tensor("x2");
  if (!a || !b)
    return {};
  Value difference =
      c.binary<rt::SubOp>(c.unsqueeze(a, rankOf(a) - 1), c.unsqueeze(b, rankOf(b) - 2));
  if (!difference)
    return difference;
  return normOver(c, difference, c.real("p").value_or(2), {rankOf(difference) - 1},
                  false);
}

/// Gradient of the p-norms `dist` of differences: `g` times their slopes, 0 where the
/// distance is 0.
Value slopesOfDistance(Call &c, Value difference, Value dist, Value g, double p) {
  if (!difference || !dist || !g)
    return {};
  ScalarType dtype = dtypeOf(difference);
  Value zero = c.number(0, dtype), magnitude = c.unary<rt::AbsOp>(difference);
  Value sign = c.unary<rt::SignOp>(difference), slope;
  if (p == 0) {
    slope = c.binary<rt::MulOp>(difference, zero);
  } else if (std::isinf(p)) {
    slope = c.where(c.compare<rt::EqOp>(magnitude, dist), sign, zero);
  } else if (p == 1) {
    slope = sign;
  } else {
    auto power = [&](Value x) {
      return c.binary<rt::PowOp>(x, c.number(p - 1, dtype));
    };
    slope = p == 2 ? c.binary<rt::DivOp>(difference, dist)
                   : c.binary<rt::DivOp>(c.binary<rt::MulOp>(sign, power(magnitude)),
                                         power(dist));
    slope = c.where(c.compare<rt::EqOp>(dist, zero), zero, slope);
    if (p < 1) // infinitely steep
      slope = c.where(c.compare<rt::EqOp>(difference, zero), zero, slope);
  }
  return c.binary<rt::MulOp>(slope, g);
}

Value zerosLike(Call &c, Value x) {
  return c.withStrides(c.full(Scalar::of(0.0), dtypeOf(x), sizesOf(x)),
                       layout::preserveStrides(layoutOf(x), c.guards));
}

/// Gradient of the distances of all pairs for the rows of x1.
Value pairDistancesBackward(Call &c) {
  Value g = c.tensor("grad"), a = c.tensor("x1"), b = c.tensor("x2"),
        dist = c.tensor("cdist");
  std::optional<double> p = c.real("p");
  if (!g || !a || !b || !dist || !p)
    return {};
  for (Value x : {g, a, b}) // eager broadcasts after this
    if (layout::numel(sizesOf(x)).isConstant(0))
      return zerosLike(c, a);
  Value difference =
      c.binary<rt::SubOp>(c.unsqueeze(a, rankOf(a) - 1), c.unsqueeze(b, rankOf(b) - 2));
  Value slope = slopesOfDistance(c, difference, c.unsqueeze(dist, rankOf(dist)),
                                 c.unsqueeze(g, rankOf(g)), *p);
  return slope ? rowMajor(c, c.reduce<rt::SumOp>(slope, {rankOf(slope) - 2}, false))
               : slope;
}

/// What pdist's list of pairs holds for rows i and j, as a matrix; 0 on its diagonal.
Value matrixOfPairs(Call &c, Value pairs, const Expr &rows) {
  Value i = c.countAlong(rows, 0, 2), j = c.countAlong(rows, 1, 2);
  Value low = c.binary<rt::MinimumOp>(i, j), high = c.binary<rt::MaximumOp>(i, j);
  auto number = [&](const Expr &value) {
    return c.full(Scalar::of(value), ScalarType::Long);
  };
  // Before row `low` come the pairs of all rows above it: low * (2 n - low - 1) / 2.
  Value before =
      c.binary<rt::MulOp>(low, c.binary<rt::SubOp>(number(rows * 2 - 1), low));
  before = c.binary<rt::FloorDivideOp>(before, number(2));
  Value place = c.binary<rt::AddOp>(before, c.binary<rt::SubOp>(high, low));
  place = c.binary<rt::MaximumOp>(c.binary<rt::SubOp>(place, number(1)), number(0));
  Value same = c.compare<rt::EqOp>(i, j);
  place = c.where(same, number(0), place);
  Value matrix = c.index(pairs, {place}, {0}, 0, false);
  return c.where(same, c.number(0, dtypeOf(pairs)), matrix);
}

/// Gradient of the distances of each pair of different rows.
Value ownDistancesBackward(Call &c) {
  Value g = c.tensor("grad"), x = c.tensor("self"), dist = c.tensor("pdist");
  std::optional<double> p = c.real("p");
  if (!g || !x || !dist || !p)
    return {};
  for (Value each : {g, x})
    if (layout::numel(sizesOf(each)).isConstant(0))
      return zerosLike(c, x);
  Expr rows = sizeOf(x, 0);
  Value difference = c.binary<rt::SubOp>(c.unsqueeze(x, 1), c.unsqueeze(x, 0));
  Value slope =
      slopesOfDistance(c, difference, c.unsqueeze(matrixOfPairs(c, dist, rows), 2),
                       c.unsqueeze(matrixOfPairs(c, g, rows), 2), *p);
  return slope ? rowMajor(c, c.reduce<rt::SumOp>(slope, {1}, false)) : slope;
}

/// Slices along a dim, those scaled down whose norm is larger than `maxnorm`.
Value renorm(Call &c) {
  Value x = c.tensor("self");
  std::optional<double> p = c.real("p"), limit = c.real("maxnorm");
  if (!x || !p || !limit)
    return {};
  std::vector<int64_t> dims = allDims(rankOf(x));
  dims.erase(dims.begin() + c.dim("dim", rankOf(x)));
  Value norm = normOver(c, widened(c, x), *p, dims, true);
  if (!norm)
    return norm;
  auto number = [&](double value) { return c.number(value, dtypeOf(norm)); };
  Value factor =
      c.binary<rt::DivOp>(number(*limit), c.binary<rt::AddOp>(norm, number(1e-7)));
  factor = c.where(c.compare<rt::GtOp>(norm, number(*limit)), factor, number(1));
  return rowMajor(c, c.binary<rt::MulOp>(x, c.convert(factor, dtypeOf(x))));
}

/// Distances of each pair of different rows, once.
Value ownDistances(Call &c) {
  Value x = c.tensor("self");
  std::optional<int64_t> rows = x ? sizeOf(x, 0).constant() : std::nullopt;
  if (!rows) {
    c.error() << "pdist needs a constant number of rows";
    return {};
  }
  std::vector<Value> parts;
  for (int64_t row = 0; row + 1 < *rows; ++row) {
    Value difference =
        c.binary<rt::SubOp>(c.slice(x, 0, row, row + 1), c.slice(x, 0, row + 1, *rows));
    parts.push_back(normOver(c, difference, c.real("p").value_or(2), {1}, false));
  }
  if (parts.empty())
    return c.full(Scalar::of(0.0), dtypeOf(x), {0});
  return c.cat(parts, 0);
}

/// The vector norm of all elements, or of one or two dims as a matrix norm.
Value matrixNorm(Call &c, Value x, std::optional<double> order, bool frobenius,
                 std::vector<int64_t> dims, bool keep) {
  if (!x)
    return x;
  x = c.convert(x, c.dtype("dtype").value_or(dtypeOf(x)));
  for (int64_t &dim : dims)
    dim = wrapDim(dim, rankOf(x));
  if (frobenius || dims.size() == 1) {
    llvm::sort(dims);
    return normOver(c, x, frobenius ? 2 : *order, dims, keep);
  }
  double magnitude = std::abs(*order);
  if (dims.size() != 2 || (magnitude != 1 && !std::isinf(magnitude))) {
    c.error() << "matrix norms other than 'fro', 1 and inf are not supported";
    return {};
  }
  // Sums along one dim, the extreme of them along the other.
  int64_t summed = magnitude == 1 ? dims[0] : dims[1];
  int64_t other = magnitude == 1 ? dims[1] : dims[0];
  Value sums = c.reduce<rt::SumOp>(c.unary<rt::AbsOp>(x), {summed}, true);
  Value result = *order > 0 ? c.reduce<rt::AmaxOp>(sums, {other}, true)
                            : c.reduce<rt::AminOp>(sums, {other}, true);
  return keep ? result : c.reshape(result, [&] {
    llvm::sort(dims);
    return c.reducedSizes(x, dims, false);
  }());
}

Value linalgNorm(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  std::vector<int64_t> dims = c.integers("dim");
  bool keep = c.boolean("keepdim"), named = !c.string("ord").empty();
  if (named || !c.isNone("ord")) {
    if (dims.empty())
      dims = allDims(rankOf(x));
    return matrixNorm(c, x, c.real("ord"), c.string("ord") == "fro", dims, keep);
  }
  x = c.convert(x, c.dtype("dtype").value_or(dtypeOf(x)));
  return normOver(c, x, 2, c.dims("dim", rankOf(x)), keep);
}

/// The p-norm of the difference.
Value distance(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  Value difference = differenceOf(c, a, b);
  return difference ? normOver(c, difference, c.real("p").value_or(2),
                               allDims(rankOf(difference)), false)
                    : difference;
}

/// v * (g / |v|), the norm over all dims but one; -1 stands for none.
Value weightNorm(Call &c) {
  Value v = c.tensor("v"), g = c.tensor("g");
  if (!v || !g)
    return {};
  int64_t kept = c.integer("dim").value_or(0);
  std::vector<int64_t> dims = allDims(rankOf(v));
  if (kept != -1)
    dims.erase(dims.begin() + wrapDim(kept, rankOf(v)));
  Value norm = normOver(c, v, 2, dims, /*keep=*/kept != -1);
  return c.binary<rt::MulOp>(v, c.binary<rt::DivOp>(g, norm));
}

} // namespace

void addDistanceRules(RuleTable &table) {
  addRule(table, {"aten.cosine_similarity.default"}, cosineSimilarity);
  addRule(table, {"aten.pairwise_distance.default"}, [](Call &c) {
    return pairwiseDistance(c, c.tensor("x1"), c.tensor("x2"), c.real("p").value_or(2),
                            c.real("eps").value_or(1e-6), c.boolean("keepdim"));
  });
  addRule(table, {"aten.cdist.default", "aten._cdist_forward.default"}, pairDistances);
  addRule(table, {"aten._cdist_backward.default"}, pairDistancesBackward);
  addRule(table, {"aten._pdist_backward.default"}, ownDistancesBackward);
  addRule(table, {"aten.renorm.default"}, renorm);
  addRule(table, {"aten.pdist.default", "aten._pdist_forward.default"}, ownDistances);
  addRule(table, {"aten.linalg_matrix_norm.default"}, [](Call &c) {
    return matrixNorm(c, c.tensor("self"), c.real("ord"), false, c.integers("dim"),
                      c.boolean("keepdim"));
  });
  addRule(table, {"aten.linalg_matrix_norm.str_ord"}, [](Call &c) {
    return matrixNorm(c, c.tensor("self"), {}, c.string("ord") == "fro",
                      c.integers("dim"), c.boolean("keepdim"));
  });
  addRule(table, {"aten.linalg_norm.default", "aten.linalg_norm.ord_str"}, linalgNorm);
  addRule(table, {"aten.frobenius_norm.dim"}, [](Call &c) -> Value {
    Value x = c.tensor("self");
    return x ? normOver(c, x, 2, c.dims("dim", rankOf(x)), c.boolean("keepdim")) : x;
  });
  addRule(table, {"aten.dist.default"}, distance);
  addRule(table, {"aten._weight_norm.default"}, weightNorm);
}

} // namespace rtorch::translate
