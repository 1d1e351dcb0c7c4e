// Reading and writing along a dim, at places that a tensor of indices gives.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

/// `result` with the rank of `like`, which may be 0.
Value inRankOf(Call &c, Value result, Value like) {
  return result && like && !rankOf(like) ? c.squeeze(result, {0}) : result;
}

Value gather(Call &c) {
  Value x = c.tensor("self"), index = c.tensor("index");
  if (!x || !index)
    return {};
  if (layout::numel(sizesOf(index)).isConstant(0)) // of any rank, as in eager
    return c.full(Scalar::of(int64_t(0)), dtypeOf(x), sizesOf(index));
  Value result =
      c.gather(atLeast1d(c, x), atLeast1d(c, index), c.dim("dim", rankOf(x)));
  return inRankOf(c, result, index);
}

Value take(Call &c) {
  Value x = flattened(c, c.tensor("self")), index = c.tensor("index");
  return index ? c.index(x, {index}, {0}, 0, true) : index;
}

/// gather for indices that may count from the end.
Value gatherWrapped(Call &c, Value x, Value index, int64_t dim) {
  ScalarType dtype = dtypeOf(index);
  Value zero = c.full(Scalar::of(int64_t(0)), dtype);
  Value wrapped = c.binary<rt::AddOp>(index, c.full(Scalar::of(sizeOf(x, dim)), dtype));
  return c.gather(x, c.where(c.compare<rt::LtOp>(index, zero), wrapped, index), dim);
}

Value takeAlongDim(Call &c) {
  Value x = c.tensor("self"), index = c.tensor("indices");
  if (!x || !index)
    return {};
  if (c.isNone("dim"))
    return c.gather(flattened(c, x), flattened(c, index), 0);
  int64_t dim = c.dim("dim", rankOf(x));
  if (rankOf(index) != rankOf(x)) {
    c.error() << "expects indices of rank " << rankOf(x) << ", but got "
              << rt::tensorType(index);
    return {};
  }
  // All dims but `dim` broadcast.
  Dims left = sizesOf(x), right = sizesOf(index);
  left[dim] = right[dim] = 1;
  std::optional<Dims> common =
      layout::broadcastSizes(std::vector<Dims>{left, right}, c.guards);
  if (!common) {
    c.error() << "cannot broadcast " << rt::tensorType(x) << " and "
              << rt::tensorType(index) << " but for dim " << dim;
    return {};
  }
  left = right = *common;
  left[dim] = sizeOf(x, dim), right[dim] = sizeOf(index, dim);
  return gatherWrapped(c, c.expand(x, left), c.expand(index, right), dim);
}

//===----------------------------------------------------------------------===//
// index_add and kin: slices at one dim's indices
//===----------------------------------------------------------------------===//

struct SliceUpdate {
  Value self, x, index, source;
  int64_t dim = 0;
};

std::optional<SliceUpdate> sliceUpdateOf(Call &c, bool hasSource = true) {
  SliceUpdate u;
  u.self = c.tensor("self");
  u.x = atLeast1d(c, u.self);
  u.index = atLeast1d(c, c.tensor("index"));
  if (!u.x || !u.index)
    return std::nullopt;
  u.dim = c.dim("dim", rankOf(u.x));
  if (hasSource) {
    u.source = atLeast1d(c, c.convert(c.tensor("source"), dtypeOf(u.x)));
    if (!u.source)
      return std::nullopt;
    if (rankOf(u.source) != rankOf(u.x)) {
      c.error() << "expects a source of rank " << rankOf(u.x) << ", but got "
                << rt::tensorType(u.source);
      return std::nullopt;
    }
  }
  return u;
}

Value indexAdd(Call &c) {
  std::optional<SliceUpdate> u = sliceUpdateOf(c);
  if (!u)
    return {};
  Scalar alpha = c.scalar("alpha").value_or(Scalar::of(int64_t(1)));
  if (alpha.constant() != 1.0)
    u->source = c.binary<rt::MulOp>(u->source, c.full(alpha, dtypeOf(u->x)));
  Value result = c.scatter(u->x, {u->index}, u->source, {u->dim}, u->dim, false, "add");
  return rowMajor(c, inRankOf(c, result, u->self));
}

Value indexCopy(Call &c) {
  std::optional<SliceUpdate> u = sliceUpdateOf(c);
  if (!u)
    return {};
  Value result = c.scatter(u->x, {u->index}, u->source, {u->dim}, u->dim, false, "set");
  return rowMajor(c, inRankOf(c, result, u->self));
}

Value indexFill(Call &c) {
  std::optional<SliceUpdate> u = sliceUpdateOf(c, false);
  if (!u)
    return {};
  Value value = c.materialize(c.operand("value"), dtypeOf(u->x));
  Value result = c.scatter(u->x, {u->index}, value, {u->dim}, u->dim, true, "set");
  result = inRankOf(c, result, u->self);
  return result ? c.withStrides(result,
                                layout::preserveStrides(layoutOf(u->self), c.guards))
                : result;
}

//===----------------------------------------------------------------------===//
// scatter and its reductions
//===----------------------------------------------------------------------===//

/// Where updates go: any scatter of the dialect with the indices bound.
using Scatter = std::function<Value(Value source, Value updates, llvm::StringRef how)>;

