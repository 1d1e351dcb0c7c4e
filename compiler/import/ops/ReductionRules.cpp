// Ops that fold dims, and softmax.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>

namespace rtorch::translate {

Expr countOf(Value x, const std::vector<int64_t> &dims) {
  Expr count = 1;
  for (int64_t dim : dims)
    count *= sizeOf(x, dim);
  return count;
}

Value widened(Emitter &e, Value x) {
  return x && isHalf(dtypeOf(x)) ? e.convert(x, ScalarType::Float) : x;
}

Value meanOver(Emitter &e, Value x, const std::vector<int64_t> &dims, bool keepdim) {
  if (!x)
    return x;
  Value count = e.full(Scalar::of(countOf(x, dims)), dtypeOf(x));
  return e.binary<rt::DivOp>(e.reduce<rt::SumOp>(x, dims, keepdim), count);
}

Value varianceOver(Emitter &e, Value x, const std::vector<int64_t> &dims,
                   const Scalar &correction, bool keepdim) {
  if (!x)
    return x;
  Value centered = e.binary<rt::SubOp>(x, meanOver(e, x, dims, true));
  Value squares = e.binary<rt::MulOp>(centered, centered);
  Value sum = e.reduce<rt::SumOp>(squares, dims, keepdim);
  Expr count = countOf(x, dims);
  Value divisor;
  if (std::optional<Expr> integer = correction.intExpr())
    divisor = e.full(Scalar::of(layout::max(0, count - *integer)), dtypeOf(x));
  else
    divisor = e.binary<rt::MaximumOp>(
        e.binary<rt::SubOp>(e.full(Scalar::of(count), dtypeOf(x)),
                            e.full(correction, dtypeOf(x))),
        e.number(0, dtypeOf(x)));
  return e.binary<rt::DivOp>(sum, divisor);
}

namespace {

using Dimensions = std::vector<int64_t>;

/// The operand in the dtype that sums are made in: that of `dtype`, else int64 for
/// integers and bool.
Value summand(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  ScalarType dtype = dtypeOf(x);
  return c.convert(
      x, c.dtype("dtype").value_or(isFloat(dtype) ? dtype : ScalarType::Long));
}

Value sum(Call &c) {
  Value x = summand(c);
  if (!x)
    return x;
  Value total = c.reduce<rt::SumOp>(widened(c, x), c.dims("dim", rankOf(x)),
                                    c.boolean("keepdim"));
  return c.convert(total, dtypeOf(x));
}

Value mean(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  x = c.convert(x, c.dtype("dtype").value_or(dtypeOf(x)));
  if (!isFloat(dtypeOf(x))) {
    c.error() << "expects a floating-point dtype for the mean, but got "
              << rt::tensorType(x);
    return {};
  }
  Value result =
      meanOver(c, widened(c, x), c.dims("dim", rankOf(x)), c.boolean("keepdim"));
  return c.convert(result, dtypeOf(x));
}

Value prod(Call &c, bool alongOneDim) {
  Value x = summand(c);
  if (!x)
    return x;
  Dimensions dims = alongOneDim && rankOf(x) ? Dimensions{c.dim("dim", rankOf(x))}
                                             : allDims(rankOf(x));
  return c.reduce<rt::ProdOp>(x, dims, c.boolean("keepdim"));
}

template <typename Op> Value extreme(Call &c) {
  Value x = c.tensor("self");
  return x ? c.reduce<Op>(x, c.dims("dim", rankOf(x)), c.boolean("keepdim")) : x;
}

/// Index of the first element that equals the extreme along `dim`; NaN is extreme.
template <typename Op> Value indexOfExtreme(Call &c, Value x, int64_t dim, bool keep) {
  if (!x)
    return x;
  Value best = c.reduce<Op>(x, {dim}, true);
  Value found = c.compare<rt::EqOp>(x, best);
  if (isFloat(dtypeOf(x)))
    found =
        c.binary<rt::BitwiseOrOp>(found, c.pointwise<rt::IsNanOp>(ScalarType::Bool, x));
  Dims sizes(rankOf(x), 1);
  sizes[dim] = sizeOf(x, dim);
  Value positions = c.view(c.iota(sizeOf(x, dim)), sizes);
  Value past = c.full(Scalar::of(sizeOf(x, dim)), ScalarType::Long);
  return c.reduce<rt::AminOp>(c.where(found, positions, past), {dim}, keep);
}

/// argmax and argmin; without a dim over the flattened tensor.
template <typename Op> Value argExtreme(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  bool keep = c.boolean("keepdim");
  if (!c.isNone("dim") && rankOf(x))
    return indexOfExtreme<Op>(c, x, c.dim("dim", rankOf(x)), keep);
  Value flat = c.reshape(x, {layout::numel(sizesOf(x))});
  Value index = indexOfExtreme<Op>(c, flat, 0, false);
  return index && keep ? c.view(index, Dims(rankOf(x), 1)) : index;
}

/// max.dim and min.dim: values and indices.
template <typename Op> Results extremeWithIndex(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  if (rankOf(x) == 0)
    return std::vector<Value>{c.cloneRowMajor(x),
                              c.full(Scalar::of(int64_t(0)), ScalarType::Long)};
  int64_t dim = c.dim("dim", rankOf(x));
  bool keep = c.boolean("keepdim");
  Value values = c.reduce<Op>(x, {dim}, keep), indices;
  if (c.isUsed(1))
    indices = indexOfExtreme<Op>(c, x, dim, keep);
  return std::vector<Value>{values, indices};
}

template <typename Op> Value logical(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value result = c.reduce<Op>(c.convert(x, ScalarType::Bool), c.dims("dim", rankOf(x)),
                              c.boolean("keepdim"));
  return dtypeOf(x) == ScalarType::Byte ? c.convert(result, ScalarType::Byte) : result;
}

/// The correction of var and std: `unbiased` in the older overloads, else 1.
Scalar correctionOf(Call &c) {
  if (c.node.find("unbiased"))
    return Scalar::of(static_cast<int64_t>(c.boolean("unbiased", true)));
  return c.scalar("correction").value_or(Scalar::of(int64_t(1)));
}

Value variance(Call &c, bool root) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value result = varianceOver(c, widened(c, x), c.dims("dim", rankOf(x)),
                              correctionOf(c), c.boolean("keepdim"));
  return c.convert(root ? c.unary<rt::SqrtOp>(result) : result, dtypeOf(x));
}

Results varianceAndMean(Call &c, bool root) {
  Value x = c.tensor("self"), first = variance(c, root);
  if (!x || !first)
    return mlir::failure();
  Value average =
      meanOver(c, widened(c, x), c.dims("dim", rankOf(x)), c.boolean("keepdim"));
  return std::vector<Value>{first, c.convert(average, dtypeOf(x))};
}

Value norm(Call &c, std::string_view orderName) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  x = c.convert(x, c.dtype("dtype").value_or(dtypeOf(x)));
  if (!isFloat(dtypeOf(x))) {
    c.error() << "expects a floating-point dtype for the norm, but got "
              << rt::tensorType(x);
    return {};
  }
  Value result = normOver(c, widened(c, x), c.real(orderName).value_or(2),
                          c.dims("dim", rankOf(x)), c.boolean("keepdim"));
  return c.convert(result, dtypeOf(x));
}

