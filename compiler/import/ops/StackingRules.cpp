// Stacking, splitting and grids of tensors.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value atLeast2d(Emitter &c, Value x) {
  x = atLeast1d(c, x);
  return x && rankOf(x) == 1 ? c.unsqueeze(x, 0) : x;
}
Value atLeast3d(Emitter &c, Value x) {
  x = atLeast2d(c, x);
  return x && rankOf(x) == 2 ? c.unsqueeze(x, 2) : x;
}

using Lift = Value (*)(Emitter &, Value);

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
      [](Emitter &c, Value x) {
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

} // namespace

void addStackingRules(RuleTable &table) {
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
  addRule(table, {"aten.block_diag.default"}, blockDiagonal);
}

} // namespace rtorch::translate
