// Pooling: reductions over windows of the padded input.
#include "compiler/import/ops/Pooling.h"

#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

/// An integer list argument for `count` dims: one number stands for all of them.
std::vector<int64_t> perDim(Call &c, std::string_view name, int64_t count,
                            int64_t otherwise) {
  std::vector<int64_t> values = c.integers(name);
  if (values.empty())
    values.push_back(otherwise);
  values.resize(count, values.front());
  return values;
}

/// The number of windows; in ceil mode one more where it still begins in the input or
/// the padding before it.
Expr countWindows(Call &c, const Window &w, bool ceil) {
  Expr room = w.in + 2 * w.padding - w.dilation * (w.size - 1) - 1;
  if (!ceil)
    return c.guards.simplify(layout::floordiv(room, w.step) + 1);
  Expr count = layout::ceildiv(room, w.step) + 1;
  // The last window that begins before the padding on the right.
  Expr most = layout::ceildiv(w.in + w.padding, w.step);
  return c.guards.simplify(layout::min(count, most));
}

/// How many elements of each window count along one dim: [out].
Value countAlong(Call &c, const Window &w, bool includePad) {
  Value start = c.iota(w.out, ScalarType::Long, -w.padding, w.step);
  Value end = c.binary<rt::AddOp>(start, c.number(w.size, ScalarType::Long));
  Expr limit = includePad ? w.in + w.padding : w.in;
  end = c.binary<rt::MinimumOp>(end, c.full(Scalar::of(limit), ScalarType::Long));
  if (!includePad)
    start = c.binary<rt::MaximumOp>(start, c.number(0, ScalarType::Long));
  return c.binary<rt::SubOp>(end, start);
}

/// The largest number of elements of a window, if all sizes are known.
std::optional<int64_t> largestWindow(const Expr &in, const Expr &out, bool &equal) {
  if (!in.isConstant() || !out.isConstant())
    return std::nullopt;
  int64_t n = *in.constant(), m = *out.constant(), most = 0, least = n;
  for (int64_t i = 0; i < m; ++i) {
    int64_t count = ((i + 1) * n + m - 1) / m - i * n / m;
    most = std::max(most, count), least = std::min(least, count);
  }
  equal = most == least;
  return most;
}

} // namespace

std::optional<Pool> poolOf(Call &c, int64_t spatial) {
  Pool pool{c.tensor("self"), {}, c.boolean("ceil_mode")};
  if (!pool.x)
    return std::nullopt;
  if (rankOf(pool.x) < spatial + 1 || rankOf(pool.x) > spatial + 2) {
    c.error() << "expects a tensor of rank " << spatial + 1 << " or " << spatial + 2
              << ", but got " << rt::tensorType(pool.x);
    return std::nullopt;
  }
  std::vector<int64_t> sizes = perDim(c, "kernel_size", spatial, 1);
  std::vector<int64_t> steps = c.integers("stride");
  steps = steps.empty() ? sizes : perDim(c, "stride", spatial, 1);
  std::vector<int64_t> paddings = perDim(c, "padding", spatial, 0);
  std::vector<int64_t> dilations = perDim(c, "dilation", spatial, 1);
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t dim = rankOf(pool.x) - spatial + i;
    Window w{sizeOf(pool.x, dim), 0, sizes[i], steps[i], paddings[i], dilations[i]};
    if (w.size < 1 || w.step < 1 || w.dilation < 1 || w.padding < 0 ||
        w.padding > (w.dilation * (w.size - 1) + 1) / 2) {
      c.error() << "expects a positive kernel size, stride and dilation and a padding "
                   "of at most half of the kernel, but got "
                << w.size << ", " << w.step << ", " << w.dilation << " and "
                << w.padding;
      return std::nullopt;
    }
    w.out = countWindows(c, w, pool.ceil);
    if (c.guards.less(w.out, 1)) {
      c.error() << "no window of size " << w.size << " fits into dim " << dim << " of "
                << rt::tensorType(pool.x);
      return std::nullopt;
    }
    pool.windows.push_back(w);
  }
  return pool;
}

