// Images read at coordinates that a grid gives.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Resample.h"

#include <algorithm>
#include <functional>

namespace rtorch::translate {
namespace {

enum class Border { Zeros, Edge, Reflection };
enum class Sampling { Linear, Nearest, Cubic };

/// One axis of a sampled image: its size, and how coordinates outside are treated.
struct Axis {
  Expr size;
  Border border;
  bool alignCorners;
};

Value numberOf(Emitter &e, Value like, const Expr &value) {
  return e.full(Scalar::of(value), dtypeOf(like));
}

/// From [-1, 1] to pixels.
Value toPixels(Call &c, Value at, const Axis &axis) {
  Value one = c.number(1, dtypeOf(at)), two = c.number(2, dtypeOf(at));
  Value size = numberOf(c, at, axis.size);
  Value moved = c.binary<rt::AddOp>(at, one);
  if (axis.alignCorners)
    return c.binary<rt::MulOp>(
        moved, c.binary<rt::DivOp>(c.binary<rt::SubOp>(size, one), two));
  return c.binary<rt::DivOp>(c.binary<rt::SubOp>(c.binary<rt::MulOp>(moved, size), one),
                             two);
}

/// Mirrored at both ends as often as it takes.
Value reflected(Call &c, Value at, const Axis &axis) {
  ScalarType dtype = dtypeOf(at);
  double low = axis.alignCorners ? 0 : -0.5;
  Expr length = axis.alignCorners ? axis.size - 1 : axis.size;
  if (length.isConstant(0))
    return c.binary<rt::MulOp>(at, c.number(0, dtype));
  Value span = numberOf(c, at, length);
  Value distance = c.unary<rt::AbsOp>(c.binary<rt::SubOp>(at, c.number(low, dtype)));
  Value extra = c.binary<rt::FmodOp>(distance, span);
  Value flips = c.unary<rt::FloorOp>(c.binary<rt::DivOp>(distance, span));
  Value odd = c.compare<rt::NeOp>(c.binary<rt::FmodOp>(flips, c.number(2, dtype)),
                                  c.number(0, dtype));
  Value inside = c.where(odd, c.binary<rt::SubOp>(span, extra), extra);
  return c.binary<rt::AddOp>(inside, c.number(low, dtype));
}

Value bordered(Call &c, Value at, const Axis &axis) {
  if (axis.border == Border::Zeros)
    return at;
  if (axis.border == Border::Reflection)
    at = reflected(c, at, axis);
  Value last = numberOf(c, at, axis.size - 1);
  return c.binary<rt::MinimumOp>(c.binary<rt::MaximumOp>(at, c.number(0, dtypeOf(at))),
                                 last);
}

/// Whole coordinates as indices of an image's dims, and where they are inside of it.
struct Places {
  std::vector<Value> indices;
  std::vector<int64_t> dims;
  Value inside;
};

Places placesOf(Call &c, const Expr &batch, const std::vector<Value> &at,
                const std::vector<Axis> &axes) {
  Places p{{c.countAlong(batch, 0, rankOf(at[0]))}, {0}, {}};
  for (size_t i = 0; i < axes.size(); ++i) {
    Value last = numberOf(c, at[i], axes[i].size - 1);
    Value fits = c.binary<rt::BitwiseAndOp>(
        c.compare<rt::GeOp>(at[i], c.number(0, dtypeOf(at[i]))),
        c.compare<rt::LeOp>(at[i], last));
    p.inside = p.inside ? c.binary<rt::BitwiseAndOp>(p.inside, fits) : fits;
    p.indices.push_back(toIndex(c, at[i], axes[i].size));
    p.dims.push_back(2 + static_cast<int64_t>(i));
  }
  return p;
}

/// Pixels at whole coordinates, 0 outside of the image: [N, C, ...] for [N, ...].
Value pixelsAt(Call &c, Value image, const std::vector<Value> &at,
               const std::vector<Axis> &axes) {
  Places p = placesOf(c, sizeOf(image, 0), at, axes);
  // The channels come last, and go behind the batch.
  int64_t rank = rankOf(at[0]);
  std::vector<int64_t> order = allDims(rank + 1);
  order.erase(order.end() - 1);
  order.insert(order.begin() + 1, rank);
  Value pixels = c.permute(c.index(image, p.indices, p.dims, 0, false), order);
  return c.where(c.unsqueeze(p.inside, 1), pixels, c.number(0, dtypeOf(pixels)));
}

/// The sum over all combinations of taps along each axis.
Value sampleTaps(Call &c, Value image, const std::vector<Taps> &taps,
                 const std::vector<Axis> &axes) {
  Value sum;
  std::vector<Value> at;
  std::function<void(size_t, Value)> walk = [&](size_t axis, Value weight) {
    if (axis == axes.size()) {
      Value part =
          c.binary<rt::MulOp>(pixelsAt(c, image, at, axes), c.unsqueeze(weight, 1));
      sum = sum ? c.binary<rt::AddOp>(sum, part) : part;
      return;
    }
    for (auto [place, own] : llvm::zip_equal(taps[axis].places, taps[axis].weights)) {
      at.push_back(place);
      walk(axis + 1, weight ? c.binary<rt::MulOp>(weight, own) : own);
      at.pop_back();
    }
  };
  walk(0, {});
  return sum;
}

Taps gridTaps(Call &c, Value at, const Axis &axis, Sampling sampling) {
  ScalarType dtype = dtypeOf(at);
  Value floor = c.unary<rt::FloorOp>(at), one = c.number(1, dtype);
  Value part = c.binary<rt::SubOp>(at, floor);
  if (sampling == Sampling::Linear)
    return {{floor, c.binary<rt::AddOp>(floor, one)},
            {c.binary<rt::SubOp>(one, part), part}};
  Taps taps{{}, cubicWeights(c, part)};
  for (int offset = -1; offset <= 2; ++offset)
    taps.places.push_back(
        bordered(c, c.binary<rt::AddOp>(floor, c.number(offset, dtype)), axis));
  return taps;
}

/// What a call samples: the coordinates in pixels along each axis of the image, as
/// the grid gives them and with the border's treatment.
struct Samples {
  Value image, grid;
  Sampling sampling = Sampling::Linear;
  std::vector<Axis> axes;
  std::vector<Value> raw, at;
};

std::optional<Samples> samplesOf(Call &c) {
  Samples s;
  s.image = widened(c, c.tensor("input")), s.grid = widened(c, c.tensor("grid"));
  if (!s.image || !s.grid)
    return std::nullopt;
  const int64_t spatial = rankOf(s.image) - 2;
  auto border = static_cast<Border>(c.integer("padding_mode").value_or(0));
  s.sampling = static_cast<Sampling>(c.integer("interpolation_mode").value_or(0));
  for (int64_t i = 0; i < spatial; ++i) {
    Axis axis{sizeOf(s.image, 2 + i), border, c.boolean("align_corners")};
    // The grid's last dim begins with the last axis.
    Value at = c.select(s.grid, rankOf(s.grid) - 1, Expr(spatial - 1 - i));
    at = toPixels(c, at, axis);
    if (!at)
      return std::nullopt;
    s.raw.push_back(at);
    s.at.push_back(s.sampling == Sampling::Cubic ? at : bordered(c, at, axis));
    s.axes.push_back(axis);
  }
  return s;
}

Value gridSample(Call &c) {
  std::optional<Samples> s = samplesOf(c);
  if (!s)
    return {};
  Value result;
  if (s->sampling == Sampling::Nearest) {
    for (Value &at : s->at)
      at = c.unary<rt::RoundOp>(at);
    result = pixelsAt(c, s->image, s->at, s->axes);
  } else {
    std::vector<Taps> taps;
    for (size_t i = 0; i < s->axes.size(); ++i)
      taps.push_back(gridTaps(c, s->at[i], s->axes[i], s->sampling));
    result = sampleTaps(c, s->image, taps, s->axes);
  }
  return rowMajor(c, c.convert(result, dtypeOf(c.tensor("input"))));
}

//===----------------------------------------------------------------------===//
// Its gradient
//===----------------------------------------------------------------------===//

/// How fast the bordered coordinate moves with the grid's; 0 where it is held.
Value slopeOfCoordinate(Call &c, Value raw, const Axis &axis) {
  ScalarType dtype = dtypeOf(raw);
  Value zero = c.number(0, dtype);
  Value slope = c.binary<rt::DivOp>(
      numberOf(c, raw, axis.alignCorners ? axis.size - 1 : axis.size),
      c.number(2, dtype));
  if (axis.border == Border::Zeros)
    return slope;
  if (axis.border == Border::Reflection) {
    double low = axis.alignCorners ? 0 : -0.5;
    Expr length = axis.alignCorners ? axis.size - 1 : axis.size;
    if (length.isConstant(0))
      return c.binary<rt::MulOp>(raw, zero);
    Value distance = c.binary<rt::SubOp>(raw, c.number(low, dtype));
    Value flips = c.unary<rt::FloorOp>(
        c.binary<rt::DivOp>(c.unary<rt::AbsOp>(distance), numberOf(c, raw, length)));
    Value odd =
        c.compare<rt::NeOp>(c.binary<rt::FmodOp>(flips, c.number(2, dtype)), zero);
    Value before = c.compare<rt::LtOp>(distance, zero);
    slope = c.where(c.binary<rt::BitwiseXorOp>(odd, before), c.unary<rt::NegOp>(slope),
                    slope);
    raw = reflected(c, raw, axis);
  }
  Value free = c.binary<rt::BitwiseAndOp>(
      c.compare<rt::GtOp>(raw, zero),
      c.compare<rt::LtOp>(raw, numberOf(c, raw, axis.size - 1)));
  return c.where(free, slope, zero);
}

/// Derivatives of `cubicWeights`.
std::vector<Value> cubicSlopes(Call &c, Value t) {
  constexpr double kA = -0.75;
  auto number = [&](double value) { return c.number(value, dtypeOf(t)); };
  auto square = [&](Value x, double p, double q, double r) {
    Value sum = c.binary<rt::AddOp>(c.binary<rt::MulOp>(x, number(p)), number(q));
    return c.binary<rt::AddOp>(c.binary<rt::MulOp>(sum, x), number(r));
  };
  auto near = [&](Value x) { return square(x, 3 * (kA + 2), -2 * (kA + 3), 0); };
  auto far = [&](Value x) { return square(x, 3 * kA, -10 * kA, 8 * kA); };
  Value one = number(1), rest = c.binary<rt::SubOp>(one, t);
  return {far(c.binary<rt::AddOp>(t, one)), near(t), c.unary<rt::NegOp>(near(rest)),
          c.unary<rt::NegOp>(far(c.binary<rt::AddOp>(rest, one)))};
}

/// Taps, and how their weights move with the coordinate (empty if they do not).
struct MovingTaps : Taps {
  std::vector<Value> slopes;
};

MovingTaps movingTaps(Call &c, Value at, const Axis &axis, Sampling sampling) {
  Value one = c.number(1, dtypeOf(at));
  if (sampling == Sampling::Nearest)
    return {{{c.unary<rt::RoundOp>(at)}, {one}}, {}};
  MovingTaps taps{gridTaps(c, at, axis, sampling), {}};
  if (sampling == Sampling::Linear)
    taps.slopes = {c.number(-1, dtypeOf(at)), one};
  else
    taps.slopes = cubicSlopes(c, c.binary<rt::SubOp>(at, c.unary<rt::FloorOp>(at)));
  return taps;
}

Value addUp(Call &c, Value sum, Value part) {
  return sum ? c.binary<rt::AddOp>(sum, part) : part;
}

/// Collects both gradients tap by tap.
struct GridGradient {
  Call &c;
  const Samples &s;
  Value g; ///< of the result, [N, C, ...]
  std::vector<MovingTaps> taps;
  bool wantsImage, wantsGrid;
  Value image;             ///< the image's gradient so far
  std::vector<Value> axes; ///< the coordinates' along each axis, of the image's pixels