template <typename Op> Value softmax(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  x = c.convert(x, c.dtype("dtype").value_or(dtypeOf(x)));
  if (c.boolean("half_to_float"))
    x = c.convert(x, ScalarType::Float);
  x = c.convert(x, c.floatOf(dtypeOf(x)));
  int64_t rank = rankOf(x);
  if (rank == 0)
    x = c.unsqueeze(x, 0);
  Value result = c.compute<Op>(sizesOf(x), dtypeOf(x), x, c.dim("dim", rank));
  return rank == 0 ? c.squeeze(result, {0}) : result;
}

/// log(sum(exp(x))), shifted by the largest value; infinite maxima do not shift.
Value logSumExp(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  x = c.convert(x, c.floatOf(dtypeOf(x)));
  Dimensions dims = c.dims("dim", rankOf(x));
  bool keep = c.boolean("keepdim");
  Value top = c.reduce<rt::AmaxOp>(x, dims, true);
  Value infinite = c.pointwise<rt::IsInfOp>(ScalarType::Bool, top);
  Value shift = c.where(infinite, c.number(0, dtypeOf(x)), top);
  Value sum = c.reduce<rt::SumOp>(c.unary<rt::ExpOp>(c.binary<rt::SubOp>(x, shift)),
                                  dims, keep);
  if (shift && !keep)
    shift = c.reshape(shift, sizesOf(sum));
  return c.binary<rt::AddOp>(c.unary<rt::LogOp>(sum), shift);
}

Value countNonZero(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value zero = c.full(Scalar::of(int64_t(0)), dtypeOf(x));
  Value count = c.convert(c.compare<rt::NeOp>(x, zero), ScalarType::Long);
  return count ? c.reduce<rt::SumOp>(count, c.dims("dim", rankOf(x)), false) : count;
}

/// Sum or mean of what is not NaN.
Value ignoringNan(Call &c, bool mean) {
  Value x = summand(c);
  if (!x)
    return x;
  ScalarType dtype = dtypeOf(x);
  Dimensions dims = c.dims("dim", rankOf(x));
  bool keep = c.boolean("keepdim");
  if (!isFloat(dtype))
    return c.reduce<rt::SumOp>(x, dims, keep);
  x = widened(c, x);
  Value zero = c.number(0, dtypeOf(x));
  Value isNan = c.pointwise<rt::IsNanOp>(ScalarType::Bool, x);
  Value total = c.reduce<rt::SumOp>(c.where(isNan, zero, x), dims, keep);
  if (mean) {
    Value counted = c.convert(c.unary<rt::LogicalNotOp>(isNan), dtypeOf(x));
    total = c.binary<rt::DivOp>(total, c.reduce<rt::SumOp>(counted, dims, keep));
  }
  return c.convert(total, dtype);
}

