// Diagonals, triangles and quarter turns of matrices.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {

namespace {

/// A matrix of the last dim's elements on a diagonal, zeros elsewhere.
Value diagonalMatrix(Call &c, Value x, int64_t offset) {
  if (!x)
    return x;
  int64_t rank = rankOf(x), shift = std::abs(offset);
  Expr size = sizeOf(x, rank - 1) + shift;
  // Row i holds element i - max(-offset, 0) at column i + offset.
  Dims low(rank, 0), sizes = sizesOf(x);
  low[rank - 1] = std::max<int64_t>(-offset, 0);
  sizes[rank - 1] = size;
  Value rows = shift ? c.pad(x, low, sizes, Scalar::of(int64_t(0))) : x;
  Value column = c.iota(size),
        row = c.unsqueeze(c.iota(size, ScalarType::Long, offset), 1);
  Value onDiagonal = c.compare<rt::EqOp>(row, column);
  return rowMajor(c, c.where(onDiagonal, c.unsqueeze(rows, rank),
                             c.full(Scalar::of(int64_t(0)), dtypeOf(x))));
}

Value diagEmbed(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t rank = rankOf(x) + 1;
  int64_t dim1 = wrapDim(c.integer("dim1").value_or(-2), rank),
          dim2 = wrapDim(c.integer("dim2").value_or(-1), rank);
  int64_t offset = c.integer("offset").value_or(0);
  if (dim1 > dim2)
    std::swap(dim1, dim2), offset = -offset;
  Value result = diagonalMatrix(c, x, offset);
  std::vector<int64_t> order;
  for (int64_t dim = 0, next = 0; dim < rank; ++dim)
    order.push_back(dim == dim1 ? rank - 2 : dim == dim2 ? rank - 1 : next++);
  return rowMajor(c, c.permute(result, order));
}

Value diag(Call &c) {
  Value x = c.tensor("self");
  int64_t offset = c.integer("diagonal").value_or(0);
  if (!x)
    return x;
  if (rankOf(x) == 1)
    return diagonalMatrix(c, x, offset);
  return c.cloneRowMajor(c.diagonal(x, offset, 0, 1));
}

Value diagFlat(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  return diagonalMatrix(c, c.reshape(x, {layout::numel(sizesOf(x))}),
                        c.integer("offset").value_or(0));
}

Value trace(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Value line = c.diagonal(x, 0, 0, 1);
  if (!isFloat(dtypeOf(x)))
    line = c.convert(line, ScalarType::Long);
  Value sum = c.reduce<rt::SumOp>(widened(c, line), {0}, false);
  return sum ? c.convert(sum, dtypeOf(line)) : sum;
}

/// The places of a triangle's elements, row by row: [2, count].
Value triangleIndices(Call &c, bool upper) {
  int64_t rows = *c.integer("row"), columns = *c.integer("col");
  int64_t offset = c.integer("offset").value_or(0);
  ScalarType dtype = c.dtype("dtype").value_or(ScalarType::Long);
  std::vector<Value> lines[2];
  int64_t total = 0;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t first = upper ? std::clamp<int64_t>(row + offset, 0, columns) : 0;
    int64_t last = upper ? columns : std::clamp<int64_t>(row + offset + 1, 0, columns);
    if (first >= last)
      continue;
    total += last - first;
    lines[0].push_back(c.full(Scalar::of(row), ScalarType::Long, {last - first}));
    lines[1].push_back(c.iota(last - first, ScalarType::Long, first));
  }
  if (total == 0)
    return c.full(Scalar::of(int64_t(0)), dtype, {2, 0});
  Value both = c.cat({c.cat(lines[0], 0), c.cat(lines[1], 0)}, 0);
  return c.convert(c.view(both, {2, total}), dtype);
}

Value flipped(Call &c, Value x, int64_t dim) {
  if (!x)
    return x;
  Expr size = sizeOf(x, dim);
  return c.indexSelect(x, c.iota(size, ScalarType::Long, size - 1, -1), dim);
}

Value rot90(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  std::vector<int64_t> dims = c.integers("dims");
  int64_t a = wrapDim(dims[0], rankOf(x)), b = wrapDim(dims[1], rankOf(x));
  int64_t turns = ((c.integer("k").value_or(1) % 4) + 4) % 4;
  Dims strides = layout::preserveStrides(layoutOf(x), c.guards);
  if (turns == 0)
    return c.clone(x, strides);
  if (turns == 2)
    return c.withStrides(flipped(c, flipped(c, x, a), b), strides);
  // One turn: flip the second dim, then swap; three turns: the first one.
  Value side = flipped(c, x, turns == 1 ? b : a);
  return c.transpose(c.withStrides(side, strides), a, b);
}

} // namespace

void addDiagonalRules(RuleTable &table) {
  addRule(table, {"aten.diag_embed.default"}, diagEmbed);
  addRule(table, {"aten.diag.default"}, diag);
  addRule(table, {"aten.diagflat.default"}, diagFlat);
  addRule(table, {"aten.trace.default"}, trace);
  addRule(table, {"aten.tril_indices.default"},
          [](Call &c) { return triangleIndices(c, false); });
  addRule(table, {"aten.triu_indices.default"},
          [](Call &c) { return triangleIndices(c, true); });
  addRule(table, {"aten.rot90.default"}, rot90);
}

} // namespace rtorch::translate
