// Ops that move elements: selections by index, concatenations, padding.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

Value indexSelect(Call &c) {
  Value x = c.tensor("self"), index = c.tensor("index");
  if (!x || !index)
    return {};
  if (rankOf(index) == 0)
    index = c.unsqueeze(index, 0);
  if (rankOf(x) == 0)
    return c.squeeze(c.indexSelect(c.unsqueeze(x, 0), index, 0), {0});
  return c.indexSelect(x, index, c.dim("dim", rankOf(x)));
}

/// All inputs in the dtype that they promote to, without legacy empty 1-D ones.
std::vector<Value> commonInputs(Call &c) {
  std::vector<Value> inputs = c.tensors("tensors"), kept;
  int64_t rank = 0;
  std::optional<ScalarType> dtype;
  for (Value input : inputs) {
    if (!input)
      return {};
    rank = std::max(rank, rankOf(input));
    dtype = dtype ? promoteTypes(*dtype, dtypeOf(input)) : dtypeOf(input);
  }
  for (Value input : inputs)
    if (rankOf(input) == rank || !sizeOf(input, 0).isConstant(0))
      kept.push_back(c.convert(input, *dtype));
  return kept;
}

/// A memory format needs the votes of all inputs, as they are before their promotion.
Value inCommonFormat(Call &c, Value result, llvm::ArrayRef<Value> given) {
  if (!result)
    return result;
  layout::MemoryFormat format =
      layout::suggestMemoryFormat(layoutOf(given.front()), c.guards);
  for (Value input : given.drop_front())
    if (layout::suggestMemoryFormat(layoutOf(input), c.guards) != format)
      format = layout::MemoryFormat::Contiguous;
  return c.withStrides(result, layout::stridesOf(format, sizesOf(result)));
}

Value cat(Call &c) {
  std::vector<Value> inputs = commonInputs(c);
  if (inputs.empty())
    return {};
  Value result = c.cat(inputs, c.dim("dim", rankOf(inputs[0])));
  return inCommonFormat(c, result, c.tensors("tensors"));
}

/// For a dim before the last: a view of the cat with that dim split.
Value stack(Call &c) {
  std::vector<Value> inputs = commonInputs(c);
  if (inputs.empty())
    return {};
  int64_t rank = rankOf(inputs[0]);
  int64_t dim = wrapDim(c.integer("dim").value_or(0), rank + 1);
  if (dim == rank) {
    std::vector<Value> given = c.tensors("tensors");
    for (std::vector<Value> *each : {&inputs, &given})
      for (Value &input : *each)
        input = c.unsqueeze(input, dim);
    return inCommonFormat(c, c.cat(inputs, dim), given);
  }
  Dims sizes = sizesOf(inputs[0]);
  sizes.insert(sizes.begin() + dim, Expr(static_cast<int64_t>(inputs.size())));
  return c.view(c.cat(inputs, dim), sizes);
}

/// Each dim as often as `repeats` says: expanded with a dim before it, copied, merged.
Value repeat(Call &c, Value x, Dims repeats) {
  if (!x)
    return x;
  Dims own = sizesOf(x);
  while (repeats.size() < own.size())
    repeats.insert(repeats.begin(), 1);
  while (own.size() < repeats.size())
    own.insert(own.begin(), 1);
  Dims split, expanded, result;
  for (size_t i = 0; i < own.size(); ++i) {
    split.insert(split.end(), {1, own[i]});
    expanded.insert(expanded.end(), {repeats[i], own[i]});
    result.push_back(repeats[i] * own[i]);
  }
  Value pieces = c.expand(c.reshape(x, split), expanded);
  return c.view(c.cloneRowMajor(pieces), result);
}