Value along(Call &c, Value x, int64_t dim, int64_t rank) {
  for (int64_t i = 0; i < rank; ++i)
    if (i != dim)
      x = c.unsqueeze(x, i);
  return x;
}

Value divisorOf(Call &c, const Pool &pool, ScalarType dtype) {
  if (std::optional<int64_t> divisor = c.integer("divisor_override"))
    return c.full(Scalar::of(*divisor), dtype);
  bool includePad = c.boolean("count_include_pad", true);
  bool padded =
      llvm::any_of(pool.windows, [](const Window &w) { return w.padding != 0; });
  if (!pool.ceil && (includePad || !padded)) {
    int64_t count = 1;
    for (const Window &w : pool.windows)
      count *= w.size;
    return c.full(Scalar::of(count), dtype);
  }
  Value divisor;
  for (int64_t i = 0; i < pool.spatial(); ++i) {
    Value count =
        along(c, countAlong(c, pool.windows[i], includePad), i, pool.spatial());
    divisor = divisor ? c.binary<rt::MulOp>(divisor, count) : count;
  }
  return c.convert(divisor, dtype);
}

Spans spansOf(Call &c, const Expr &in, const Expr &out) {
  auto whole = [&](const Expr &value) {
    return c.full(Scalar::of(value), ScalarType::Long);
  };
  Value start =
      c.binary<rt::FloorDivideOp>(c.iota(out, ScalarType::Long, 0, in), whole(out));
  Value end = c.binary<rt::FloorDivideOp>(
      c.iota(out, ScalarType::Long, in + out - 1, in), whole(out));
  bool equal = false;
  if (std::optional<int64_t> most = largestWindow(in, out, equal))
    return {start, c.binary<rt::SubOp>(end, start), *most, equal};
  // A window touches at most one element more than in / out, rounded up.
  Expr most = c.guards.simplify(layout::min(
      in, layout::ceildiv(in, out) + (layout::mod(in, out).isConstant(0) ? 0 : 1)));
  return {start, c.binary<rt::SubOp>(end, start), most, false};
}

Value poolFormatted(Call &c, Value result, Value x, PoolFormat format) {
  if (!result || format == PoolFormat::RowMajor)
    return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
                  : result;
  layout::Layout source = layoutOf(x);
  Dims sizes = sizesOf(result);
  int64_t inserted = rankOf(x) - 1;
  if (format == PoolFormat::AsTwoDims) {
    source = layout::unsqueezeDim(source, inserted);
    sizes.insert(sizes.begin() + inserted, 1);
  }
  Dims strides =
      layout::stridesOf(layout::suggestMemoryFormat(source, c.guards), sizes);
  if (format == PoolFormat::AsTwoDims)
    strides.erase(strides.begin() + inserted);
  return c.withStrides(result, strides);
}

