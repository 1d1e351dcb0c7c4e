// Ops that walk a dim in order: running sums, sorting, and what is read off a sorted
// dim.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <algorithm>

namespace rtorch::translate {
namespace {

//===----------------------------------------------------------------------===//
// Running combinations
//===----------------------------------------------------------------------===//

/// cumsum and cumprod; integers are added in int64.
Value cumulative(Call &c, llvm::StringRef how) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  ScalarType dtype =
      c.dtype("dtype").value_or(isFloat(dtypeOf(x)) ? dtypeOf(x) : ScalarType::Long);
  x = c.convert(x, dtype);
  if (rankOf(x) == 0)
    return c.cloneRowMajor(x);
  return c.scan(x, c.dim("dim", rankOf(x)), how);
}

Value logCumSumExp(Call &c) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) == 0)
    return c.cloneRowMajor(x);
  return c.scan(x, c.dim("dim", rankOf(x)), "logaddexp");
}

/// cummax and cummin: the index is that of the last element that set the extreme.
Results cumulativeExtreme(Call &c, llvm::StringRef how) {
  Value x = c.tensor("self");
  if (!x)
    return mlir::failure();
  if (rankOf(x) == 0)
    return std::vector<Value>{c.cloneRowMajor(x),
                              c.full(Scalar::of(int64_t(0)), ScalarType::Long)};
  int64_t dim = c.dim("dim", rankOf(x));
  Value values = c.scan(x, dim, how), indices;
  if (c.isUsed(1)) {
    Value isNew = c.compare<rt::EqOp>(x, values);
    if (isFloat(dtypeOf(x)))
      isNew = c.binary<rt::BitwiseOrOp>(isNew,
                                        c.pointwise<rt::IsNanOp>(ScalarType::Bool, x));
    Value position = c.countAlong(sizeOf(x, dim), dim, rankOf(x));
    Value candidates = c.where(isNew, position, c.number(0, ScalarType::Long));
    indices = c.scan(candidates, dim, "max");
  }
  return std::vector<Value>{values, indices};
}

//===----------------------------------------------------------------------===//
// Sorting
//===----------------------------------------------------------------------===//

using Pair = std::pair<Value, Value>;

/// `x` and the dim to order along; rank 0 counts as rank 1.
struct Line {
  Value self, x;
  int64_t dim = 0;
};

Line lineOf(Call &c) {
  Line line;
  line.self = line.x = c.tensor("self");
  if (!line.x)
    return line;
  if (rankOf(line.x) == 0)
    line.x = c.unsqueeze(line.x, 0);
  line.dim = wrapDim(c.integer("dim").value_or(-1), rankOf(line.x));
  return line;
}

Results inRank(Call &c, const Line &line, Pair pair) {
  if (!pair.first || !pair.second)
    return mlir::failure();
  if (rankOf(line.self) == 0)
    pair = {c.squeeze(pair.first, {0}), c.squeeze(pair.second, {0})};
  return std::vector<Value>{pair.first, pair.second};
}

Results sort(Call &c) {
  Line line = lineOf(c);
  if (!line.x)
    return mlir::failure();
  return inRank(c, line, c.sort(line.x, line.dim, c.boolean("descending")));
}

Value argsort(Call &c) {
  Results results = sort(c);
  return failed(results) ? Value() : (*results)[1];
}

Value msort(Call &c) {
  Value x = c.tensor("self");
  if (!x || rankOf(x) == 0)
    return c.cloneRowMajor(x);
  return c.sort(x, 0, false).first;
}

Results topk(Call &c) {
  Line line = lineOf(c);
  if (!line.x)
    return mlir::failure();
  Expr k = *c.expr("k");
  if (!c.guards.lessEqual(k, sizeOf(line.x, line.dim))) {
    c.error() << "expects k of at most " << sizeOf(line.x, line.dim).str()
              << ", but got " << k.str();
    return mlir::failure();
  }
  Pair sorted = c.sort(line.x, line.dim, c.boolean("largest", true), k);
  for (Value *part : {&sorted.first, &sorted.second})
    *part = rowMajor(c, *part);
  return inRank(c, line, sorted);
}