/// Each element of a dim `repeats` times in a row.
Value repeatInterleave(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  if (c.isNone("dim"))
    x = c.reshape(x, {layout::numel(sizesOf(x))});
  int64_t dim = c.isNone("dim") ? 0 : c.dim("dim", rankOf(x));
  Expr repeats = *c.expr("repeats");
  Dims sizes = sizesOf(x), expanded = sizes;
  expanded.insert(expanded.begin() + dim + 1, repeats);
  sizes[dim] = sizes[dim] * repeats;
  Value pieces = c.expand(c.unsqueeze(x, dim + 1), expanded);
  return c.view(c.cloneRowMajor(pieces), sizes);
}

/// The dims in reverse order of their indices.
Value flip(Call &c, const std::vector<int64_t> &dims) {
  Value x = c.tensor("self"), result = x;
  if (!x)
    return x;
  for (int64_t dim : dims) {
    dim = wrapDim(dim, rankOf(x));
    Expr size = sizeOf(x, dim);
    result = c.indexSelect(result, c.iota(size, ScalarType::Long, size - 1, -1), dim);
  }
  Dims strides = layout::preserveStrides(layoutOf(x), c.guards);
  return result == x ? c.clone(x, strides) : c.withStrides(result, strides);
}

/// Dims shifted around; dim after dim, each a cat of two slices.
Value rolled(Call &c, Value x, const std::vector<int64_t> &dims, const Dims &shifts) {
  for (size_t i = 0; i < dims.size() && i < shifts.size() && x; ++i) {
    int64_t dim = wrapDim(dims[i], rankOf(x));
    Expr size = sizeOf(x, dim);
    Expr start = layout::mod(size - layout::mod(shifts[i], size), size);
    x = c.cat({c.slice(x, dim, start, size), c.slice(x, dim, 0, start)}, dim);
  }
  return x;
}

Value roll(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  std::vector<int64_t> dims = c.integers("dims");
  Dims sizes = sizesOf(x);
  bool flat = dims.empty();
  if (flat) {
    x = c.reshape(x, {layout::numel(sizes)});
    dims = {0};
  }
  x = rolled(c, x, dims, c.exprs("shifts"));
  return flat ? c.reshape(x, sizes) : x;
}

/// Shifts by half of each size, rounded down, or up for the way back.
Value shiftedByHalf(Call &c, int64_t roundUp) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) == 0)
    return c.cloneRowMajor(x);
  std::vector<int64_t> dims = c.integers("dim");
  if (c.isNone("dim"))
    dims = allDims(rankOf(x));
  Dims shifts;
  for (int64_t dim : dims)
    shifts.push_back(layout::floordiv(sizeOf(x, wrapDim(dim, rankOf(x))) + roundUp, 2));
  return rolled(c, x, dims, shifts);
}

/// A copy of `x` in which the elements that `region` views are those of `src`.
Value scatterView(Call &c, Value x, const layout::Layout &region) {
  Value value = c.tensor("src");
  if (!x || !value)
    return {};
  value = c.convert(value, dtypeOf(x));
  auto type = mlir::TypeAttr::get(rt::TensorType::get(
      c.loc.getContext(), region, rt::tensorType(x).getElementType()));
  Value result = c.compute<rt::ScatterViewOp>(sizesOf(x), dtypeOf(x), x, value, type);
  return c.withStrides(result, c.stridesOfTwin(x));
}

layout::Layout rowMajorOf(Value x) {
  return {sizesOf(x), layout::contiguousStrides(sizesOf(x)), 0};
}

Value sliceScatter(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  return scatterView(c, x,
                     layout::sliceDim(rowMajorOf(x), c.dim("dim", rankOf(x)),
                                      c.expr("start").value_or(0),
                                      c.expr("end").value_or(INT64_MAX),
                                      c.integer("step").value_or(1), c.guards));
}

Value selectScatter(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t dim = c.dim("dim", rankOf(x));
  Expr index = *c.expr("index");
  if (c.guards.less(index, 0))
    index += sizeOf(x, dim);
  return scatterView(c, x, layout::selectIndex(rowMajorOf(x), dim, index));
}

