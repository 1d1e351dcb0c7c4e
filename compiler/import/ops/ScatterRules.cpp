// Reading and writing at places that tensors of indices give.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>

namespace rtorch::translate {

Scalar lowestOf(ScalarType dtype) {
  switch (dtype) {
  case ScalarType::Char:
    return Scalar::of(int64_t(INT8_MIN));
  case ScalarType::Short:
    return Scalar::of(int64_t(INT16_MIN));
  case ScalarType::Int:
    return Scalar::of(int64_t(INT32_MIN));
  case ScalarType::Long:
    return Scalar::of(int64_t(INT64_MIN));
  default:
    return isFloat(dtype) ? Scalar::of(-INFINITY) : Scalar::of(int64_t(0));
  }
}

Scalar highestOf(ScalarType dtype) {
  switch (dtype) {
  case ScalarType::Byte:
    return Scalar::of(int64_t(UINT8_MAX));
  case ScalarType::Char:
    return Scalar::of(int64_t(INT8_MAX));
  case ScalarType::Short:
    return Scalar::of(int64_t(INT16_MAX));
  case ScalarType::Int:
    return Scalar::of(int64_t(INT32_MAX));
  case ScalarType::Long:
    return Scalar::of(int64_t(INT64_MAX));
  default:
    return isFloat(dtype) ? Scalar::of(INFINITY) : Scalar::of(true);
  }
}

namespace {

/// The tensors that index dims, in order; null for None.
using IndexList = std::vector<Value>;

/// Which dims are indexed, by what, and where the indices' dims stand in the result:
/// in place if the indexed dims are neighbours, else in front.
struct Indexing {
  std::vector<int64_t> dims;
  std::vector<Value> indices;
  int64_t position = 0;
};

std::optional<Indexing> indexingOf(Call &c, Value x, const IndexList &list) {
  Indexing result;
  for (auto [dim, index] : llvm::enumerate(list)) {
    if (!index)
      continue;
    if (static_cast<int64_t>(dim) >= rankOf(x)) {
      c.error() << "too many indices for " << rt::tensorType(x);
      return std::nullopt;
    }
    result.dims.push_back(dim);
    result.indices.push_back(index);
  }
  bool adjacent =
      !result.dims.empty() && result.dims.back() - result.dims.front() + 1 ==
                                  static_cast<int64_t>(result.dims.size());
  result.position = adjacent ? result.dims.front() : 0;
  return result;
}

/// An index as eager's iteration sees it: broadcast against the others, as int64, and
/// reshaped so that it has a dim for each dim of the result. The strides that such a
/// view gives dims of size 1 take part in the order of the result's dims.
layout::Layout alignedIndex(Call &c, Value index, const Dims &common, size_t before,
                            size_t after) {
  layout::Layout layout = *layout::expandTo(layoutOf(index), common, c.guards);
  if (dtypeOf(index) != ScalarType::Long)
    layout.strides = layout::preserveStrides(layout, c.guards);
  Dims sizes(before, 1);
  sizes.insert(sizes.end(), common.begin(), common.end());
  sizes.insert(sizes.end(), after, 1);
  return *layout::viewAs(layout, sizes, c.guards);
}

/// Eager's strides: the pointwise rule, with x at stride 0 where it is indexed.
Dims indexStrides(Call &c, Value x, const Indexing &at, const Dims &sizes) {
  size_t rank = sizes.size() - rankOf(x) + at.dims.size();
  size_t before = at.position, after = sizes.size() - before - rank;
  layout::Layout source{sizes, {}, 0};
  for (int64_t dim = 0; dim < rankOf(x); ++dim)
    if (!llvm::is_contained(at.dims, dim))
      source.strides.push_back(layoutOf(x).strides[dim]);
  source.strides.insert(source.strides.begin() + before, rank, Expr(0));
  Dims common(sizes.begin() + before, sizes.begin() + before + rank);
  std::vector<layout::Layout> operands{source};
  for (Value index : at.indices)
    operands.push_back(alignedIndex(c, index, common, before, after));
  return layout::pointwiseStrides(sizes, operands, c.guards);
}

/// x[..., i, ...]; negative indices count from the end.
Value index(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  std::optional<Indexing> at = indexingOf(c, x, c.optionalTensors("indices"));
  if (!at)
    return {};
  if (at->dims.empty())
    return c.clone(x, layout::preserveStrides(layoutOf(x), c.guards));
  Value result = c.index(x, at->indices, at->dims, at->position, true);
  return result ? c.withStrides(result, indexStrides(c, x, *at, sizesOf(result)))
                : result;
}

/// The mask that is the only index of the node, and the dim it begins at.
std::optional<std::pair<Value, int64_t>> onlyMask(const IndexList &list) {
  std::optional<std::pair<Value, int64_t>> mask;
  int64_t dim = 0;
  for (Value index : list) {
    if (!index) {
      ++dim;
      continue;
    }
    if (mask || dtypeOf(index) != ScalarType::Bool)
      return std::nullopt;
    mask = {index, dim};
    dim += rankOf(index);
  }
  return mask;
}

enum class Masks { Refused, OneValue };

/// Indexing by masks gives sizes that depend on data; writing one value does not.
std::string refuseMasks(const importer::Graph &graph, const importer::Node &node,
                        Masks masks) {
  bool anyMask = false, anyIndex = false;
  for (importer::ValueId id : referencesOf(*node.find("indices"))) {
    const importer::TensorMeta *meta = graph.value(id).tensor();
    if (!meta || meta->dtype == ScalarType::Bool || meta->dtype == ScalarType::Byte)
      anyMask = true;
    else
      anyIndex = true;
  }
  if (!anyMask)
    return {};
  if (masks == Masks::OneValue && !anyIndex)
    return {};
  return "indexing by a mask is not supported: the result's size depends on data";
}

/// x[mask] = values, for values that do not depend on how many elements are chosen.
Value putMasked(Call &c, Value x, Value mask, int64_t dim, Value values, bool add) {
  int64_t after = rankOf(x) - dim - rankOf(mask);
  if (rankOf(values) > after) {
    int64_t chosen = rankOf(values) - after - 1;
    if (!c.guards.equal(sizeOf(values, chosen), 1)) {
      c.error()
          << "indexing by a mask needs one value for all chosen elements, but got "
          << rt::tensorType(values);
      return {};
    }
    for (int64_t i = 1; i < rankOf(mask); ++i)
      values = c.unsqueeze(values, chosen);
  }
  for (int64_t i = 0; i < after; ++i)
    mask = c.unsqueeze(mask, rankOf(mask));
  if (add)
    values = c.binary<rt::AddOp>(x, values);
  return c.where(mask, values, x);
}

Value indexPut(Call &c) {
  Value x = c.tensor("self"), values = c.tensor("values");
  if (!x || !values)
    return {};
  IndexList list = c.optionalTensors("indices");
  bool accumulate = c.boolean("accumulate");
  values = c.convert(values, dtypeOf(x));
  Value result;
  if (auto mask = onlyMask(list)) {
    result = putMasked(c, x, mask->first, mask->second, values, accumulate);
  } else {
    std::optional<Indexing> at = indexingOf(c, x, list);
    if (!at)
      return {};
    result = c.scatter(x, at->indices, values, at->dims, at->position, true,
                       accumulate ? "add" : "set");
  }
  return result ? c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards))
                : result;
}