/// The pair at `place` (a tensor of the other dims' sizes with `dim` of size 1) along
/// the sorted dim, which is kept if `keep`.
Pair pick(Call &c, Pair sorted, Value place, int64_t dim, bool keep) {
  for (Value *part : {&sorted.first, &sorted.second}) {
    *part = c.gather(*part, place, dim);
    if (!keep && *part)
      *part = c.reshape(*part, [&] {
        Dims sizes = sizesOf(*part);
        sizes.erase(sizes.begin() + dim);
        return sizes;
      }());
    *part = rowMajor(c, *part);
  }
  return sorted;
}

/// The same place for all lines.
Value placeEverywhere(Call &c, Value x, int64_t dim, const Expr &place) {
  Dims sizes = sizesOf(x);
  sizes[dim] = 1;
  return c.full(Scalar::of(place), ScalarType::Long, sizes);
}

Results kthValue(Call &c) {
  Line line = lineOf(c);
  if (!line.x)
    return mlir::failure();
  Expr k = *c.expr("k");
  Value place = placeEverywhere(c, line.x, line.dim, k - 1);
  std::optional<Expr> count; // all, where k may be too large or none
  if (c.guards.query(layout::Relation::Le, k, sizeOf(line.x, line.dim)) ==
          layout::Answer::Proven &&
      c.guards.query(layout::Relation::Le, 1, k) == layout::Answer::Proven)
    count = k;
  return inRank(c, line,
                pick(c, c.sort(line.x, line.dim, false, count), place, line.dim,
                     c.boolean("keepdim") || rankOf(line.self) == 0));
}

/// Which of `size` elements, none before another, eager's nth_element puts first.
int64_t firstOfAlike(int64_t size) {
  std::vector<int64_t> order = allDims(size);
  std::nth_element(order.begin(), order.begin(), order.end(),
                   [](int64_t, int64_t) { return false; });
  return order.empty() ? 0 : order.front();
}

/// Where the median lies in a sorted line: the lower middle. NaN, which is last, is the
/// median of a line that has one, or does not count at all.
Value medianPlace(Call &c, Value x, int64_t dim, bool ignoreNan) {
  Expr size = sizeOf(x, dim);
  Value middle = placeEverywhere(c, x, dim, layout::floordiv(size - 1, 2));
  if (!isFloat(dtypeOf(x)))
    return middle;
  Value isNan =
      c.convert(c.pointwise<rt::IsNanOp>(ScalarType::Bool, x), ScalarType::Long);
  Value nans = c.reduce<rt::SumOp>(isNan, {dim}, true);
  Value numbers = c.binary<rt::SubOp>(c.full(Scalar::of(size), ScalarType::Long), nans);
  Value zero = c.number(0, ScalarType::Long), one = c.number(1, ScalarType::Long),
        two = c.number(2, ScalarType::Long);
  if (!ignoreNan)
    return c.where(c.compare<rt::GtOp>(nans, zero), numbers, middle);
  Value place = c.binary<rt::FloorDivideOp>(c.binary<rt::SubOp>(numbers, one), two);
  // Of NaN alone any will do; we take eager's where the size is known.
  Value alike = c.number(firstOfAlike(size.constant().value_or(0)), ScalarType::Long);
  return c.where(c.compare<rt::GtOp>(numbers, zero), place, alike);
}

Results medianAlong(Call &c, bool ignoreNan) {
  Line line = lineOf(c);
  if (!line.x)
    return mlir::failure();
  return inRank(c, line,
                pick(c, c.sort(line.x, line.dim, false),
                     medianPlace(c, line.x, line.dim, ignoreNan), line.dim,
                     c.boolean("keepdim") || rankOf(line.self) == 0));
}

