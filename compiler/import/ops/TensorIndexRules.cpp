// Reading and writing at places that tensors of indices or masks give: x[i, j].
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
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

} // namespace

void addTensorIndexRules(RuleTable &table) {
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
}

} // namespace rtorch::translate
