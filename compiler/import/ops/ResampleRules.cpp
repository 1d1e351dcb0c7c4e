// Images read between their pixels: upsampling.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Resample.h"

namespace rtorch::translate {

Value linspace(Emitter &e, Value start, Value end, const Expr &steps) {
  if (!start || !end)
    return {};
  ScalarType dtype = dtypeOf(start);
  auto number = [&](const Expr &value) { return e.full(Scalar::of(value), dtype); };
  Value step = e.binary<rt::DivOp>(e.binary<rt::SubOp>(end, start),
                                   number(layout::max(steps - 1, 1)));
  Value index = e.iota(steps);
  Value fromStart =
      e.binary<rt::AddOp>(start, e.binary<rt::MulOp>(step, e.convert(index, dtype)));
  Value left = e.iota(steps, ScalarType::Long, steps - 1, -1);
  Value fromEnd =
      e.binary<rt::SubOp>(end, e.binary<rt::MulOp>(step, e.convert(left, dtype)));
  Value isFirstHalf = e.compare<rt::LtOp>(
      index, e.full(Scalar::of(layout::floordiv(steps, 2)), ScalarType::Long));
  if (steps.isConstant(1))
    return e.expand(start, {1});
  return e.where(isFirstHalf, fromStart, fromEnd);
}

Value toIndex(Call &c, Value coordinate, const Expr &size) {
  Value index = c.convert(coordinate, ScalarType::Long);
  Value last = c.full(Scalar::of(size - 1), ScalarType::Long);
  return c.binary<rt::MinimumOp>(
      c.binary<rt::MaximumOp>(index, c.number(0, ScalarType::Long)), last);
}

std::vector<Value> cubicWeights(Emitter &e, Value t) {
  constexpr double kA = -0.75;
  ScalarType dtype = dtypeOf(t);
  auto number = [&](double value) { return e.number(value, dtype); };
  auto polynomial = [&](Value x, std::initializer_list<double> coefficients) {
    Value sum;
    for (double coefficient : coefficients)
      sum = sum ? e.binary<rt::AddOp>(e.binary<rt::MulOp>(sum, x), number(coefficient))
                : number(coefficient);
    return sum;
  };
  auto near = [&](Value x) { return polynomial(x, {kA + 2, -(kA + 3), 0, 1}); };
  auto far = [&](Value x) { return polynomial(x, {kA, -5 * kA, 8 * kA, -4 * kA}); };
  Value rest = e.binary<rt::SubOp>(number(1), t);
  return {far(e.binary<rt::AddOp>(t, number(1))), near(t), near(rest),
          far(e.binary<rt::AddOp>(rest, number(1)))};
}

namespace {

/// Sizes that the exporter found for the node's result.
Dims resultSizes(Call &c) {
  auto *ref = std::get_if<importer::TensorRef>(&c.node.outputs.front());
  const importer::TensorMeta *meta = ref ? c.graph.value(ref->id).tensor() : nullptr;
  return meta ? meta->sizes : Dims();
}

/// The type that coordinates are computed in.
ScalarType coordinateType(ScalarType dtype) {
  return dtype == ScalarType::Double ? dtype : ScalarType::Float;
}

/// An upsampling op's input, the sizes of its last dims before and after, and the
/// factors that the user gave.
struct Resize {
  Value x;
  Dims in, out;
  std::vector<std::optional<double>> factors;
  bool alignCorners = false;
  bool backward = false; ///< x is the gradient, of size `out`
  ScalarType coordinates = ScalarType::Float;