/// How a quantile between two elements is chosen.
Value between(Call &c, Value place, Value lines, int64_t dim) {
  ScalarType dtype = dtypeOf(place);
  auto at = [&](Value where) {
    return c.gather(lines, c.convert(where, ScalarType::Long), dim);
  };
  std::string_view mode = c.string("interpolation");
  Value below = c.unary<rt::FloorOp>(place), above = c.unary<rt::CeilOp>(place);
  if (mode == "lower")
    return at(below);
  if (mode == "higher")
    return at(above);
  if (mode == "nearest")
    return at(c.unary<rt::RoundOp>(place));
  Value low = at(below), high = at(above);
  Value weight =
      mode == "midpoint" ? c.number(0.5, dtype) : c.binary<rt::SubOp>(place, below);
  Value step = c.binary<rt::MulOp>(c.binary<rt::SubOp>(high, low), weight);
  // From the nearer end, as eager's lerp.
  Value back = c.binary<rt::SubOp>(
      high, c.binary<rt::MulOp>(c.binary<rt::SubOp>(high, low),
                                c.binary<rt::SubOp>(c.number(1, dtype), weight)));
  return c.where(c.compare<rt::LtOp>(weight, c.number(0.5, dtype)),
                 step ? c.binary<rt::AddOp>(low, step) : step, back);
}

/// Element q * (n - 1) of each sorted line, interpolated; NaN for a line that has one,
/// or those are left out. The quantiles' dim stands first if `q` has one.
Value quantile(Call &c, bool ignoreNan) {
  Value x = c.tensor("self");
  Operand given = c.operand("q");
  if (!x)
    return x;
  ScalarType dtype = dtypeOf(x);
  bool flat = c.isNone("dim");
  int64_t rank = rankOf(x), dim = flat ? 0 : c.dim("dim", rank);
  bool keep = c.boolean("keepdim");
  Value q = c.materialize(given, dtype);
  if (!q)
    return q;
  bool many = rankOf(q) == 1;
  if (!many)
    q = c.unsqueeze(q, 0);
  if (flat || rank == 0)
    x = c.reshape(x, {layout::numel(sizesOf(x))});
  int64_t last = rankOf(x) - 1;
  Value lines = c.sort(c.transpose(x, dim, last), last, false).first;
  if (!lines)
    return lines;
  Value isNan =
      c.convert(c.pointwise<rt::IsNanOp>(ScalarType::Bool, lines), ScalarType::Long);
  Value nans = c.reduce<rt::SumOp>(isNan, {last}, true);
  Value size = c.full(Scalar::of(sizeOf(lines, last)), ScalarType::Long),
        one = c.number(1, ScalarType::Long), zero = c.number(0, ScalarType::Long);
  Value least =
      c.binary<rt::SubOp>(ignoreNan ? c.binary<rt::SubOp>(size, nans) : size, one);
  least = c.convert(c.binary<rt::MaximumOp>(least, zero), dtype);
  Value place = c.binary<rt::MulOp>(q, least); // [..., quantiles]
  if (!ignoreNan)                              // NaN stands last
    place = c.where(c.compare<rt::GtOp>(nans, zero),
                    c.convert(c.binary<rt::SubOp>(size, one), dtype), place);
  Dims sizes = sizesOf(lines);
  sizes[last] = sizeOf(q, 0);
  place = c.expand(place, sizes);
  Value result = place ? between(c, place, lines, last) : place; // [..., quantiles]
  if (!result)
    return result;
  std::vector<int64_t> front = allDims(last + 1); // quantiles first
  std::rotate(front.begin(), front.end() - 1, front.end());
  // The dim that was moved to the end goes back to its place.
  if (!flat && rank > 0 && dim != last) {
    result = c.unsqueeze(result, last);
    std::vector<int64_t> order = allDims(last + 2);
    std::swap(order[dim], order[last]);
    result = c.permute(result, order);
    front = allDims(last + 2);
    std::rotate(front.begin(), front.end() - 1, front.end());
    result = c.permute(result, front);
    if (!keep)
      result = c.squeeze(result, {dim + 1});
  } else {
    result = c.permute(result, front);
    if (keep && flat)
      for (int64_t i = 0; i < rank; ++i)
        result = c.unsqueeze(result, 1);
    else if (keep && rank > 0)
      result = c.unsqueeze(result, dim + 1);
  }
  if (!many)
    result = c.squeeze(result, {0});
  return rowMajor(c, result);
}

