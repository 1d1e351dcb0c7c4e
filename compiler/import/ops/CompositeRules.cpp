// Ops that are short compositions of others: nearness, membership, even steps,
// trapezoids.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>
#include <numbers>

namespace rtorch::translate {

namespace {

/// |a - b| <= atol + rtol * |b|, and equal values whatever they are.
Value isClose(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  Value equal = c.compare<rt::EqOp>(a, b);
  ScalarType dtype = c.floatOf(dtypeOf(a));
  bool floats = isFloat(dtypeOf(a));
  Value x = c.convert(a, dtype), y = c.convert(b, dtype);
  auto isNan = [&](Value v) { return c.pointwise<rt::IsNanOp>(ScalarType::Bool, v); };
  if (floats && c.boolean("equal_nan"))
    equal = c.binary<rt::BitwiseOrOp>(equal,
                                      c.binary<rt::BitwiseAndOp>(isNan(x), isNan(y)));
  Value allowed =
      c.binary<rt::AddOp>(c.number(c.real("atol").value_or(1e-8), dtype),
                          c.unary<rt::AbsOp>(c.binary<rt::MulOp>(
                              c.number(c.real("rtol").value_or(1e-5), dtype), y)));
  Value error = c.unary<rt::AbsOp>(c.binary<rt::SubOp>(x, y));
  Value near = c.compare<rt::LeOp>(error, allowed);
  Value finite = c.compare<rt::LtOp>(error, c.number(INFINITY, dtype));
  return c.binary<rt::BitwiseOrOp>(equal, c.binary<rt::BitwiseAndOp>(near, finite));
}

Value isIn(Call &c) {
  Operand elements = c.operand("elements"),
          tests = c.operand(c.node.find("test_elements") ? "test_elements"
                                                         : "test_element");
  ScalarType common = resultType({elements, tests});
  Value x = c.materialize(elements, common), among = c.materialize(tests, common);
  if (!x || !among)
    return {};
  among = c.reshape(among, {layout::numel(sizesOf(among))});
  Value found = c.compare<rt::EqOp>(c.unsqueeze(x, rankOf(x)), among);
  Value result = c.reduce<rt::AnyOp>(found, {rankOf(x)}, false);
  return c.boolean("invert") ? c.unary<rt::LogicalNotOp>(result) : result;
}

Value evenlySpaced(Call &c) {
  Operand start = c.operand("start"), end = c.operand("end");
  ScalarType dtype = c.dtype("dtype").value_or(c.defaultFloat());
  ScalarType wide = isFloat(dtype) && !isHalf(dtype) ? dtype : ScalarType::Float;
  Value line = linspace(c, c.materialize(start, wide), c.materialize(end, wide),
                        *c.expr("steps"));
  return c.convert(line, dtype);
}

/// base^start to base^end
Value evenlyScaled(Call &c) {
  Operand start = c.operand("start"), end = c.operand("end");
  ScalarType dtype = c.dtype("dtype").value_or(c.defaultFloat());
  ScalarType wide = isFloat(dtype) && !isHalf(dtype) ? dtype : ScalarType::Float;
  Value line = linspace(c, c.materialize(start, wide), c.materialize(end, wide),
                        *c.expr("steps"));
  Value base = c.number(c.real("base").value_or(10), wide);
  return c.convert(c.binary<rt::PowOp>(base, line), dtype);
}

/// Powers 0 to n - 1 of each element along a new dim; the largest first, but if
/// `increasing`.
Value vandermonde(Call &c) {
  Value x = c.tensor("x");
  if (!x)
    return x;
  Expr count = c.expr("N").value_or(sizeOf(x, 0));
  bool up = c.boolean("increasing");
  Value powers = c.iota(count, ScalarType::Long, up ? Expr(0) : count - 1, up ? 1 : -1);
  ScalarType dtype = promoteTypes(dtypeOf(x), ScalarType::Long);
  return c.binary<rt::PowOp>(c.unsqueeze(c.convert(x, dtype), 1),
                             c.convert(powers, dtype));
}

/// Powers 0 to N - 1 along a new last dim, as running products.
Value vandermondeByProducts(Call &c) {
  Value x = c.tensor("x");
  if (!x)
    return x;
  if (rankOf(x) == 0)
    x = c.unsqueeze(x, 0);
  if (!isFloat(dtypeOf(x)))
    x = c.convert(x, ScalarType::Long);
  int64_t rank = rankOf(x);
  Dims sizes = sizesOf(x);
  Expr count = c.expr("N").value_or(sizes.back());
  sizes.push_back(1);
  Value one = c.full(Scalar::of(int64_t(1)), dtypeOf(x), sizes);
  sizes.back() = count - 1;
  Value powers = c.scan(c.expand(c.unsqueeze(x, rank), sizes), rank, "mul");
  return powers ? c.cat({one, powers}, rank) : powers;
}

/// Half of a circle for negative numbers.
Value angle(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  ScalarType dtype = c.floatOf(dtypeOf(x));
  Value wide = c.convert(x, dtype), zero = c.number(0, dtype);
  Value half =
      c.where(c.compare<rt::LtOp>(wide, zero), c.number(std::numbers::pi, dtype), zero);
  Value result = c.where(c.pointwise<rt::IsNanOp>(ScalarType::Bool, wide), wide, half);
  return c.likeUnary(result, x);
}

/// What `x` between neighbours along the dim is, seen with the rank of `y`.
Value stepsBetween(Call &c, Value x, int64_t dim, int64_t rank) {
  int64_t along =
      rankOf(x) == 1 ? 0 : wrapDim(c.integer("dim").value_or(-1), rankOf(x));
  Expr count = sizeOf(x, along);
  Value step =
      c.binary<rt::SubOp>(c.slice(x, along, 1, count), c.slice(x, along, 0, count - 1));
  for (int64_t after = dim + 1; rankOf(x) == 1 && after < rank; ++after)
    step = c.unsqueeze(step, rankOf(step));
  return step;
}

/// The area under a line of points that are `dx` apart, or at `x`:
/// sum((y[1:] + y[:-1]) * dx) / 2, or the running sums.
Value trapezoid(Call &c, bool running) {
  Value y = c.tensor("y");
  if (!y)
    return y;
  int64_t dim = c.dim("dim", rankOf(y));
  Expr size = sizeOf(y, dim);
  Operand step{{}, c.scalar("dx").value_or(Scalar::of(int64_t(1)))};
  if (!c.node.find("dx")) {
    Value x = c.tensor("x");
    if (!x)
      return x;
    step.tensor = stepsBetween(c, x, dim, rankOf(y));
  }
  Value sum =
      c.binary<rt::AddOp>(c.slice(y, dim, 1, size), c.slice(y, dim, 0, size - 1));
  ScalarType dtype = resultType({{sum, {}}, step});
  Value area = c.binary<rt::MulOp>(c.convert(sum, dtype), c.materialize(step, dtype));
  if (!isFloat(dtype))
    area = c.convert(area, ScalarType::Long);
  Value total =
      running ? c.scan(area, dim, "add") : c.reduce<rt::SumOp>(area, {dim}, false);
  if (!isFloat(dtype))
    total = c.convert(total, c.defaultFloat());
  return c.binary<rt::MulOp>(total, c.number(0.5, dtypeOf(total)));
}

Value sumToSize(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Dims size = c.exprs("size");
  int64_t leading = rankOf(x) - static_cast<int64_t>(size.size());
  std::vector<int64_t> gone, folded;
  for (int64_t dim = 0; dim < rankOf(x); ++dim) {
    if (dim < leading)
      gone.push_back(dim);
    else if (size[dim - leading].isConstant(1) && !sizeOf(x, dim).isConstant(1))
      folded.push_back(dim - leading);
  }
  if (!gone.empty())
    x = c.reduce<rt::SumOp>(x, gone, false);
  return folded.empty() ? x : c.reduce<rt::SumOp>(x, folded, true);
}

} // namespace

void addCompositeRules(RuleTable &table) {
  addRule(table, {"aten.isclose.default"}, isClose);
  addRule(
      table,
      {"aten.isin.Tensor_Tensor", "aten.isin.Tensor_Scalar", "aten.isin.Scalar_Tensor"},
      isIn);
  addRule(table,
          {"aten.linspace.default", "aten.linspace.Tensor_Tensor",
           "aten.linspace.Tensor_Scalar", "aten.linspace.Scalar_Tensor"},
          evenlySpaced);
  addRule(table,
          {"aten.trapezoid.dx", "aten.trapezoid.x", "aten.trapz.dx", "aten.trapz.x"},
          [](Call &c) { return trapezoid(c, false); });
  addRule(table, {"aten.cumulative_trapezoid.dx", "aten.cumulative_trapezoid.x"},
          [](Call &c) { return trapezoid(c, true); });
  addRule(table,
          {"aten.logspace.default", "aten.logspace.Tensor_Tensor",
           "aten.logspace.Tensor_Scalar", "aten.logspace.Scalar_Tensor"},
          evenlyScaled);
  addRule(table, {"aten.vander.default"}, vandermonde);
  addRule(table, {"aten.linalg_vander.default"}, vandermondeByProducts);
  addRule(table, {"aten.angle.default"}, angle);
  addRule(table, {"aten.isreal.default"}, [](Call &c) -> Value {
    Value x = c.tensor("self");
    return x ? c.full(Scalar::of(true), ScalarType::Bool, sizesOf(x)) : x;
  });
  addRule(table, {"aten.sum_to_size.default"}, sumToSize);
}

} // namespace rtorch::translate
