// Products of several matrices, and those that are sums of others.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {

namespace {

Value scaled(Call &c, Value x, std::string_view factor) {
  std::optional<Scalar> number = c.scalar(factor);
  return !x || !number || number->constant() == 1.0
             ? x
             : c.binary<rt::MulOp>(x, c.full(*number, dtypeOf(x)));
}

/// beta * self + alpha * product; with beta = 0 not even NaN of self counts.
Value addTo(Call &c, Value self, Value product) {
  product = scaled(c, product, "alpha");
  if (c.scalar("beta") && c.scalar("beta")->constant() == 0.0)
    return product;
  return c.binary<rt::AddOp>(scaled(c, self, "beta"), product);
}

/// The sum over a batch of products, added to self.
Value addBatchedProduct(Call &c) {
  Value self = c.tensor("self");
  Value product = c.matmul(c.tensor("batch1"), c.tensor("batch2"));
  if (!self || !product)
    return {};
  return rowMajor(c, addTo(c, self, c.reduce<rt::SumOp>(product, {0}, false)));
}

Value addOuterProduct(Call &c) {
  Value self = c.tensor("self"), column = c.tensor("vec1"), row = c.tensor("vec2");
  if (!self || !column || !row)
    return {};
  return addTo(c, self, c.binary<rt::MulOp>(c.unsqueeze(column, 1), row));
}

/// Products from the left; a vector at either end drops its dim.
Value product(Call &c, std::vector<Value> factors) {
  if (factors.empty() || !llvm::all_of(factors, [](Value v) { return bool(v); }))
    return {};
  bool isRow = rankOf(factors.front()) == 1, isColumn = rankOf(factors.back()) == 1;
  if (isRow)
    factors.front() = c.unsqueeze(factors.front(), 0);
  if (isColumn)
    factors.back() = c.unsqueeze(factors.back(), 1);
  Value result = factors.front();
  for (Value factor : llvm::drop_begin(factors))
    result = c.matmul(result, factor);
  if (!result || (!isRow && !isColumn))
    return result;
  Dims sizes;
  if (!isRow)
    sizes.push_back(sizeOf(result, 0));
  if (!isColumn)
    sizes.push_back(sizeOf(result, 1));
  return c.view(result, sizes);
}

Value matrixPower(Call &c) {
  Value x = c.tensor("self");
  int64_t n = c.integer("n").value_or(0);
  if (!x)
    return x;
  if (n < 0) {
    c.error() << "negative powers of matrices are not supported";
    return {};
  }
  if (n == 0) {
    Value size = c.iota(sizeOf(x, rankOf(x) - 1));
    Value identity = c.compare<rt::EqOp>(size, c.unsqueeze(size, 1));
    return c.cloneRowMajor(c.expand(c.convert(identity, dtypeOf(x)), sizesOf(x)));
  }
  Value result;
  for (Value factor = x; n; n >>= 1) {
    if (n & 1)
      result = result ? c.matmul(result, factor) : factor;
    if (n > 1)
      factor = c.matmul(factor, factor);
  }
  return result == x ? c.cloneRowMajor(x) : result;
}

/// Sums of products over pairs of dims.
Value tensorDot(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  // A size of 1 stands for any: the other tensor's elements are added up before.
  std::vector<int64_t> ofLeft = c.integers("dims_self"),
                       ofRight = c.integers("dims_other");
  for (auto [i, j] : llvm::zip(ofLeft, ofRight)) {
    i = wrapDim(i, rankOf(a)), j = wrapDim(j, rankOf(b));
    bool isOne = sizeOf(a, i).isConstant(1), otherIsOne = sizeOf(b, j).isConstant(1);
    if (isOne && !otherIsOne)
      b = c.reduce<rt::SumOp>(b, {j}, true);
    else if (otherIsOne && !isOne)
      a = c.reduce<rt::SumOp>(a, {i}, true);
  }
  auto split = [&](Value x, const std::vector<int64_t> &summed, bool summedLast) {
    std::vector<int64_t> kept;
    for (int64_t dim = 0; dim < rankOf(x); ++dim)
      if (!llvm::is_contained(summed, dim))
        kept.push_back(dim);
    Expr count = 1, rest = 1;
    Dims sizes;
    for (int64_t dim : summed)
      count *= sizeOf(x, dim);
    for (int64_t dim : kept) {
      rest *= sizeOf(x, dim);
      sizes.push_back(sizeOf(x, dim));
    }
    std::vector<int64_t> order = summedLast ? kept : summed;
    const std::vector<int64_t> &second = summedLast ? summed : kept;
    order.insert(order.end(), second.begin(), second.end());
    Value matrix = c.reshape(c.permute(x, order),
                             summedLast ? Dims{rest, count} : Dims{count, rest});
    return std::pair(matrix, sizes);
  };
  auto [left, leftSizes] = split(a, ofLeft, true);
  auto [right, rightSizes] = split(b, ofRight, false);
  leftSizes.insert(leftSizes.end(), rightSizes.begin(), rightSizes.end());
  return c.reshape(c.matmul(left, right), leftSizes);
}

/// The sum of products along the last dims.
Value inner(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  if (rankOf(a) == 0 || rankOf(b) == 0)
    return c.binary<rt::MulOp>(a, b);
  Dims sizes = sizesOf(a), right = sizesOf(b);
  Expr k = sizes.back();
  sizes.pop_back(), right.pop_back();
  Value lhs = c.reshape(a, {layout::numel(sizes), k});
  Value rhs = c.transpose(c.reshape(b, {layout::numel(right), k}), 0, 1);
  sizes.insert(sizes.end(), right.begin(), right.end());
  return c.reshape(c.matmul(lhs, rhs), sizes);
}

Value kroneckerProduct(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  ScalarType dtype = resultType({{a, {}}, {b, {}}});
  a = c.convert(a, dtype), b = c.convert(b, dtype);
  int64_t rank = std::max(rankOf(a), rankOf(b));
  while (rankOf(a) < rank)
    a = c.unsqueeze(a, 0);
  while (rankOf(b) < rank)
    b = c.unsqueeze(b, 0);
  Dims sizes;
  for (int64_t dim = 0; dim < rank; ++dim) {
    sizes.push_back(sizeOf(a, dim) * sizeOf(b, dim));
  }
  for (int64_t dim = 0; dim < rank; ++dim) {
    a = c.unsqueeze(a, 2 * dim + 1);
    b = c.unsqueeze(b, 2 * dim);
  }
  return c.reshape(c.binary<rt::MulOp>(a, b), sizes);
}

/// a x b along a dim of size 3.
Value cross(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  std::optional<Dims> sizes = c.broadcast({a, b});
  if (!sizes)
    return {};
  a = c.expand(a, *sizes), b = c.expand(b, *sizes);
  int64_t dim = rankOf(a) - 1;
  if (!c.isNone("dim"))
    dim = c.dim("dim", rankOf(a));
  else if (c.node.op == "aten.cross.default") // the first one of size 3
    for (dim = 0; dim + 1 < rankOf(a) && !sizeOf(a, dim).isConstant(3);)
      ++dim;
  auto rolled = [&](Value x, int64_t by) {
    return c.cat({c.slice(x, dim, by, 3), c.slice(x, dim, 0, by)}, dim);
  };
  Value result = c.binary<rt::SubOp>(c.binary<rt::MulOp>(rolled(a, 1), rolled(b, 2)),
                                     c.binary<rt::MulOp>(rolled(a, 2), rolled(b, 1)));
  return rowMajor(c, result);
}

} // namespace