Value medianOfAll(Call &c, bool ignoreNan) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  x = c.reshape(x, {layout::numel(sizesOf(x))});
  return pick(c, c.sort(x, 0, false), medianPlace(c, x, 0, ignoreNan), 0, false).first;
}

/// The value that occurs most often, the smallest of several, and the last place of it.
Results mode(Call &c) {
  Line line = lineOf(c);
  if (!line.x)
    return mlir::failure();
  int64_t dim = line.dim, rank = rankOf(line.x);
  Expr size = sizeOf(line.x, dim);
  Pair sorted = c.sort(line.x, dim, false);
  Value position = c.countAlong(size, dim, rank), zero = c.number(0, ScalarType::Long);
  // Each element's place within its run of equal ones.
  Value before = c.slice(sorted.first, dim, 0, size - 1);
  Value begins = c.compare<rt::NeOp>(c.slice(sorted.first, dim, 1, size), before);
  Value start = c.where(begins, c.slice(position, dim, 1, size), zero);
  if (!start)
    return mlir::failure();
  Dims one = sizesOf(line.x);
  one[dim] = 1;
  start = c.cat({c.full(Scalar::of(int64_t(0)), ScalarType::Long, one), start}, dim);
  Value length = c.binary<rt::SubOp>(position, c.scan(start, dim, "max"));
  Value longest = c.reduce<rt::AmaxOp>(length, {dim}, true);
  Value isEnd = c.compare<rt::EqOp>(length, longest);
  Value past = c.full(Scalar::of(size), ScalarType::Long);
  Value place = c.reduce<rt::AminOp>(c.where(isEnd, position, past), {dim}, true);
  return inRank(
      c, line,
      pick(c, sorted, place, dim, c.boolean("keepdim") || rankOf(line.self) == 0));
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

void addOrderRules(RuleTable &table) {
  addRule(table, {"aten.cumsum.default"}, [](Call &c) { return cumulative(c, "add"); });
  addRule(table, {"aten.cumprod.default"},
          [](Call &c) { return cumulative(c, "mul"); });
  addRule(table, {"aten.logcumsumexp.default", "aten._logcumsumexp.default"},
          logCumSumExp);
  addMultiRule(table, {"aten.cummax.default"},
               [](Call &c) { return cumulativeExtreme(c, "max"); });
  addMultiRule(table, {"aten.cummin.default"},
               [](Call &c) { return cumulativeExtreme(c, "min"); });
  addMultiRule(table, {"aten.sort.default", "aten.sort.stable"}, sort);
  addRule(table, {"aten.argsort.default", "aten.argsort.stable"}, argsort);
  addRule(table, {"aten.msort.default"}, msort);
  addMultiRule(table, {"aten.topk.default"}, topk);
  addMultiRule(table, {"aten.kthvalue.default"}, kthValue);
  addMultiRule(table, {"aten.median.dim"},
               [](Call &c) { return medianAlong(c, false); });
  addMultiRule(table, {"aten.nanmedian.dim"},
               [](Call &c) { return medianAlong(c, true); });
  addRule(table, {"aten.quantile.default", "aten.quantile.scalar"},
          [](Call &c) { return quantile(c, false); });
  addRule(table, {"aten.nanquantile.default", "aten.nanquantile.scalar"},
          [](Call &c) { return quantile(c, true); });
  addRule(table, {"aten.median.default"},
          [](Call &c) { return medianOfAll(c, false); });
  addRule(table, {"aten.nanmedian.default"},
          [](Call &c) { return medianOfAll(c, true); });
  addMultiRule(table, {"aten.mode.default"}, mode);
  addRule(table, {"aten.bucketize.Tensor", "aten.bucketize.Scalar"}, [](Call &c) {
    return placeIn(c, c.tensor("boundaries"), c.operand("self"), c.boolean("right"));
  });
  addRule(table, {"aten.searchsorted.Tensor", "aten.searchsorted.Scalar"},
          searchSorted);
}

} // namespace rtorch::translate