Value diagonalScatter(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  return scatterView(c, x,
                     layout::diagonalOf(rowMajorOf(x), c.integer("offset").value_or(0),
                                        c.dim("dim1", rankOf(x)),
                                        c.dim("dim2", rankOf(x)), c.guards));
}

/// The places of `region` in the memory of `x`, which must be dense in some order of
/// its dims.
Value asStridedScatter(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  layout::Layout memory = layoutOf(x);
  std::vector<int64_t> order = allDims(rankOf(x)), back(order.size());
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    std::optional<int64_t> left = memory.strides[a].constant(),
                           right = memory.strides[b].constant();
    return left && right && *left > *right;
  });
  for (size_t i = 0; i < order.size(); ++i)
    back[order[i]] = i;
  Value dense = c.permute(x, order);
  if (!layout::isContiguous(layoutOf(dense), c.guards)) {
    c.error() << "expects a tensor without gaps, but got " << rt::tensorType(x);
    return {};
  }
  layout::Layout region{c.exprs("size"), c.exprs("stride"), 0};
  if (std::optional<Expr> offset = c.expr("storage_offset"))
    region.offset = *offset - exportedOffset(c, x) - memory.offset;
  return c.withStrides(c.permute(scatterView(c, dense, region), back), memory.strides);
}

/// x[1:] - x[:-1] along a dim, `n` times, after it was extended at both ends.
Value diff(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  int64_t times = c.integer("n").value_or(1);
  if (times == 0)
    return c.clone(x, layout::preserveStrides(layoutOf(x), c.guards));
  int64_t dim = c.dim("dim", rankOf(x));
  Value before = c.optionalTensor("prepend"), after = c.optionalTensor("append");
  if (before || after) {
    std::vector<Value> parts;
    for (Value part : {before, x, after})
      if (part)
        parts.push_back(c.convert(part, dtypeOf(x)));
    x = c.cat(parts, dim);
  }
  for (int64_t i = 0; i < times && x; ++i) {
    Expr size = sizeOf(x, dim);
    Value high = c.slice(x, dim, 1, size);
    Value low = c.slice(x, dim, 0, layout::max(size - 1, 0));
    x = dtypeOf(x) == ScalarType::Bool ? c.binary<rt::BitwiseXorOp>(high, low)
                                       : c.binary<rt::SubOp>(high, low);
  }
  return x;
}

} // namespace

void addIndexingRules(RuleTable &table) {
  addRule(table, {"aten.index_select.default"}, indexSelect);
  addRule(table, {"aten.cat.default", "aten.concat.default"}, cat);
  addRule(table, {"aten.stack.default"}, stack);
  addRule(table, {"aten.repeat.default"},
          [](Call &c) { return repeat(c, c.tensor("self"), c.exprs("repeats")); });
  addRule(table, {"aten.tile.default"},
          [](Call &c) { return repeat(c, c.tensor("self"), c.exprs("dims")); });
  addRule(table, {"aten.repeat_interleave.self_int"}, repeatInterleave);
  addRule(table, {"aten.flip.default"},
          [](Call &c) { return flip(c, c.integers("dims")); });
  addRule(table, {"aten.flipud.default"}, [](Call &c) { return flip(c, {0}); });
  addRule(table, {"aten.fliplr.default"}, [](Call &c) { return flip(c, {1}); });
  addRule(table, {"aten.roll.default"}, roll);
  addRule(table, {"aten.fft_fftshift.default"},
          [](Call &c) { return shiftedByHalf(c, 0); });
  addRule(table, {"aten.fft_ifftshift.default"},
          [](Call &c) { return shiftedByHalf(c, 1); });
  addRule(table, {"aten.slice_scatter.default"}, sliceScatter);
  addRule(table, {"aten.select_scatter.default"}, selectScatter);
  addRule(table, {"aten.diagonal_scatter.default"}, diagonalScatter);
  addRule(table, {"aten.as_strided_scatter.default"}, asStridedScatter);
  addRule(table, {"aten.diff.default"}, diff);
}

} // namespace rtorch::translate