/// sum, prod, mean, amax or amin of the updates at each place, and of what it held if
/// `includeSelf`.
Value scatterReduce(Call &c, Value x, Value updates, llvm::StringRef reduce,
                    bool includeSelf, const Scatter &scatter) {
  if (!x || !updates)
    return {};
  ScalarType dtype = dtypeOf(x);
  bool mean = reduce == "mean";
  llvm::StringRef how = llvm::StringSwitch<llvm::StringRef>(reduce)
                            .Cases({"sum", "add", "mean"}, "add")
                            .Cases({"prod", "multiply"}, "mul")
                            .Default(reduce);
  Scalar neutral = how == "add"    ? Scalar::of(int64_t(0))
                   : how == "mul"  ? Scalar::of(int64_t(1))
                   : how == "amax" ? lowestOf(dtype)
                                   : highestOf(dtype);
  Value start = includeSelf ? x : scatter(x, c.full(neutral, dtype), "set");
  Value result = scatter(start, updates, how);
  if (!mean || !result)
    return result;
  Value zero = c.full(Scalar::of(int64_t(0)), dtype, sizesOf(x));
  Value one = c.full(Scalar::of(int64_t(1)), dtype);
  Value none = includeSelf ? c.full(Scalar::of(int64_t(1)), dtype, sizesOf(x)) : zero;
  Value count = c.binary<rt::MaximumOp>(scatter(none, one, "add"), one);
  return isFloat(dtype) ? c.binary<rt::DivOp>(result, count)
                        : c.binary<rt::FloorDivideOp>(result, count);
}

struct ScatterCall {
  Value self, x, index, updates;
  int64_t dim = 0;
};

/// The part of the updates that has an index.
std::optional<ScatterCall> scatterCallOf(Call &c) {
  ScatterCall s;
  s.self = c.tensor("self");
  s.x = atLeast1d(c, s.self);
  s.index = atLeast1d(c, c.tensor("index"));
  if (!s.x || !s.index)
    return std::nullopt;
  s.dim = c.dim("dim", rankOf(s.x));
  if (c.node.find("value")) {
    s.updates = c.full(*c.scalar("value"), dtypeOf(s.x));
    return s;
  }
  s.updates = atLeast1d(c, c.tensor("src"));
  if (!s.updates)
    return std::nullopt;
  if (rankOf(s.updates) != rankOf(s.x) || rankOf(s.index) != rankOf(s.x)) {
    c.error() << "expects an index and a source of rank " << rankOf(s.x) << ", but got "
              << rt::tensorType(s.index) << " and " << rt::tensorType(s.updates);
    return std::nullopt;
  }
  for (int64_t dim = 0; dim < rankOf(s.x); ++dim)
    if (sizeOf(s.updates, dim) != sizeOf(s.index, dim))
      s.updates = c.slice(s.updates, dim, 0, sizeOf(s.index, dim));
  return s;
}

Value scatterWith(Call &c, llvm::StringRef reduce, bool includeSelf = true) {
  Value self = c.tensor("self"), index = c.tensor("index");
  if (!self || !index)
    return {};
  if (layout::numel(sizesOf(index)).isConstant(0)) // of any dtype and rank, as in eager
    return c.cloneRowMajor(self);
  std::optional<ScatterCall> s = scatterCallOf(c);
  if (!s)
    return {};
  Scatter scatter = [&](Value source, Value updates, llvm::StringRef how) {
    return c.scatterAlong(source, s->index, updates, s->dim, how);
  };
  Value result = reduce.empty()
                     ? scatter(s->x, s->updates, "set")
                     : scatterReduce(c, s->x, s->updates, reduce, includeSelf, scatter);
  return rowMajor(c, inRankOf(c, result, s->self));
}

Value indexReduce(Call &c) {
  std::optional<SliceUpdate> u = sliceUpdateOf(c);
  if (!u)
    return {};
  Scatter scatter = [&](Value source, Value updates, llvm::StringRef how) {
    return c.scatter(source, {u->index}, updates, {u->dim}, u->dim, false, how);
  };
  Value result = scatterReduce(c, u->x, u->source, c.string("reduce"),
                               c.boolean("include_self", true), scatter);
  return rowMajor(c, inRankOf(c, result, u->self));
}

/// Writes at places of the flattened tensor.
Value put(Call &c) {
  Value x = c.tensor("self"), index = c.tensor("index"), source = c.tensor("source");
  if (!x || !index || !source)
    return {};
  Value result = c.scatter(flattened(c, x), {flattened(c, index)}, flattened(c, source),
                           {0}, 0, true, c.boolean("accumulate") ? "add" : "set");
  return result ? c.withStrides(c.reshape(result, sizesOf(x)),
                                layout::preserveStrides(layoutOf(x), c.guards))
                : result;
}

} // namespace

void addScatterRules(RuleTable &table) {
  addRule(table, {"aten.gather.default"}, gather);
  addRule(table, {"aten.take.default"}, take);
  addRule(table, {"aten.take_along_dim.default"}, takeAlongDim);
  addRule(table, {"aten.index_add.default"}, indexAdd);
  addRule(table, {"aten.index_copy.default"}, indexCopy);
  addRule(table, {"aten.index_fill.int_Scalar", "aten.index_fill.int_Tensor"},
          indexFill);
  addRule(table, {"aten.index_reduce.default"}, indexReduce);
  addRule(table, {"aten.scatter.src", "aten.scatter.value"},
          [](Call &c) { return scatterWith(c, ""); });
  addRule(table, {"aten.scatter.reduce", "aten.scatter.value_reduce"},
          [](Call &c) { return scatterWith(c, c.string("reduce")); });
  addRule(table, {"aten.scatter_add.default"},
          [](Call &c) { return scatterWith(c, "sum"); });
  addRule(table, {"aten.scatter_reduce.two"}, [](Call &c) {
    return scatterWith(c, c.string("reduce"), c.boolean("include_self", true));
  });
  addRule(table, {"aten.put.default"}, put);
}

} // namespace rtorch::translate