  /// One tap of each axis: the pixel gets its weight of the gradient, and the
  /// coordinate the pixel times the weight's slope.
  void add(const std::vector<size_t> &chosen) {
    std::vector<Value> at;
    for (size_t i = 0; i < chosen.size(); ++i)
      at.push_back(taps[i].places[chosen[i]]);
    auto product = [&](size_t moving) {
      Value result;
      for (size_t i = 0; i < chosen.size(); ++i) {
        Value factor = (i == moving ? taps[i].slopes : taps[i].weights)[chosen[i]];
        result = result ? c.binary<rt::MulOp>(result, factor) : factor;
      }
      return result;
    };
    if (wantsImage)
      addToImage(at, product(chosen.size()));
    if (!wantsGrid || taps[0].slopes.empty())
      return;
    Value pixels = c.binary<rt::MulOp>(pixelsAt(c, s.image, at, s.axes), g);
    Value sum = c.reduce<rt::SumOp>(pixels, {1}, false);
    for (size_t i = 0; i < chosen.size(); ++i)
      axes[i] = addUp(c, axes[i], c.binary<rt::MulOp>(sum, product(i)));
  }

  void addToImage(const std::vector<Value> &at, Value weight) {
    Places p = placesOf(c, sizeOf(s.image, 0), at, s.axes);
    weight = c.where(p.inside, weight, c.number(0, dtypeOf(weight)));
    Value part = c.binary<rt::MulOp>(g, c.unsqueeze(weight, 1));
    if (!part)
      return;
    std::vector<int64_t> order = allDims(rankOf(part)); // channels last
    std::rotate(order.begin() + 1, order.begin() + 2, order.end());
    image =
        c.scatter(image, p.indices, c.permute(part, order), p.dims, 0, false, "add");
  }
};

Results gridSampleBackward(Call &c) {
  std::optional<Samples> s = samplesOf(c);
  Value g = widened(c, c.tensor("grad_output"));
  if (!s || !g)
    return mlir::failure();
  std::vector<bool> wanted = outputMask(c);
  const size_t spatial = s->axes.size();
  GridGradient gradient{c,         *s,        g,  {},
                        wanted[0], wanted[1], {}, std::vector<Value>(spatial)};
  gradient.image = c.full(Scalar::of(0.0), dtypeOf(s->image), sizesOf(s->image));
  for (size_t i = 0; i < spatial; ++i)
    gradient.taps.push_back(movingTaps(c, s->at[i], s->axes[i], s->sampling));
  std::vector<size_t> chosen(spatial, 0);
  for (size_t axis = 0; axis < spatial;) {
    if (axis == 0)
      gradient.add(chosen);
    if (++chosen[axis] < gradient.taps[axis].places.size()) {
      axis = 0;
      continue;
    }
    chosen[axis++] = 0;
  }
  std::vector<Value> results(2);
  if (wanted[0])
    results[0] = rowMajor(c, c.convert(gradient.image, dtypeOf(c.tensor("input"))));
  if (wanted[1] && s->sampling == Sampling::Nearest) {
    results[1] = c.full(Scalar::of(0.0), dtypeOf(c.tensor("grid")), sizesOf(s->grid));
  } else if (wanted[1]) {
    std::vector<Value> columns;
    for (size_t i = spatial; i-- > 0;) { // the last axis comes first
      Value slope = s->sampling == Sampling::Cubic
                        ? slopeOfCoordinate(
                              c, s->raw[i],
                              {s->axes[i].size, Border::Zeros, s->axes[i].alignCorners})
                        : slopeOfCoordinate(c, s->raw[i], s->axes[i]);
      Value column = c.binary<rt::MulOp>(gradient.axes[i], slope);
      columns.push_back(column ? c.unsqueeze(column, rankOf(column)) : column);
    }
    Value moved = c.cat(columns, rankOf(s->grid) - 1);
    results[1] = rowMajor(c, c.convert(moved, dtypeOf(c.tensor("grid"))));
  }
  for (size_t i = 0; i < 2; ++i)
    if (wanted[i] && !results[i])
      return mlir::failure();
  return results;
}

/// [-1, 1] for each pixel of an axis: its ends are the centres or the edges of the
/// outer pixels.
Value axisCoordinates(Call &c, const Expr &size, bool alignCorners, ScalarType dtype) {
  if (size.isConstant(1))
    return c.full(Scalar::of(0.0), dtype, {1});
  Value line = linspace(c, c.number(-1, dtype), c.number(1, dtype), size);
  if (alignCorners)
    return line;
  return c.binary<rt::DivOp>(
      c.binary<rt::MulOp>(line, c.full(Scalar::of(size - 1), dtype)),
      c.full(Scalar::of(size), dtype));
}

Value affineGrid(Call &c) {
  Value theta = c.tensor("theta");
  if (!theta)
    return theta;
  Dims size = c.exprs("size");
  int64_t spatial = static_cast<int64_t>(size.size()) - 2;
  ScalarType dtype = dtypeOf(theta);
  Dims image(size.begin() + 2, size.end());
  Value grid; // [N, ..., spatial]: the sum of each coordinate times its column
  auto column = [&](int64_t i) {
    Value part = c.select(theta, 2, Expr(i)); // [N, spatial]
    for (int64_t dim = 0; dim < spatial; ++dim)
      part = c.unsqueeze(part, 1);
    return part;
  };
  for (int64_t i = 0; i < spatial; ++i) {
    int64_t dim = spatial - 1 - i;
    Value line = axisCoordinates(c, image[dim], c.boolean("align_corners"), dtype);
    for (int64_t after = dim; after < spatial; ++after)
      line = c.unsqueeze(line, rankOf(line));
    Value part = c.binary<rt::MulOp>(line, column(i));
    grid = grid ? c.binary<rt::AddOp>(grid, part) : part;
  }
  Value result = c.binary<rt::AddOp>(grid, column(spatial));
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
                : result;
}

} // namespace

void addGridRules(RuleTable &table) {
  addRule(table,
          {"aten.grid_sampler.default", "aten.grid_sampler_2d.default",
           "aten.grid_sampler_3d.default"},
          gridSample);
  addMultiRule(table,
               {"aten.grid_sampler_2d_backward.default",
                "aten.grid_sampler_3d_backward.default"},
               gridSampleBackward);
  addRule(table, {"aten.affine_grid_generator.default"}, affineGrid);
}

} // namespace rtorch::translate