namespace {

/// The windows' elements as new last dims, with `outside` beyond the input.
Value windowsOf(Call &c, const Pool &pool, const Scalar &outside) {
  Value x = pool.x;
  Dims low(rankOf(x), 0), sizes = sizesOf(x);
  bool pads = false;
  for (int64_t i = 0; i < pool.spatial(); ++i) {
    const Window &w = pool.windows[i];
    Expr needed = (w.out - 1) * w.step + (w.size - 1) * w.dilation + 1;
    low[pool.firstDim() + i] = w.padding;
    sizes[pool.firstDim() + i] = c.guards.simplify(needed);
    pads |= w.padding != 0 || pool.ceil;
  }
  if (pads)
    x = c.pad(x, low, sizes, outside);
  for (int64_t i = 0; i < pool.spatial(); ++i) {
    int64_t dim = pool.firstDim() + i;
    const Window &w = pool.windows[i];
    if (!pads && sizeOf(x, dim) != sizes[dim])
      x = c.slice(x, dim, 0, sizes[dim]);
    x = c.unfold(x, dim, w.size, w.step, w.dilation);
  }
  return x;
}

/// The dims that windowsOf appends.
std::vector<int64_t> windowDims(const Pool &pool) {
  std::vector<int64_t> dims;
  for (int64_t i = 0; i < pool.spatial(); ++i)
    dims.push_back(rankOf(pool.x) + i);
  return dims;
}

//===----------------------------------------------------------------------===//
// max_pool
//===----------------------------------------------------------------------===//

/// Where the elements of the windows lie in the flattened spatial dims, and whether in
/// the input at all: [out..., size...] each.
std::pair<Value, Value> positionsOf(Call &c, const Pool &pool) {
  int64_t rank = 2 * pool.spatial();
  Value position, inside;
  for (int64_t i = 0; i < pool.spatial(); ++i) {
    const Window &w = pool.windows[i];
    Value start =
        along(c, c.iota(w.out, ScalarType::Long, -w.padding, w.step), i, rank);
    Value offset = along(c, c.iota(w.size, ScalarType::Long, 0, w.dilation),
                         pool.spatial() + i, rank);
    Value at = c.binary<rt::AddOp>(start, offset);
    Value size = c.full(Scalar::of(w.in), ScalarType::Long);
    position =
        position ? c.binary<rt::AddOp>(c.binary<rt::MulOp>(position, size), at) : at;
    Value fits = c.binary<rt::BitwiseAndOp>(
        c.compare<rt::GeOp>(at, c.number(0, ScalarType::Long)),
        c.compare<rt::LtOp>(at, size));
    inside = inside ? c.binary<rt::BitwiseAndOp>(inside, fits) : fits;
  }
  return {position, inside};
}

/// The first place of the largest element, or the last one that is NaN; among those
/// that are `inside` (null: all).
Value indexOfLargest(Call &c, Value elements, Value position, Value inside,
                     const std::vector<int64_t> &dims) {
  Value best = c.reduce<rt::AmaxOp>(elements, dims, true);
  Value past = c.full(Scalar::of(INT64_MAX), ScalarType::Long);
  Value before = c.full(Scalar::of(int64_t(-1)), ScalarType::Long);
  auto counting = [&](Value condition) {
    return inside ? c.binary<rt::BitwiseAndOp>(condition, inside) : condition;
  };
  Value isBest = counting(c.compare<rt::EqOp>(elements, best));
  Value first = c.reduce<rt::AminOp>(c.where(isBest, position, past), dims, false);
  if (!first || !isFloat(dtypeOf(elements)))
    return first;
  Value isNan = counting(c.pointwise<rt::IsNanOp>(ScalarType::Bool, elements));
  Value last = c.reduce<rt::AmaxOp>(c.where(isNan, position, before), dims, false);
  Value none = c.compare<rt::LtOp>(last, c.number(0, ScalarType::Long));
  return c.where(none, first, last);
}

Results maxPool(Call &c, int64_t spatial, PoolFormat format) {
  std::optional<Pool> pool = poolOf(c, spatial);
  if (!pool)
    return mlir::failure();
  Value elements = windowsOf(c, *pool, lowestOf(dtypeOf(pool->x))), indices;
  std::vector<int64_t> dims = windowDims(*pool);
  Value values =
      poolFormatted(c, c.reduce<rt::AmaxOp>(elements, dims, false), pool->x, format);
  if (!values)
    return mlir::failure();
  if (c.node.outputs.size() > 1 && c.isUsed(1)) {
    auto [position, inside] = positionsOf(c, *pool);
    indices = indexOfLargest(c, elements, position, inside, dims);
    indices = poolFormatted(c, indices, pool->x, format);
    if (!indices)
      return mlir::failure();
  }
  return std::vector<Value>{values, indices};
}

//===----------------------------------------------------------------------===//
// avg_pool
//===----------------------------------------------------------------------===//

Value averaged(Call &c, Value sum, Value divisor) {
  if (!sum || !divisor)
    return {};
  return isFloat(dtypeOf(sum)) ? c.binary<rt::DivOp>(sum, divisor)
                               : c.binary<rt::TruncDivideOp>(sum, divisor);
}

Value avgPool(Call &c, int64_t spatial, PoolFormat format) {
  std::optional<Pool> pool = poolOf(c, spatial);
  if (!pool)
    return {};
  ScalarType dtype = dtypeOf(pool->x);
  Value x = pool->x;
  Value elements = widened(c, windowsOf(c, *pool, Scalar::of(int64_t(0))));
  if (!elements)
    return {};
  Value sum = c.reduce<rt::SumOp>(elements, windowDims(*pool), false);
  Value result = averaged(c, sum, divisorOf(c, *pool, dtypeOf(elements)));
  return poolFormatted(c, c.convert(result, dtype), x, format);
}

//===----------------------------------------------------------------------===//
// Adaptive pools
//===----------------------------------------------------------------------===//

/// Windows of an adaptive pool: [floor(i * in / out), ceil((i + 1) * in / out)).
struct Adaptive {
  Value x;
  Dims out;
  int64_t firstDim = 0;
  bool divides = true; // all windows have the same size
};

std::optional<Adaptive> adaptiveOf(Call &c, int64_t spatial) {
  Adaptive pool{c.tensor("self"), c.exprs("output_size")};
  if (!pool.x)
    return std::nullopt;
  if (rankOf(pool.x) < spatial + 1 || rankOf(pool.x) > spatial + 2) {
    c.error() << "expects a tensor of rank " << spatial + 1 << " or " << spatial + 2
              << ", but got " << rt::tensorType(pool.x);
    return std::nullopt;
  }
  if (pool.out.empty())
    pool.out.push_back(1);
  pool.out.resize(spatial, pool.out.front());
  pool.firstDim = rankOf(pool.x) - spatial;
  for (int64_t i = 0; i < spatial; ++i) {
    Expr in = sizeOf(pool.x, pool.firstDim + i);
    if (c.guards.less(in, 1)) {
      c.error() << "expects dims that are not empty, but got "
                << rt::tensorType(pool.x);
      return std::nullopt;
    }
    pool.divides &= pool.out[i].isConstant(1) ||
                    (in.isConstant() && layout::mod(in, pool.out[i]).isConstant(0)) ||
                    in == pool.out[i];
  }
  return pool;
}

/// The windows' elements with the dims of windows last, and a mask [out..., size...] of
/// those that count; the counts are [out...]. Without a mask and counts all do.
struct Gathered {
  Value elements, mask, counts, positions;
  std::vector<int64_t> dims;
};

/// Equal windows are a view.
Gathered splitWindows(Call &c, const Adaptive &pool) {
  Gathered result{pool.x, {}, {}, {}, {}};
  int64_t spatial = pool.out.size();
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t dim = pool.firstDim + i;
    Expr in = sizeOf(pool.x, dim);
    result.dims.push_back(rankOf(pool.x) + i);
    if (std::optional<int64_t> size = layout::floordiv(in, pool.out[i]).constant())
      result.elements = c.unfold(result.elements, dim, *size, *size);
  }
  return result;
}

