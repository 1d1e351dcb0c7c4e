// Ops that are short compositions of others: stacking, diagonals, distances, products
// of several matrices.
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

Value rowMajor(Call &c, Value x) {
  return x ? c.withStrides(x, layout::contiguousStrides(sizesOf(x))) : x;
}

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

//===----------------------------------------------------------------------===//
// Stacking and splitting
//===----------------------------------------------------------------------===//

Value atLeast1d(Call &c, Value x) { return x && !rankOf(x) ? c.unsqueeze(x, 0) : x; }
Value atLeast2d(Call &c, Value x) {
  x = atLeast1d(c, x);
  return x && rankOf(x) == 1 ? c.unsqueeze(x, 0) : x;
}
Value atLeast3d(Call &c, Value x) {
  x = atLeast2d(c, x);
  return x && rankOf(x) == 2 ? c.unsqueeze(x, 2) : x;
}

using Lift = Value (*)(Call &, Value);

/// cat of all inputs, lifted to a rank first.
Value joined(Call &c, Lift lift, int64_t dim) {
  std::vector<Value> inputs = c.tensors("tensors");
  std::optional<ScalarType> dtype;
  for (Value &input : inputs) {
    input = lift(c, input);
    if (!input)
      return {};
    dtype = dtype ? promoteTypes(*dtype, dtypeOf(input)) : dtypeOf(input);
  }
  if (inputs.empty())
    return {};
  for (Value &input : inputs)
    input = c.convert(input, *dtype);
  return c.cat(inputs, std::min(dim, rankOf(inputs[0]) - 1));
}

/// Vectors as columns beside each other.
Value columnStack(Call &c) {
  return joined(
      c,
      [](Call &c, Value x) {
        x = atLeast1d(c, x);
        return x && rankOf(x) == 1 ? c.unsqueeze(x, 1) : x;
      },
      1);
}

Results lifted(Call &c, Lift lift) {
  std::vector<Value> results;
  for (Value x : c.tensors("tensors"))
    results.push_back(lift(c, x));
  return results;
}

/// Pieces whose sizes differ by at most one.
Results splitEvenly(Call &c, Value x, int64_t dim, int64_t sections) {
  if (!x)
    return mlir::failure();
  std::optional<int64_t> size = sizeOf(x, dim).constant();
  if (!size && !layout::mod(sizeOf(x, dim), sections).isConstant(0)) {
    c.error() << "cannot split a dim of size " << sizeOf(x, dim).str() << " into "
              << sections << " pieces";
    return mlir::failure();
  }
  std::vector<Value> pieces;
  Expr start = 0;
  for (int64_t i = 0; i < sections; ++i) {
    Expr length = size ? Expr(*size / sections + (i < *size % sections))
                       : layout::floordiv(sizeOf(x, dim), sections);
    pieces.push_back(c.slice(x, dim, start, start + length));
    start += length;
  }
  return pieces;
}

Results splitAt(Call &c, Value x, int64_t dim, const Dims &places) {
  if (!x)
    return mlir::failure();
  std::vector<Value> pieces;
  Expr start = 0;
  for (const Expr &end : places) {
    pieces.push_back(c.slice(x, dim, start, end));
    start = end;
  }
  pieces.push_back(c.slice(x, dim, start, sizeOf(x, dim)));
  return pieces;
}

Results tensorSplit(Call &c) {
  Value x = c.tensor("self");
  int64_t dim = x ? c.dim("dim", rankOf(x)) : 0;
  if (c.node.find("sections"))
    return splitEvenly(c, x, dim, *c.integer("sections"));
  return splitAt(c, x, dim, c.exprs("indices"));
}

/// hsplit, vsplit and dsplit; hsplit of a vector splits its only dim.
Results splitAlong(Call &c, int64_t dim) {
  Value x = c.tensor("self");
  if (x)
    dim = std::min(dim, rankOf(x) - 1);
  if (c.node.find("sections"))
    return splitEvenly(c, x, dim, *c.integer("sections"));
  return splitAt(c, x, dim, c.exprs("indices"));
}