  int64_t firstDim() const { return rankOf(x) - in.size(); }
};

std::optional<Resize> resizeOf(Call &c, size_t spatial) {
  Resize r;
  r.backward = c.node.find("grad_output");
  r.x = c.tensor(r.backward ? "grad_output" : c.node.find("input") ? "input" : "self");
  if (!r.x)
    return std::nullopt;
  Dims result = resultSizes(c);
  if (rankOf(r.x) != static_cast<int64_t>(spatial) + 2 ||
      result.size() != spatial + 2) {
    c.error() << "expects a tensor of rank " << spatial + 2 << ", but got "
              << rt::tensorType(r.x);
    return std::nullopt;
  }
  Dims sizes = sizesOf(r.x);
  r.in.assign(sizes.begin() + 2, sizes.end());
  r.out.assign(result.begin() + 2, result.end());
  if (r.backward)
    std::swap(r.in, r.out);
  r.alignCorners = c.boolean("align_corners");
  r.coordinates = coordinateType(dtypeOf(r.x));
  r.factors.resize(spatial);
  const importer::Argument *list = c.node.find("scale_factors");
  if (auto *factors = list ? std::get_if<std::vector<double>>(list) : nullptr)
    for (size_t i = 0; i < spatial && i < factors->size(); ++i)
      r.factors[i] = (*factors)[i];
  const std::string_view names[] = {"scales_d", "scales_h", "scales_w"};
  for (size_t i = 0; i < spatial; ++i) {
    std::string_view name = spatial == 1 ? "scales" : names[3 - spatial + i];
    if (std::optional<double> factor = c.real(name))
      r.factors[i] = factor;
  }
  return r;
}

/// Pixels of the source per pixel of the result along dim `i`.
Value stepOf(Call &c, const Resize &r, size_t i) {
  auto number = [&](const Expr &value) {
    return c.full(Scalar::of(value), r.coordinates);
  };
  if (r.alignCorners)
    return c.binary<rt::DivOp>(number(layout::max(r.in[i] - 1, 0)),
                               number(layout::max(r.out[i] - 1, 1)));
  if (r.factors[i] && *r.factors[i] > 0)
    return c.number(1 / *r.factors[i], r.coordinates);
  return c.binary<rt::DivOp>(number(r.in[i]), number(r.out[i]));
}

Value formatted(Call &c, Value result, Value x) {
  if (!result)
    return result;
  layout::MemoryFormat format = layout::suggestMemoryFormat(layoutOf(x), c.guards);
  return c.withStrides(result, layout::stridesOf(format, sizesOf(result)));
}

//===----------------------------------------------------------------------===//
// Nearest neighbours
//===----------------------------------------------------------------------===//

/// The whole factors of a resize that repeats each pixel; empty if it does not.
std::vector<int64_t> wholeFactors(const Resize &r) {
  std::vector<int64_t> factors;
  for (size_t i = 0; i < r.in.size(); ++i) {
    Expr factor = layout::floordiv(r.out[i], r.in[i]);
    std::optional<int64_t> whole = factor.constant();
    if (!whole || *whole < 1 || r.in[i] * factor != r.out[i])
      return {};
    if (r.factors[i] && *r.factors[i] != static_cast<double>(*whole))
      return {};
    factors.push_back(*whole);
  }
  return factors;
}

/// Each pixel as often as its factors say: a copy of an expanded view.
Value repeatPixels(Call &c, const Resize &r, const std::vector<int64_t> &factors) {
  Value x = r.x;
  Dims result = sizesOf(x);
  for (size_t i = 0; i < factors.size(); ++i)
    result[2 + i] = r.out[i];
  layout::MemoryFormat format = layout::suggestMemoryFormat(layoutOf(x), c.guards);
  Dims strides = layout::stridesOf(format, result), split, splitStrides;
  split.assign(result.begin(), result.begin() + 2);
  splitStrides.assign(strides.begin(), strides.begin() + 2);
  for (size_t i = 0; i < factors.size(); ++i) {
    x = c.unsqueeze(x, 3 + 2 * i);
    split.insert(split.end(), {r.in[i], factors[i]});
    splitStrides.insert(splitStrides.end(),
                        {strides[2 + i] * factors[i], strides[2 + i]});
  }
  return c.view(c.clone(c.expand(x, split), splitStrides), result);
}

/// The pixel that each one of the result repeats, along dim `i`.
Value nearestPlaces(Call &c, const Resize &r, size_t i, bool exact) {
  Value at = c.convert(c.iota(r.out[i]), r.coordinates);
  if (exact)
    at = c.binary<rt::AddOp>(at, c.number(0.5, r.coordinates));
  at = c.unary<rt::FloorOp>(c.binary<rt::MulOp>(at, stepOf(c, r, i)));
  return toIndex(c, at, r.in[i]);
}

Value nearest(Call &c, size_t spatial, bool exact) {
  std::optional<Resize> r = resizeOf(c, spatial);
  if (!r)
    return {};
  if (std::vector<int64_t> factors = wholeFactors(*r); !factors.empty())
    return repeatPixels(c, *r, factors);
  Value result = r->x;
  for (size_t i = 0; i < spatial; ++i)
    result = c.indexSelect(result, nearestPlaces(c, *r, i, exact), r->firstDim() + i);
  return formatted(c, result, r->x);
}

/// Each pixel collects the gradients of those that repeat it.
Value nearestBackward(Call &c, size_t spatial, bool exact) {
  std::optional<Resize> r = resizeOf(c, spatial);
  if (!r)
    return {};
  Value result = widened(c, r->x);
  for (size_t i = 0; i < spatial; ++i)
    result = addAlong(c, result, nearestPlaces(c, *r, i, exact), r->firstDim() + i,
                      r->in[i]);
  return formatted(c, c.convert(result, dtypeOf(r->x)), r->x);
}

//===----------------------------------------------------------------------===//
// Weighted neighbours
//===----------------------------------------------------------------------===//

/// Where each pixel of the result lies in the source.
Value sourceCoordinate(Call &c, const Resize &r, size_t i) {
  Value at = c.convert(c.iota(r.out[i]), r.coordinates), step = stepOf(c, r, i);
  if (r.alignCorners)
    return c.binary<rt::MulOp>(at, step);
  Value half = c.number(0.5, r.coordinates);
  return c.binary<rt::SubOp>(c.binary<rt::MulOp>(c.binary<rt::AddOp>(at, half), step),
                             half);
}

Taps linearTaps(Call &c, const Resize &r, size_t i) {
  Value zero = c.number(0, r.coordinates), one = c.number(1, r.coordinates);
  Value at = sourceCoordinate(c, r, i);
  if (!r.alignCorners)
    at = c.binary<rt::MaximumOp>(at, zero);
  Value first = toIndex(c, at, r.in[i]);
  Value next = c.binary<rt::AddOp>(first, c.number(1, ScalarType::Long));
  next =
      c.binary<rt::MinimumOp>(next, c.full(Scalar::of(r.in[i] - 1), ScalarType::Long));
  Value weight = c.binary<rt::SubOp>(at, c.convert(first, r.coordinates));
  weight = c.binary<rt::MinimumOp>(c.binary<rt::MaximumOp>(weight, zero), one);
  return {{first, next}, {c.binary<rt::SubOp>(one, weight), weight}};
}

Taps cubicTaps(Call &c, const Resize &r, size_t i) {
  Value at = sourceCoordinate(c, r, i), floor = c.unary<rt::FloorOp>(at);
  Taps taps{{}, cubicWeights(c, c.binary<rt::SubOp>(at, floor))};
  for (int offset = -1; offset <= 2; ++offset)
    taps.places.push_back(toIndex(
        c, c.binary<rt::AddOp>(floor, c.number(offset, r.coordinates)), r.in[i]));
  return taps;
}

/// The neighbours within `reach` pixels of the coarser of both images, weighted by a
/// function of their distance; the weights add up to 1.
Taps antialiasedTaps(Call &c, const Resize &r, size_t i, double reach,
                     llvm::function_ref<Value(Value)> weightOf) {
  std::optional<int64_t> in = r.in[i].constant(), out = r.out[i].constant();
  double step = r.factors[i] && *r.factors[i] > 0 ? 1 / *r.factors[i] : 0;
  if (r.alignCorners && in && out)
    step = *out > 1 ? static_cast<double>(*in - 1) / static_cast<double>(*out - 1) : 0;
  else if (step == 0 && in && out)
    step = static_cast<double>(*in) / static_cast<double>(*out);
  else if (step == 0) {
    c.error()
        << "expects sizes, or a factor between them, that are known when compiling";
    return {};
  }
  double support = step >= 1 ? reach * step : reach;
  auto number = [&](double value) { return c.number(value, r.coordinates); };
  Value at = c.convert(c.iota(r.out[i]), r.coordinates);
  Value center =
      c.binary<rt::MulOp>(c.binary<rt::AddOp>(at, number(0.5)), stepOf(c, r, i));
  auto edge = [&](double offset) { // truncated, within the image
    Value place =
        c.convert(c.binary<rt::AddOp>(center, number(offset)), ScalarType::Long);
    place = c.binary<rt::MaximumOp>(place, c.number(0, ScalarType::Long));
    return c.binary<rt::MinimumOp>(place,
                                   c.full(Scalar::of(r.in[i]), ScalarType::Long));
  };
  Value first = edge(0.5 - support), end = edge(0.5 + support), total;
  Taps taps;
  int64_t most = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  for (int64_t tap = 0; tap < most; ++tap) {
    Value place = c.binary<rt::AddOp>(
        first, c.number(static_cast<double>(tap), ScalarType::Long));
    Value distance = c.binary<rt::SubOp>(c.convert(place, r.coordinates), center);
    distance = c.binary<rt::MulOp>(c.binary<rt::AddOp>(distance, number(0.5)),
                                   number(step >= 1 ? 1 / step : 1));
    Value weight = c.where(c.compare<rt::LtOp>(place, end),
                           weightOf(c.unary<rt::AbsOp>(distance)), number(0));
    taps.weights.push_back(weight);
    total = total ? c.binary<rt::AddOp>(total, weight) : weight;
    taps.places.push_back(c.binary<rt::MinimumOp>(
        place, c.full(Scalar::of(r.in[i] - 1), ScalarType::Long)));
  }
  for (Value &weight : taps.weights)
    weight = c.binary<rt::DivOp>(weight, total);
  return taps;
}

Taps antialiasedLinearTaps(Call &c, const Resize &r, size_t i) {
  return antialiasedTaps(c, r, i, 1, [&](Value distance) {
    Value rest = c.binary<rt::SubOp>(c.number(1, r.coordinates), distance);
    return c.binary<rt::MaximumOp>(rest, c.number(0, r.coordinates));
  });
}

/// Keys' cubic convolution with a = -0.5.
Taps antialiasedCubicTaps(Call &c, const Resize &r, size_t i) {
  return antialiasedTaps(c, r, i, 2, [&](Value x) {
    auto number = [&](double value) { return c.number(value, r.coordinates); };
    auto polynomial = [&](std::initializer_list<double> coefficients) {
      Value sum;
      for (double coefficient : coefficients)
        sum =
            sum ? c.binary<rt::AddOp>(c.binary<rt::MulOp>(sum, x), number(coefficient))
                : number(coefficient);
      return sum;
    };
    Value far = c.where(c.compare<rt::LtOp>(x, number(2)),
                        polynomial({-0.5, 2.5, -4, 2}), number(0));
    return c.where(c.compare<rt::LtOp>(x, number(1)), polynomial({1.5, -2.5, 0, 1}),
                   far);
  });
}

/// The weighted sum of the taps, dim after dim from the last one.
Value interpolate(Call &c, size_t spatial,
                  llvm::function_ref<Taps(Call &, const Resize &, size_t)> tapsOf) {
  std::optional<Resize> r = resizeOf(c, spatial);
  if (!r)
    return {};
  ScalarType dtype = dtypeOf(r->x);
  if (!isFloat(dtype)) {
    c.error() << "expects a floating-point dtype to interpolate, but got "
              << rt::tensorType(r->x);
    return {};
  }
  Value result = widened(c, r->x);
  for (size_t i = spatial; i-- > 0 && result;) {
    Taps taps = tapsOf(c, *r, i);
    Value sum;
    for (auto [place, weight] : llvm::zip_equal(taps.places, taps.weights)) {
      for (size_t after = i + 1; weight && after < spatial; ++after)
        weight = c.unsqueeze(weight, rankOf(weight));
      Value part =
          c.binary<rt::MulOp>(c.indexSelect(result, place, r->firstDim() + i), weight);
      sum = sum ? c.binary<rt::AddOp>(sum, part) : part;
    }
    result = sum;
  }
  return formatted(c, c.convert(result, dtype), r->x);
}

/// The same sums taken back: each neighbour collects its weight of the gradients.
Value interpolateBackward(
    Call &c, size_t spatial,
    llvm::function_ref<Taps(Call &, const Resize &, size_t)> tapsOf) {
  std::optional<Resize> r = resizeOf(c, spatial);
  if (!r)
    return {};
  Value result = widened(c, r->x);
  for (size_t i = 0; i < spatial && result; ++i) {
    Taps taps = tapsOf(c, *r, i);
    Value sum;
    for (auto [place, weight] : llvm::zip_equal(taps.places, taps.weights)) {
      for (size_t after = i + 1; weight && after < spatial; ++after)
        weight = c.unsqueeze(weight, rankOf(weight));
      Value part = addAlong(c, c.binary<rt::MulOp>(result, weight), place,
                            r->firstDim() + i, r->in[i]);
      sum = sum ? c.binary<rt::AddOp>(sum, part) : part;
    }
    result = sum;
  }
  return formatted(c, c.convert(result, dtypeOf(r->x)), r->x);
}

} // namespace

void addResampleRules(RuleTable &table) {
  for (size_t spatial = 1; spatial <= 3; ++spatial)
    for (const char *overload : {".default", ".vec"}) {
      std::string suffix = std::to_string(spatial) + "d" + overload;
      addRule(table, {"aten.upsample_nearest" + suffix},
              [=](Call &c) { return nearest(c, spatial, false); });
      addRule(table, {"aten._upsample_nearest_exact" + suffix},
              [=](Call &c) { return nearest(c, spatial, true); });
    }
  for (size_t spatial = 1; spatial <= 3; ++spatial) {
    std::string suffix = std::to_string(spatial) + "d_backward.default";
    addRule(table, {"aten.upsample_nearest" + suffix},
            [=](Call &c) { return nearestBackward(c, spatial, false); });
    addRule(table, {"aten._upsample_nearest_exact" + suffix},
            [=](Call &c) { return nearestBackward(c, spatial, true); });
  }
  const struct {
    const char *name;
    size_t spatial;
    Taps (*taps)(Call &, const Resize &, size_t);
  } rows[] = {
      {"aten.upsample_linear1d", 1, linearTaps},
      {"aten.upsample_bilinear2d", 2, linearTaps},
      {"aten.upsample_trilinear3d", 3, linearTaps},
      {"aten.upsample_bicubic2d", 2, cubicTaps},
      {"aten._upsample_bilinear2d_aa", 2, antialiasedLinearTaps},
      {"aten._upsample_bicubic2d_aa", 2, antialiasedCubicTaps},
  };
  for (const auto &row : rows)
    addRule(table, {std::string(row.name) + "_backward.default"},
            [spatial = row.spatial, taps = row.taps](Call &c) {
              return interpolateBackward(c, spatial, taps);
            });
  for (const auto &row : rows)
    for (const char *overload : {".default", ".vec"})
      addRule(table, {std::string(row.name) + overload},
              [spatial = row.spatial, taps = row.taps](Call &c) {
                return interpolate(c, spatial, taps);
              });
  addGridRules(table);
}

} // namespace rtorch::translate