/// The indices, clamped to the dims that they index: PyTorch's "unsafe" ops take any
/// where the mask does not hold. The mask is one of the result, not of the indices.
IndexList clampedIndices(Call &c, Value x) {
  IndexList list = c.optionalTensors("indices");
  for (auto [dim, index] : llvm::enumerate(list)) {
    if (!index || static_cast<int64_t>(dim) >= rankOf(x))
      continue;
    ScalarType dtype = dtypeOf(index);
    Expr size = sizeOf(x, dim);
    index = c.binary<rt::MaximumOp>(index, c.full(Scalar::of(Expr(0) - size), dtype));
    index = c.binary<rt::MinimumOp>(index, c.full(Scalar::of(size - 1), dtype));
  }
  return list;
}

Value maskedIndex(Call &c) {
  Value x = c.tensor("self"), mask = c.tensor("mask");
  if (!x || !mask)
    return {};
  std::optional<Indexing> at = indexingOf(c, x, clampedIndices(c, x));
  if (!at)
    return {};
  Value found = c.index(x, at->indices, at->dims, at->position, true);
  return c.where(mask, found, c.full(*c.scalar("fill"), dtypeOf(x)));
}

Value maskedPutAccumulate(Call &c) {
  Value x = c.tensor("self"), mask = c.tensor("mask"), values = c.tensor("values");
  if (!x || !mask || !values)
    return {};
  std::optional<Indexing> at = indexingOf(c, x, clampedIndices(c, x));
  if (!at)
    return {};
  values = c.where(mask, values, c.number(0, dtypeOf(values)));
  return c.scatter(x, at->indices, values, at->dims, at->position, true, "add");
}

//===----------------------------------------------------------------------===//
// gather, take
//===----------------------------------------------------------------------===//

