// Gradients of what reads parts of a tensor: they are put where the parts came from.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

/// Zeros of `sizes` into which a view's gradient is written.
Value placed(Call &c, const Dims &sizes, Value g,
             llvm::function_ref<Value(Value)> viewOf) {
  if (!g)
    return g;
  Value result = c.cloneRowMajor(c.full(Scalar::of(int64_t(0)), dtypeOf(g), sizes));
  return succeeded(c.write(g, viewOf(result))) ? result : Value();
}

Value selectBackward(Call &c) {
  Value g = c.tensor("grad_output");
  Dims sizes = c.exprs("input_sizes"), low(sizes.size(), 0);
  std::optional<Expr> index = c.expr("index");
  if (!g || !index)
    return {};
  int64_t dim = c.dim("dim", sizes.size());
  low[dim] = c.guards.less(*index, 0) ? *index + sizes[dim] : *index;
  return c.pad(c.unsqueeze(g, dim), low, sizes, Scalar::of(int64_t(0)));
}

Value sliceBackward(Call &c) {
  Value g = c.tensor("grad_output");
  if (!g)
    return g;
  Dims sizes = c.exprs("input_sizes");
  int64_t dim = c.dim("dim", sizes.size()), step = c.integer("step").value_or(1);
  Expr start = c.expr("start").value_or(0), end = c.expr("end").value_or(INT64_MAX);
  return placed(c, sizes, g,
                [&](Value x) { return c.slice(x, dim, start, end, step); });
}

Value diagonalBackward(Call &c) {
  Dims sizes = c.exprs("input_sizes");
  int64_t rank = sizes.size();
  return placed(c, sizes, c.tensor("grad_output"), [&](Value x) {
    return c.diagonal(x, c.integer("offset").value_or(0), c.dim("dim1", rank),
                      c.dim("dim2", rank));
  });
}

/// Windows may overlap: their elements add up.
Value unfoldBackward(Call &c) {
  Value g = c.tensor("grad_in");
  Dims sizes = c.exprs("input_sizes");
  std::optional<int64_t> size = c.integer("size"), step = c.integer("step");
  if (!g || !size || !step)
    return {};
  int64_t rank = sizes.size(), dim = c.dim("dim", rank);
  if (rank == 0) // one window of one element, or of none
    return c.reduce<rt::SumOp>(g, {0}, false);
  std::vector<int64_t> order = allDims(rank + 1); // the windows' elements behind them
  std::rotate(order.begin() + dim + 1, order.end() - 1, order.end());
  g = c.permute(g, order);
  Value start = c.iota(sizeOf(g, dim), ScalarType::Long, 0, *step);
  Value at = c.binary<rt::AddOp>(c.unsqueeze(start, 1), c.iota(*size));
  Value zero = c.full(Scalar::of(int64_t(0)), dtypeOf(g), sizes);
  return c.scatter(zero, {at}, g, {dim}, dim, false, "add");
}

} // namespace

void addIndexingGradientRules(RuleTable &table) {
  addRule(table, {"aten.select_backward.default"}, selectBackward);
  addRule(table, {"aten.slice_backward.default"}, sliceBackward);
  addRule(table, {"aten.diagonal_backward.default"}, diagonalBackward);
  addRule(table, {"aten.unfold_backward.default"}, unfoldBackward);
}

} // namespace rtorch::translate
