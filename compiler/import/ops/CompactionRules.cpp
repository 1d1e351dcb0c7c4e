// Ops whose places are counted: elements where a mask holds, and repeats.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

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

} // namespace

void addCompactionRules(RuleTable &table) {
  addRule(table, {"aten.masked_scatter.default"}, maskedScatter);
  addRule(table, {"aten.masked_scatter_backward.default"}, maskedScatterBackward);
  addRule(table, {"aten.nonzero_static.default"}, nonzeroStatic);
  addRule(table, {"aten.repeat_interleave.Tensor"}, repeatInterleaveTensor);
  addRule(table, {"aten.repeat_interleave.self_Tensor"}, repeatInterleaveSelf);
  for (llvm::StringRef op :
       {"aten.repeat_interleave.Tensor", "aten.repeat_interleave.self_Tensor"})
    table[op].refuse = refuseUnknownRepeats;
}

} // namespace rtorch::translate