/// A tensor of rank 0 counts as one of rank 1.
Value atLeast1d(Call &c, Value x) { return x && !rankOf(x) ? c.unsqueeze(x, 0) : x; }

/// `result` with the rank of `like`, which may be 0.
Value inRankOf(Call &c, Value result, Value like) {
  return result && like && !rankOf(like) ? c.squeeze(result, {0}) : result;
}

Value flattened(Call &c, Value x) {
  return x ? c.reshape(x, {layout::numel(sizesOf(x))}) : x;
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

/// The elements of `source` one after the other where the mask holds.
Value maskedScatter(Call &c) {
  Value x = c.tensor("self"), mask = c.tensor("mask");
  Value source = flattened(c, c.tensor("source"));
  if (!x || !mask || !source)
    return {};
  std::optional<Dims> sizes = c.broadcast({x, mask});
  if (!sizes)
    return {};
  x = c.expand(x, *sizes);
  mask = c.expand(mask, *sizes);
  Value flat = c.convert(flattened(c, mask), ScalarType::Long);
  Value one = c.number(1, ScalarType::Long), zero = c.number(0, ScalarType::Long);
  Value place = c.binary<rt::SubOp>(c.scan(flat, 0, "add"), one);
  place = c.reshape(c.binary<rt::MaximumOp>(place, zero), *sizes);
  return rowMajor(c, c.where(mask, c.index(source, {place}, {0}, 0, false), x));
}

/// For each element of a flat mask: how many true ones come before it, but `past` where
/// the mask does not hold.
Value placesOfTrue(Call &c, Value flat, const Expr &past) {
  Value counts = c.scan(c.convert(flat, ScalarType::Long), 0, "add");
  Value place = c.binary<rt::SubOp>(counts, c.number(1, ScalarType::Long));
  return c.where(flat, place, c.full(Scalar::of(past), ScalarType::Long));
}

/// The first `count` of the values at these places of a flat tensor; those at `count`
/// and beyond are dropped, and what has no value is `fill`.
Value packed(Call &c, Value values, Value places, const Expr &count, Scalar fill) {
  if (!values || !places)
    return {};
  places = c.binary<rt::MinimumOp>(places, c.full(Scalar::of(count), ScalarType::Long));
  Value start = c.full(fill, dtypeOf(values), {count + 1}); // the last is for the rest
  Value all = c.scatter(start, {places}, values, {0}, 0, false, "set");
  return all ? c.slice(all, 0, 0, count) : all;
}

/// The gradients of the elements that masked_scatter took, then zeros.
Value maskedScatterBackward(Call &c) {
  Value g = c.tensor("grad_output"), mask = c.tensor("mask");
  if (!g || !mask)
    return {};
  std::optional<Dims> common = c.broadcast({g, mask});
  if (!common)
    return {};
  Value flat = flattened(c, c.expand(mask, *common));
  Dims sizes = c.exprs("sizes");
  Expr count = layout::numel(sizes);
  Value taken = packed(c, flattened(c, c.expand(g, *common)),
                       placesOfTrue(c, flat, count), count, Scalar::of(int64_t(0)));
  return taken ? c.cloneRowMajor(c.reshape(taken, sizes)) : taken;
}

/// The places of the first `size` elements that are not zero, one a row; rows of
/// `fill_value` where there are fewer.
Value nonzeroStatic(Call &c) {
  Value x = c.tensor("self");
  std::optional<Expr> size = c.expr("size");
  if (!x || !size)
    return {};
  int64_t rank = rankOf(x);
  ScalarType dtype = ScalarType::Long;
  if (rank == 0)
    return c.full(Scalar::of(int64_t(0)), dtype, {*size, 0});
  Scalar fill = Scalar::of(c.integer("fill_value").value_or(-1));
  Value mask =
      flattened(c, c.compare<rt::NeOp>(x, c.full(Scalar::of(int64_t(0)), dtypeOf(x))));
  Value places = mask ? placesOfTrue(c, mask, *size) : mask;
  std::vector<Value> columns;
  for (int64_t dim = 0; dim < rank && places; ++dim) {
    Value own = c.expand(c.countAlong(sizeOf(x, dim), dim, rank), sizesOf(x));
    Value column = packed(c, flattened(c, own), places, *size, fill);
    columns.push_back(column ? c.unsqueeze(column, 1) : column);
  }
  return columns.empty() ? Value() : c.cat(columns, 1);
}

/// Each index of `repeats` as often as it says, in a tensor of `count` elements.
Value repeatedIndices(Call &c, Value repeats, const Expr &count) {
  Value ends = c.scan(c.convert(repeats, ScalarType::Long), 0, "add");
  Value zeros = c.full(Scalar::of(int64_t(0)), ScalarType::Long, {count + 1});
  Value marks =
      c.scatter(zeros, {ends}, c.number(1, ScalarType::Long), {0}, 0, false, "add");
  return marks ? c.slice(c.scan(marks, 0, "add"), 0, 0, count) : marks;
}

/// How many elements repeat_interleave gives: told, or the repeats of a dim of one.
std::optional<Expr> repeatedSize(Call &c) {
  std::optional<Expr> count = c.expr("output_size");
  if (!count)
    c.error() << "repeat_interleave with a tensor of repeats needs output_size: the "
                 "result's size depends on data";
  return count;
}

Value repeatInterleaveTensor(Call &c) {
  Value repeats = c.tensor("repeats");
  std::optional<Expr> count = repeatedSize(c);
  return repeats && count ? rowMajor(c, repeatedIndices(c, repeats, *count)) : Value();
}

Value repeatInterleaveSelf(Call &c) {
  Value x = c.tensor("self"), repeats = c.tensor("repeats");
  std::optional<Expr> count = repeatedSize(c);
  if (!x || !repeats || !count)
    return {};
  if (c.isNone("dim"))
    x = flattened(c, x);
  x = atLeast1d(c, x);
  int64_t dim = c.isNone("dim") ? 0 : c.dim("dim", rankOf(x));
  repeats = c.expand(atLeast1d(c, repeats), {sizeOf(x, dim)});
  return c.indexSelect(x, repeatedIndices(c, repeats, *count), dim);
}

std::string refuseUnknownRepeats(const importer::Graph &, const importer::Node &node) {
  const importer::Argument *size = node.find("output_size");
  if (size && !std::holds_alternative<importer::None>(*size))
    return {};
  return "without output_size the result's size depends on data";
}

//===----------------------------------------------------------------------===//
// Bags of embeddings
//===----------------------------------------------------------------------===//

/// Sum, mean or largest of the rows of each bag; bags begin at `offsets`.
Value embeddingBag(Call &c) {
  Value weight = c.tensor("weight"), indices = flattened(c, c.tensor("indices"));
  Value offsets = c.tensor("offsets"), factors = c.optionalTensor("per_sample_weights");
  if (!weight || !indices || !offsets)
    return {};
  constexpr int64_t kSum = 0, kMean = 1, kMax = 2;
  int64_t mode = c.integer("mode").value_or(kSum);
  Expr count = sizeOf(indices, 0), bags = sizeOf(offsets, 0);
  if (c.boolean("include_last_offset"))
    bags = bags - 1;
  offsets = c.slice(c.convert(offsets, ScalarType::Long), 0, 0, bags);
  // The bag of an index: how many bags begin at it or before, less one.
  Value one = c.number(1, ScalarType::Long);
  Value marks = c.scatter(c.full(Scalar::of(int64_t(0)), ScalarType::Long, {count + 1}),
                          {offsets}, one, {0}, 0, false, "add");
  Value bag = c.binary<rt::SubOp>(c.slice(c.scan(marks, 0, "add"), 0, 0, count), one);
  Value rows = c.indexSelect(weight, indices, 0);
  ScalarType dtype = dtypeOf(weight);
  if (factors)
    rows = c.binary<rt::MulOp>(rows, c.unsqueeze(c.convert(factors, dtype), 1));
  if (!rows || !bag)
    return {};
  Value counted = c.full(Scalar::of(int64_t(1)), dtype, {count});
  // The public op counts negative rows from the end; the others take them for none.
  int64_t padding = c.integer("padding_idx").value_or(-1);
  bool isPublic = llvm::StringRef(c.node.op).starts_with("aten.embedding_bag.");
  bool pads = !c.isNone("padding_idx") && (isPublic || padding >= 0);
  Scalar neutral = mode == kMax ? lowestOf(dtype) : Scalar::of(int64_t(0));
  if (pads) {
    Expr at = padding < 0 ? sizeOf(weight, 0) + padding : Expr(padding);
    Value isPadding = c.compare<rt::EqOp>(c.convert(indices, ScalarType::Long),
                                          c.full(Scalar::of(at), ScalarType::Long));
    rows = c.where(c.unsqueeze(isPadding, 1), c.full(neutral, dtype), rows);
    counted = c.where(isPadding, c.number(0, dtype), counted);
  }
  Value start = c.full(neutral, dtype, {bags, sizeOf(weight, 1)});
  Value result =
      c.scatter(start, {bag}, rows, {0}, 0, false, mode == kMax ? "amax" : "add");
  if (mode == kSum)
    return result;
  Value size = c.scatter(c.full(Scalar::of(int64_t(0)), dtype, {bags}), {bag}, counted,
                         {0}, 0, false, "add");
  size = size ? c.unsqueeze(size, 1) : size;
  if (mode == kMean)
    return c.binary<rt::DivOp>(result,
                               c.binary<rt::MaximumOp>(size, c.number(1, dtype)));
  return c.where(c.compare<rt::GtOp>(size, c.number(0, dtype)), result,
                 c.number(0, dtype));
}

Results embeddingBags(Call &c) {
  for (size_t i = 1; i < 4; ++i)
    if (c.isUsed(i)) {
      c.error() << "only the first result of embedding_bag is supported";
      return mlir::failure();
    }
  Value result = embeddingBag(c);
  if (!result)
    return mlir::failure();
  return std::vector<Value>{result, Value(), Value(), Value()};
}

//===----------------------------------------------------------------------===//
// Places in sorted sequences
//===----------------------------------------------------------------------===//

/// How many elements of each sorted line lie before the value: all that are smaller,
/// and with `right` those that are equal. NaN lies behind everything.
Value placeIn(Call &c, Value line, Operand value, bool right) {
  if (!line)
    return line;
  ScalarType common = resultType({{line, {}}, value});
  Value x = c.materialize(value, common);
  line = c.convert(line, common);
  if (!x)
    return x;
  if (rankOf(line) > 1)
    line = c.unsqueeze(line, rankOf(line) - 1);
  x = c.unsqueeze(x, rankOf(x));
  Value behind = right ? c.compare<rt::GtOp>(line, x) : c.compare<rt::GeOp>(line, x);
  Value before = c.convert(c.unary<rt::LogicalNotOp>(behind), ScalarType::Long);
  if (!before)
    return before;
  Value count = c.reduce<rt::SumOp>(before, {rankOf(before) - 1}, false);
  return c.convert(count, c.boolean("out_int32") ? ScalarType::Int : ScalarType::Long);
}

Value searchSorted(Call &c) {
  Value line = c.tensor("sorted_sequence");
  if (Value sorter = c.optionalTensor("sorter"); sorter && line)
    line = c.gather(line, sorter, rankOf(line) - 1);
  bool right = c.boolean("right") || c.string("side") == "right";
  return placeIn(c, line, c.operand("self"), right);
}

} // namespace

