// Gradients of pools: each element of the input collects what the windows over it pass
// on. Elements are gathered by windows rather than windows scattered to elements, so
// that all of them are independent.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Pooling.h"
#include "compiler/import/ops/Rules.h"

namespace rtorch::translate {
namespace {

/// The windows over each element along one dim: numbers [in, most], and whether the
/// window is one (null: all are).
struct Cover {
  Value window, fits;
  Expr most = 1;
};

Value whole(Call &c, const Expr &value) {
  return c.full(Scalar::of(value), ScalarType::Long);
}

/// Element h lies in windows floor((h + padding - extent) / step) + 1 to
/// floor((h + padding) / step), as far as there are any.
Cover coverOf(Call &c, const Window &w) {
  int64_t extent = (w.size - 1) * w.dilation + 1;
  Cover cover;
  cover.most = (extent + w.step - 1) / w.step;
  Value at = c.unsqueeze(c.iota(w.in, ScalarType::Long, w.padding), 1);
  Value last = c.binary<rt::FloorDivideOp>(at, whole(c, w.step));
  Value window = c.binary<rt::SubOp>(last, c.iota(cover.most));
  Value start = c.binary<rt::MulOp>(window, whole(c, w.step));
  Value fits = c.binary<rt::BitwiseAndOp>(
      c.binary<rt::BitwiseAndOp>(c.compare<rt::GeOp>(window, whole(c, 0)),
                                 c.compare<rt::LtOp>(window, whole(c, w.out))),
      c.compare<rt::LtOp>(at, c.binary<rt::AddOp>(start, whole(c, extent))));
  cover.fits = fits;
  cover.window = c.binary<rt::MinimumOp>(c.binary<rt::MaximumOp>(window, whole(c, 0)),
                                         whole(c, layout::max(w.out - 1, 0)));
  return cover;
}

/// What windows hand on to the elements below them.
struct Collected {
  Value values, fits; ///< [..., in..., most...], and which of them count
  std::vector<int64_t> dims;
};

/// `x`, a value a window, for each window over each element; `covers` are of its last
/// dims.
Collected collect(Call &c, Value x, const std::vector<Cover> &covers) {
  const int64_t spatial = covers.size(), rank = 2 * spatial;
  Collected result;
  llvm::SmallVector<Value> indices;
  llvm::SmallVector<int64_t> dims;
  for (int64_t i = 0; i < spatial; ++i) {
    auto spread = [&](Value value) { // [in, most] to [in..., most...]
      for (int64_t other = 0; other < rank; ++other)
        if (other != i && other != spatial + i)
          value = c.unsqueeze(value, other);
      return value;
    };
    indices.push_back(spread(covers[i].window));
    dims.push_back(rankOf(x) - spatial + i);
    if (Value fits = covers[i].fits) {
      fits = spread(fits);
      result.fits = result.fits ? c.binary<rt::BitwiseAndOp>(result.fits, fits) : fits;
    }
    result.dims.push_back(rankOf(x) + i);
  }
  result.values = c.index(x, indices, dims, rankOf(x) - spatial, false);
  return result;
}

Value summed(Call &c, const Collected &collected) {
  Value values = collected.values;
  if (collected.fits)
    values = c.where(collected.fits, values, c.number(0, dtypeOf(values)));
  return c.reduce<rt::SumOp>(values, collected.dims, false);
}

std::vector<Cover> coversOf(Call &c, const Pool &pool) {
  std::vector<Cover> covers;
  for (const Window &window : pool.windows)
    covers.push_back(coverOf(c, window));
  return covers;
}

/// Each element at its place in the flattened spatial dims: [in...].
Value placesOf(Call &c, const Dims &in) {
  Value place;
  for (size_t i = 0; i < in.size(); ++i) {
    Value at = along(c, c.iota(in[i]), i, in.size());
    place = place ? c.binary<rt::AddOp>(c.binary<rt::MulOp>(place, whole(c, in[i])), at)
                  : at;
  }
  return place;
}

/// The gradient goes to the element whose place the forward op gave.
Value maxPoolBackward(Call &c, int64_t spatial) {
  std::optional<Pool> pool = poolOf(c, spatial);
  Value g = c.tensor("grad_output"), indices = c.tensor("indices");
  if (!pool || !g || !indices)
    return {};
  std::vector<Cover> covers = coversOf(c, *pool);
  Collected gradients = collect(c, widened(c, g), covers);
  Collected chosen = collect(c, indices, covers);
  Dims in;
  for (const Window &window : pool->windows)
    in.push_back(window.in);
  Value place = placesOf(c, in);
  for (int64_t i = 0; i < spatial; ++i)
    place = c.unsqueeze(place, rankOf(place));
  Value own = c.compare<rt::EqOp>(chosen.values, place);
  gradients.fits = c.binary<rt::BitwiseAndOp>(own, gradients.fits);
  return poolFormatted(c, c.convert(summed(c, gradients), dtypeOf(pool->x)), pool->x,
                       PoolFormat::Suggested);
}

Value avgPoolBackward(Call &c, int64_t spatial, PoolFormat format) {
  std::optional<Pool> pool = poolOf(c, spatial);
  Value g = widened(c, c.tensor("grad_output"));
  if (!pool || !g)
    return {};
  g = c.binary<rt::DivOp>(g, divisorOf(c, *pool, dtypeOf(g)));
  Value sum = summed(c, collect(c, g, coversOf(c, *pool)));
  return poolFormatted(c, c.convert(sum, dtypeOf(pool->x)), pool->x, format);
}

Value adaptiveAvgPoolBackward(Call &c, int64_t spatial, PoolFormat format) {
  Value x = c.tensor("self"), g = widened(c, c.tensor("grad_output"));
  if (!x || !g)
    return {};
  std::vector<Cover> covers;
  int64_t first = rankOf(x) - spatial;
  for (int64_t i = 0; i < spatial; ++i) {
    Expr in = sizeOf(x, first + i), out = sizeOf(g, first + i);
    Value count = spansOf(c, in, out).count;
    g = c.binary<rt::DivOp>(g, c.convert(along(c, count, i, spatial), dtypeOf(g)));
    // The windows over each element lie as the elements of each window do.
    Spans spans = spansOf(c, out, in);
    Value offset = c.iota(spans.most);
    Cover cover;
    cover.most = spans.most;
    cover.window = c.binary<rt::MinimumOp>(
        c.binary<rt::AddOp>(c.unsqueeze(spans.start, 1), offset), whole(c, out - 1));
    if (!spans.equal)
      cover.fits = c.compare<rt::LtOp>(offset, c.unsqueeze(spans.count, 1));
    covers.push_back(cover);
  }
  return poolFormatted(c, c.convert(summed(c, collect(c, g, covers)), dtypeOf(x)), x,
                       format);
}

/// Places of uneven windows are the forward op's alone to know: gradients are
/// scattered to them.
Value adaptiveMaxPoolBackward(Call &c, int64_t spatial, PoolFormat format) {
  Value x = c.tensor("self"), g = widened(c, c.tensor("grad_output")),
        indices = c.tensor("indices");
  if (!x || !g || !indices)
    return {};
  auto flat = [&](Value value) {
    Dims sizes = sizesOf(value);
    Expr space = layout::numel({sizes.end() - spatial, sizes.end()});
    sizes.resize(sizes.size() - spatial);
    sizes.push_back(space);
    return c.reshape(value, sizes);
  };
  Dims sizes = sizesOf(x);
  Expr space = layout::numel({sizes.end() - spatial, sizes.end()});
  Dims flatSizes(sizes.begin(), sizes.end() - spatial);
  flatSizes.push_back(space);
  Value zero = c.full(Scalar::of(0.0), dtypeOf(g), flatSizes);
  Value sum = c.scatterAlong(zero, flat(indices), flat(g), flatSizes.size() - 1, "add");
  return sum ? poolFormatted(c, c.convert(c.reshape(sum, sizes), dtypeOf(x)), x, format)
             : sum;
}

} // namespace

void addPoolingGradientRules(RuleTable &table) {
  addRule(table, {"aten.max_pool2d_with_indices_backward.default"},
          [](Call &c) { return maxPoolBackward(c, 2); });
  addRule(table, {"aten.max_pool3d_with_indices_backward.default"},
          [](Call &c) { return maxPoolBackward(c, 3); });
  addRule(table, {"aten.avg_pool2d_backward.default"},
          [](Call &c) { return avgPoolBackward(c, 2, PoolFormat::Suggested); });
  addRule(table, {"aten.avg_pool3d_backward.default"},
          [](Call &c) { return avgPoolBackward(c, 3, PoolFormat::RowMajor); });
  addRule(table, {"aten._adaptive_avg_pool2d_backward.default"},
          [](Call &c) { return adaptiveAvgPoolBackward(c, 2, PoolFormat::Suggested); });
  addRule(table, {"aten._adaptive_avg_pool3d_backward.default"},
          [](Call &c) { return adaptiveAvgPoolBackward(c, 3, PoolFormat::RowMajor); });
  addRule(table, {"aten.adaptive_max_pool2d_backward.default"},
          [](Call &c) { return adaptiveMaxPoolBackward(c, 2, PoolFormat::Suggested); });
  addRule(table, {"aten.adaptive_max_pool3d_backward.default"},
          [](Call &c) { return adaptiveMaxPoolBackward(c, 3, PoolFormat::RowMajor); });
}

} // namespace rtorch::translate