Results broadcastTensors(Call &c) {
  std::vector<Value> tensors = c.tensors("tensors");
  for (Value x : tensors)
    if (!x)
      return mlir::failure();
  std::optional<Dims> sizes = c.broadcast(tensors);
  if (!sizes)
    return mlir::failure();
  for (Value &x : tensors)
    x = c.expand(x, *sizes);
  return tensors;
}

/// Each vector along a dim of its own, expanded to all of them.
std::vector<Value> grids(Call &c, std::vector<Value> vectors, bool swapFirst) {
  if (swapFirst && vectors.size() > 1)
    std::swap(vectors[0], vectors[1]);
  Dims sizes;
  for (Value &x : vectors) {
    x = atLeast1d(c, x);
    if (!x)
      return {};
    sizes.push_back(sizeOf(x, 0));
  }
  int64_t rank = vectors.size();
  for (int64_t i = 0; i < rank; ++i) {
    Dims own(rank, 1);
    own[i] = sizes[i];
    vectors[i] = c.expand(c.view(vectors[i], own), sizes);
  }
  if (swapFirst && vectors.size() > 1)
    std::swap(vectors[0], vectors[1]);
  return vectors;
}

Results meshgrid(Call &c) {
  std::vector<Value> results =
      grids(c, c.tensors("tensors"), c.string("indexing") == "xy");
  if (results.empty())
    return mlir::failure();
  return results;
}

Value cartesianProduct(Call &c) {
  std::vector<Value> vectors = c.tensors("tensors");
  if (vectors.size() == 1)
    return vectors[0];
  std::vector<Value> columns = grids(c, std::move(vectors), false);
  for (Value &x : columns) {
    x = c.cloneRowMajor(x);
    x = c.view(x, {layout::numel(sizesOf(x)), 1});
  }
  return columns.empty() ? Value() : c.cat(columns, 1);
}

//===----------------------------------------------------------------------===//
// Diagonals and triangles
//===----------------------------------------------------------------------===//

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