void addScatterRules(RuleTable &table) {
  for (llvm::StringRef op : {"aten.index.Tensor", "aten._unsafe_index.Tensor"}) {
    addRule(table, {op}, index);
    table[op].refuse = [](const importer::Graph &graph, const importer::Node &node) {
      return refuseMasks(graph, node, Masks::Refused);
    };
  }
  for (llvm::StringRef op : {"aten.index_put.default", "aten._unsafe_index_put.default",
                             "aten._index_put_impl.default"}) {
    addRule(table, {op}, indexPut);
    table[op].refuse = [](const importer::Graph &graph, const importer::Node &node) {
      return refuseMasks(graph, node, Masks::OneValue);
    };
  }
  addRule(table, {"aten._unsafe_masked_index.default"}, maskedIndex);
  addRule(table, {"aten._unsafe_masked_index_put_accumulate.default"},
          maskedPutAccumulate);
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
  addRule(table, {"aten.masked_scatter.default"}, maskedScatter);
  addRule(table, {"aten.masked_scatter_backward.default"}, maskedScatterBackward);
  addRule(table, {"aten.nonzero_static.default"}, nonzeroStatic);
  addRule(table, {"aten.repeat_interleave.Tensor"}, repeatInterleaveTensor);
  addRule(table, {"aten.repeat_interleave.self_Tensor"}, repeatInterleaveSelf);
  for (llvm::StringRef op :
       {"aten.repeat_interleave.Tensor", "aten.repeat_interleave.self_Tensor"})
    table[op].refuse = refuseUnknownRepeats;
  addMultiRule(table,
               {"aten.embedding_bag.default", "aten.embedding_bag.padding_idx",
                "aten._embedding_bag.default",
                "aten._embedding_bag_forward_only.default"},
               embeddingBags);
  addRule(table, {"aten.bucketize.Tensor", "aten.bucketize.Scalar"}, [](Call &c) {
    return placeIn(c, c.tensor("boundaries"), c.operand("self"), c.boolean("right"));
  });
  addRule(table, {"aten.searchsorted.Tensor", "aten.searchsorted.Scalar"},
          searchSorted);
}

} // namespace rtorch::translate