Gathered gatherWindows(Call &c, const Adaptive &pool) {
  Gathered result{pool.x, {}, {}, {}, {}};
  int64_t spatial = pool.out.size(), rank = 2 * spatial;
  bool uneven = false;
  llvm::SmallVector<Value> indices;
  llvm::SmallVector<int64_t> indexed;
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t dim = pool.firstDim + i;
    Expr in = sizeOf(pool.x, dim);
    Spans spans = spansOf(c, in, pool.out[i]);
    Value offset = c.iota(spans.most);
    Value at = c.binary<rt::AddOp>(c.unsqueeze(spans.start, 1), offset); // [out, most]
    auto spread = [&](Value x) { // [out, most] to [out..., size...]
      for (int64_t other = 0; other < rank; ++other)
        if (other != i && other != spatial + i)
          x = c.unsqueeze(x, other);
      return x;
    };
    Value least = c.number(0, ScalarType::Long);
    Value safe = c.binary<rt::MaximumOp>(
        c.binary<rt::MinimumOp>(at, c.full(Scalar::of(in - 1), ScalarType::Long)),
        least);
    indices.push_back(spread(safe));
    indexed.push_back(dim);
    if (!spans.equal) {
      Value fits = c.compare<rt::LtOp>(offset, c.unsqueeze(spans.count, 1));
      Value mask = spread(fits);
      result.mask = result.mask ? c.binary<rt::BitwiseAndOp>(result.mask, mask) : mask;
      uneven = true;
    }
    Value position = spread(at);
    Value width = c.full(Scalar::of(in), ScalarType::Long);
    result.positions = result.positions
                           ? c.binary<rt::AddOp>(
                                 c.binary<rt::MulOp>(result.positions, width), position)
                           : position;
    Value count = along(c, spans.count, i, spatial);
    result.counts = result.counts ? c.binary<rt::MulOp>(result.counts, count) : count;
    result.dims.push_back(rankOf(pool.x) + i);
  }
  if (!uneven)
    result.counts = {};
  result.elements = c.index(pool.x, indices, indexed, pool.firstDim, false);
  return result;
}