void addProductRules(RuleTable &table) {
  addRule(table, {"aten.addbmm.default"}, addBatchedProduct);
  addRule(table, {"aten.addr.default"}, addOuterProduct);
  addRule(table, {"aten.chain_matmul.default"}, [](Call &c) {
    std::vector<Value> matrices = c.tensors("matrices");
    return matrices.size() == 1 ? c.cloneRowMajor(matrices[0]) : product(c, matrices);
  });
  addRule(table, {"aten.linalg_multi_dot.default"},
          [](Call &c) { return product(c, c.tensors("tensors")); });
  addRule(table, {"aten.linalg_matrix_power.default", "aten.matrix_power.default"},
          matrixPower);
  addRule(table, {"aten.tensordot.default"}, tensorDot);
  addRule(table, {"aten.inner.default"}, inner);
  addRule(table, {"aten.kron.default"}, kroneckerProduct);
  addRule(table, {"aten.cross.default", "aten.linalg_cross.default"}, cross);
  addRule(table, {"aten.linalg_vecdot.default"}, [](Call &c) -> Value {
    Value x = c.tensor("x");
    Value products = c.binary<rt::MulOp>(x, c.tensor("y"));
    return products
               ? c.reduce<rt::SumOp>(products, {c.dim("dim", rankOf(products))}, false)
               : products;
  });
}

} // namespace rtorch::translate