Value blockDiagonal(Call &c) {
  std::vector<Value> blocks = c.tensors("tensors");
  Dims total = {0, 0};
  std::optional<ScalarType> dtype;
  for (Value &block : blocks) {
    block = atLeast2d(c, block);
    if (!block)
      return {};
    dtype = dtype ? promoteTypes(*dtype, dtypeOf(block)) : dtypeOf(block);
    total[1] += sizeOf(block, 1);
  }
  std::vector<Value> rows;
  Expr column = 0;
  for (Value block : blocks) {
    Expr height = sizeOf(block, 0), width = sizeOf(block, 1);
    rows.push_back(c.pad(c.convert(block, *dtype), {0, column}, {height, total[1]},
                         Scalar::of(int64_t(0))));
    column += width;
  }
  return rows.empty() ? Value() : c.cat(rows, 0);
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

//===----------------------------------------------------------------------===//
// Turning
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

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
  auto split = [&](Value x, std::string_view name, bool summedLast) {
    std::vector<int64_t> summed = c.integers(name), kept;
    for (int64_t &dim : summed)
      dim = wrapDim(dim, rankOf(x));
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
    std::vector<int64_t> &second = summedLast ? summed : kept;
    order.insert(order.end(), second.begin(), second.end());
    Value matrix = c.reshape(c.permute(x, order),
                             summedLast ? Dims{rest, count} : Dims{count, rest});
    return std::pair(matrix, sizes);
  };
  auto [left, leftSizes] = split(a, "dims_self", true);
  auto [right, rightSizes] = split(b, "dims_other", false);
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

//===----------------------------------------------------------------------===//
// Norms and distances
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Nearness, membership
//===----------------------------------------------------------------------===//

/// |a - b| <= atol + rtol * |b|, and equal values whatever they are.
Value isClose(Call &c) {
  Value a = c.tensor("self"), b = c.tensor("other");
  if (!a || !b)
    return {};
  Value equal = c.compare<rt::EqOp>(a, b);
  ScalarType dtype = isFloat(dtypeOf(a)) ? dtypeOf(a) : ScalarType::Float;
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
  ScalarType dtype = c.dtype("dtype").value_or(ScalarType::Float);
  ScalarType wide = isFloat(dtype) && !isHalf(dtype) ? dtype : ScalarType::Float;
  Value line = linspace(c, c.materialize(start, wide), c.materialize(end, wide),
                        *c.expr("steps"));
  return c.convert(line, dtype);
}

/// base^start to base^end
Value evenlyScaled(Call &c) {
  Operand start = c.operand("start"), end = c.operand("end");
  ScalarType dtype = c.dtype("dtype").value_or(ScalarType::Float);
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

/// Half of a circle for negative numbers.
Value angle(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  ScalarType dtype = isFloat(dtypeOf(x)) ? dtypeOf(x) : ScalarType::Float;
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
    total = c.convert(total, ScalarType::Float);
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
  addRule(table, {"aten.hstack.default"},
          [](Call &c) { return joined(c, atLeast1d, 1); });
  addRule(table, {"aten.vstack.default", "aten.row_stack.default"},
          [](Call &c) { return joined(c, atLeast2d, 0); });
  addRule(table, {"aten.dstack.default"},
          [](Call &c) { return joined(c, atLeast3d, 2); });
  addRule(table, {"aten.column_stack.default"}, columnStack);
  const std::pair<const char *, Lift> lifts[] = {{"aten.atleast_1d", atLeast1d},
                                                 {"aten.atleast_2d", atLeast2d},
                                                 {"aten.atleast_3d", atLeast3d}};
  for (auto [name, lift] : lifts) {
    addRule(table, {std::string(name) + ".default"},
            [lift](Call &c) { return lift(c, c.tensor("self")); });
    addMultiRule(table, {std::string(name) + ".Sequence"},
                 [lift](Call &c) { return lifted(c, lift); });
  }
  addMultiRule(table, {"aten.tensor_split.sections", "aten.tensor_split.indices"},
               tensorSplit);
  const std::pair<const char *, int64_t> splits[] = {
      {"aten.vsplit", 0}, {"aten.hsplit", 1}, {"aten.dsplit", 2}};
  for (auto [name, dim] : splits)
    for (const char *overload : {".int", ".array"})
      addMultiRule(table, {std::string(name) + overload},
                   [dim](Call &c) { return splitAlong(c, dim); });
  addMultiRule(table, {"aten.broadcast_tensors.default"}, broadcastTensors);
  addMultiRule(table, {"aten.meshgrid.default", "aten.meshgrid.indexing"}, meshgrid);
  addRule(table, {"aten.cartesian_prod.default"}, cartesianProduct);

  addRule(table, {"aten.diag_embed.default"}, diagEmbed);
  addRule(table, {"aten.diag.default"}, diag);
  addRule(table, {"aten.diagflat.default"}, diagFlat);
  addRule(table, {"aten.trace.default"}, trace);
  addRule(table, {"aten.block_diag.default"}, blockDiagonal);
  addRule(table, {"aten.tril_indices.default"},
          [](Call &c) { return triangleIndices(c, false); });
  addRule(table, {"aten.triu_indices.default"},
          [](Call &c) { return triangleIndices(c, true); });
  addRule(table, {"aten.rot90.default"}, rot90);

  addRule(table, {"aten.addbmm.default"}, addBatchedProduct);
  addRule(table, {"aten.addr.default"}, addOuterProduct);
  addRule(table, {"aten.chain_matmul.default"},
          [](Call &c) { return product(c, c.tensors("matrices")); });
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

  addRule(table, {"aten.cosine_similarity.default"}, cosineSimilarity);
  addRule(table, {"aten.pairwise_distance.default"}, [](Call &c) {
    return pairwiseDistance(c, c.tensor("x1"), c.tensor("x2"), c.real("p").value_or(2),
                            c.real("eps").value_or(1e-6), c.boolean("keepdim"));
  });
  addRule(table, {"aten.cdist.default", "aten._cdist_forward.default"}, pairDistances);
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
  addRule(table, {"aten.angle.default"}, angle);
  addRule(table, {"aten.isreal.default"}, [](Call &c) -> Value {
    Value x = c.tensor("self");
    return x ? c.full(Scalar::of(true), ScalarType::Bool, sizesOf(x)) : x;
  });
  addRule(table, {"aten.sum_to_size.default"}, sumToSize);
}

} // namespace rtorch::translate