/// Whether the windows are equal and do not overlap.
bool isRegular(const Adaptive &pool) {
  return pool.divides &&
         llvm::all_of(llvm::seq<int64_t>(0, pool.out.size()), [&](int64_t i) {
           return sizeOf(pool.x, pool.firstDim + i).isConstant();
         });
}

Value adaptiveAvgPool(Call &c, int64_t spatial, PoolFormat format) {
  std::optional<Adaptive> pool = adaptiveOf(c, spatial);
  if (!pool)
    return {};
  ScalarType dtype = dtypeOf(pool->x);
  bool whole = llvm::all_of(pool->out, [](const Expr &e) { return e.isConstant(1); });
  Value result;
  if (whole) {
    std::vector<int64_t> dims;
    for (int64_t i = 0; i < spatial; ++i)
      dims.push_back(pool->firstDim + i);
    result = meanOver(c, widened(c, pool->x), dims, true);
  } else {
    Gathered windows =
        isRegular(*pool) ? splitWindows(c, *pool) : gatherWindows(c, *pool);
    Value elements = widened(c, windows.elements);
    if (!elements)
      return {};
    if (windows.mask)
      elements = c.where(windows.mask, elements, c.number(0, dtypeOf(elements)));
    Value sum = c.reduce<rt::SumOp>(elements, windows.dims, false);
    Value count = windows.counts ? c.convert(windows.counts, dtypeOf(elements))
                                 : c.full(Scalar::of(countOf(elements, windows.dims)),
                                          dtypeOf(elements));
    result = averaged(c, sum, count);
  }
  return poolFormatted(c, c.convert(result, dtype), pool->x, format);
}

Results adaptiveMaxPool(Call &c, int64_t spatial, PoolFormat format) {
  std::optional<Adaptive> pool = adaptiveOf(c, spatial);
  if (!pool)
    return mlir::failure();
  bool needsPositions = c.isUsed(1);
  Gathered windows = isRegular(*pool) && !needsPositions ? splitWindows(c, *pool)
                                                         : gatherWindows(c, *pool);
  Value elements = windows.elements;
  if (!elements)
    return mlir::failure();
  ScalarType dtype = dtypeOf(pool->x);
  if (windows.mask)
    elements = c.where(windows.mask, elements, c.full(lowestOf(dtype), dtype));
  Value values = c.reduce<rt::AmaxOp>(elements, windows.dims, false), indices;
  values = poolFormatted(c, values, pool->x, format);
  if (!values)
    return mlir::failure();
  if (needsPositions)
    indices = poolFormatted(
        c, indexOfLargest(c, elements, windows.positions, windows.mask, windows.dims),
        pool->x, format);
  return std::vector<Value>{values, indices};
}