Results bothExtremes(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  Dimensions dims = c.isNone("dim") || !rankOf(x) ? allDims(rankOf(x))
                                                  : Dimensions{c.dim("dim", rankOf(x))};
  bool keep = c.boolean("keepdim");
  return std::vector<Value>{c.reduce<rt::AminOp>(x, dims, keep),
                            c.reduce<rt::AmaxOp>(x, dims, keep)};
}

/// softmax, but 0 for lines of -inf alone.
Value safeSoftmax(Call &c) {
  Value x = c.tensor("self"), result = softmax<rt::SoftmaxOp>(c);
  if (!x || !result)
    return {};
  Value masked = c.compare<rt::EqOp>(x, c.number(-INFINITY, dtypeOf(x)));
  std::vector<int64_t> dims;
  if (rankOf(x) > 0)
    dims = {c.dim("dim", rankOf(x))};
  Value none = c.reduce<rt::AllOp>(masked, dims, true);
  return c.where(none, c.number(0, dtypeOf(result)), result);
}

} // namespace

void addReductionRules(RuleTable &table) {
  addRule(table, {"aten.count_nonzero.default", "aten.count_nonzero.dim_IntList"},
          countNonZero);
  addRule(table, {"aten.nansum.default"},
          [](Call &c) { return ignoringNan(c, false); });
  addRule(table, {"aten.nanmean.default"},
          [](Call &c) { return ignoringNan(c, true); });
  addMultiRule(table,
               {"aten.aminmax.default", "aten._aminmax.default", "aten._aminmax.dim"},
               bothExtremes);
  addRule(table, {"aten.sum.default", "aten.sum.dim_IntList"}, sum);
  addRule(table, {"aten.mean.default", "aten.mean.dim"}, mean);
  addRule(table, {"aten.prod.default"}, [](Call &c) { return prod(c, false); });
  addRule(table, {"aten.prod.dim_int"}, [](Call &c) { return prod(c, true); });
  addRule(table, {"aten.amax.default", "aten.max.default"}, extreme<rt::AmaxOp>);
  addRule(table, {"aten.amin.default", "aten.min.default"}, extreme<rt::AminOp>);
  addRule(table, {"aten.argmax.default"}, argExtreme<rt::AmaxOp>);
  addRule(table, {"aten.argmin.default"}, argExtreme<rt::AminOp>);
  addMultiRule(table, {"aten.max.dim"}, extremeWithIndex<rt::AmaxOp>);
  addMultiRule(table, {"aten.min.dim"}, extremeWithIndex<rt::AminOp>);
  addRule(table, {"aten.any.default", "aten.any.dim", "aten.any.dims"},
          logical<rt::AnyOp>);
  addRule(table, {"aten.all.default", "aten.all.dim", "aten.all.dims"},
          logical<rt::AllOp>);
  addRule(table, {"aten.var.default", "aten.var.dim", "aten.var.correction"},
          [](Call &c) { return variance(c, false); });
  addRule(table, {"aten.std.default", "aten.std.dim", "aten.std.correction"},
          [](Call &c) { return variance(c, true); });
  addMultiRule(
      table, {"aten.var_mean.default", "aten.var_mean.dim", "aten.var_mean.correction"},
      [](Call &c) { return varianceAndMean(c, false); });
  addMultiRule(
      table, {"aten.std_mean.default", "aten.std_mean.dim", "aten.std_mean.correction"},
      [](Call &c) { return varianceAndMean(c, true); });
  addRule(table, {"aten.linalg_vector_norm.default"},
          [](Call &c) { return norm(c, "ord"); });
  addRule(table,
          {"aten.norm.Scalar", "aten.norm.ScalarOpt_dim", "aten.norm.ScalarOpt_dtype",
           "aten.norm.ScalarOpt_dim_dtype"},
          [](Call &c) { return norm(c, "p"); });
  addRule(table,
          {"aten.softmax.int", "aten._softmax.default", "aten.special_softmax.default"},
          softmax<rt::SoftmaxOp>);
  addRule(table, {"aten._safe_softmax.default"}, safeSoftmax);
  addRule(table,
          {"aten.log_softmax.int", "aten._log_softmax.default",
           "aten.special_log_softmax.default"},
          softmax<rt::LogSoftmaxOp>);
  addRule(table, {"aten.logsumexp.default", "aten.special_logsumexp.default"},
          logSumExp);
}

} // namespace rtorch::translate