/// Zeros with the elements at the places that the pool's indices give.
Value maxUnpool(Call &c, int64_t spatial) {
  Value x = c.tensor("self"), indices = c.tensor("indices");
  Dims out = c.exprs("output_size");
  if (!x || !indices)
    return {};
  if (static_cast<int64_t>(out.size()) != spatial || rankOf(x) < spatial + 1) {
    c.error() << "expects " << spatial << " output sizes and a tensor of rank "
              << spatial + 1 << " or more, but got " << rt::tensorType(x);
    return {};
  }
  Dims sizes = sizesOf(x), flat(sizes.begin(), sizes.end() - spatial), result = flat;
  Dims flatOut = flat;
  flat.push_back(layout::numel({sizes.end() - spatial, sizes.end()}));
  flatOut.push_back(layout::numel(out));
  result.insert(result.end(), out.begin(), out.end());
  Value zero = c.full(Scalar::of(int64_t(0)), dtypeOf(x), flatOut);
  Value placed = c.scatterAlong(zero, c.reshape(indices, flat), c.reshape(x, flat),
                                flat.size() - 1, "set");
  if (!placed)
    return placed;
  return poolFormatted(c, c.reshape(placed, result), x,
                       spatial == 2 ? PoolFormat::Suggested : PoolFormat::RowMajor);
}

void addMaxPool(RuleTable &table, std::string name, int64_t spatial,
                PoolFormat format) {
  addRule(table, {name + ".default"}, [=](Call &c) -> Value {
    Results results = maxPool(c, spatial, format);
    return failed(results) ? Value() : results->front();
  });
}

} // namespace

void addPoolingRules(RuleTable &table) {
  addMaxPool(table, "aten.max_pool1d", 1, PoolFormat::RowMajor);
  addMaxPool(table, "aten.max_pool2d", 2, PoolFormat::Suggested);
  addMaxPool(table, "aten.max_pool3d", 3, PoolFormat::Suggested);
  addMultiRule(table, {"aten.max_pool1d_with_indices.default"},
               [](Call &c) { return maxPool(c, 1, PoolFormat::AsTwoDims); });
  addMultiRule(table, {"aten.max_pool2d_with_indices.default"},
               [](Call &c) { return maxPool(c, 2, PoolFormat::Suggested); });
  addMultiRule(table, {"aten.max_pool3d_with_indices.default"},
               [](Call &c) { return maxPool(c, 3, PoolFormat::Suggested); });
  addRule(table, {"aten.max_unpool2d.default"},
          [](Call &c) { return maxUnpool(c, 2); });
  addRule(table, {"aten.max_unpool3d.default"},
          [](Call &c) { return maxUnpool(c, 3); });
  addRule(table, {"aten.avg_pool1d.default"},
          [](Call &c) { return avgPool(c, 1, PoolFormat::AsTwoDims); });
  addRule(table, {"aten.avg_pool2d.default"},
          [](Call &c) { return avgPool(c, 2, PoolFormat::Suggested); });
  addRule(table, {"aten.avg_pool3d.default"},
          [](Call &c) { return avgPool(c, 3, PoolFormat::RowMajor); });
  addRule(table, {"aten.adaptive_avg_pool1d.default"},
          [](Call &c) { return adaptiveAvgPool(c, 1, PoolFormat::AsTwoDims); });
  addRule(table,
          {"aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default"},
          [](Call &c) { return adaptiveAvgPool(c, 2, PoolFormat::Suggested); });
  addRule(table,
          {"aten.adaptive_avg_pool3d.default", "aten._adaptive_avg_pool3d.default"},
          [](Call &c) { return adaptiveAvgPool(c, 3, PoolFormat::RowMajor); });
  addMultiRule(table, {"aten.adaptive_max_pool1d.default"},
               [](Call &c) { return adaptiveMaxPool(c, 1, PoolFormat::AsTwoDims); });
  addMultiRule(table, {"aten.adaptive_max_pool2d.default"},
               [](Call &c) { return adaptiveMaxPool(c, 2, PoolFormat::Suggested); });
  addMultiRule(table, {"aten.adaptive_max_pool3d.default"},
               [](Call &c) { return adaptiveMaxPool(c, 3, PoolFormat::RowMajor); });
}

} // namespace rtorch::translate
