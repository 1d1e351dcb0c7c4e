#include "runtime/layout/Layout.h"

#include <algorithm>
#include <numeric>

namespace rtorch::layout {

std::optional<std::pair<Expr, Expr>> touchedRange(const Layout &x,
                                                  const Guards &guards) {
  Expr last = x.offset;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (guards.query(Relation::Eq, x.sizes[i], 0) == Answer::Proven)
      return std::nullopt;
    last += (x.sizes[i] - 1) * x.strides[i];
  }
  return std::pair(x.offset, last);
}

namespace {
/// One summand stride * k with lower <= k <= upper.
struct Step {
  __int128 stride, lower, upper;
};

/// Whether a sum of steps can be a given number: an exact search with bounds.
class StepSearch {
public:
  explicit StepSearch(std::vector<Step> steps) : steps_(std::move(steps)) {
    std::sort(steps_.begin(), steps_.end(),
              [](const Step &a, const Step &b) { return a.stride > b.stride; });
    // Bounds and common divisor of what the steps from i on can add.
    least_.resize(steps_.size() + 1);
    most_.resize(steps_.size() + 1);
    divisor_.resize(steps_.size() + 1);
    for (size_t i = steps_.size(); i-- > 0;) {
      least_[i] = least_[i + 1] + steps_[i].stride * steps_[i].lower;
      most_[i] = most_[i + 1] + steps_[i].stride * steps_[i].upper;
      divisor_[i] = std::gcd(divisor_[i + 1], static_cast<int64_t>(steps_[i].stride));
    }
  }

  Answer reaches(__int128 target) {
    bool found = search(0, target);
    return found ? Answer::Proven : budget_ > 0 ? Answer::Refuted : Answer::Open;
  }

private:
  static __int128 floorDivide(__int128 a, __int128 b) { // b > 0
    __int128 quotient = a / b;
    return a % b != 0 && a < 0 ? quotient - 1 : quotient;
  }

  bool search(size_t i, __int128 target) {
    if (target < least_[i] || target > most_[i])
      return false;
    if (i == steps_.size())
      return true; // both bounds are 0
    if (target % divisor_[i] != 0)
      return false;
    const Step &step = steps_[i];
    // The k that leave a rest the later steps can add.
    __int128 from =
        std::max(step.lower, -floorDivide(most_[i + 1] - target, step.stride));
    __int128 to =
        std::min(step.upper, floorDivide(target - least_[i + 1], step.stride));
    for (__int128 k = from; k <= to && budget_ > 0; ++k) {
      --budget_;
      if (search(i + 1, target - k * step.stride))
        return true;
    }
    return false;
  }

  std::vector<Step> steps_;
  std::vector<__int128> least_, most_;
  std::vector<int64_t> divisor_;
  int64_t budget_ = 100000;
};

/// The dims that step through memory: size > 1, stride not 0; nullopt if some size or
/// stride is not a number in the range where sums cannot overflow.
std::optional<std::vector<std::pair<int64_t, int64_t>>> numericDims(const Layout &x) {
  constexpr int64_t limit = INT64_C(1) << 56;
  std::vector<std::pair<int64_t, int64_t>> dims;
  for (size_t i = 0; i < x.rank(); ++i) {
    std::optional<int64_t> size = x.sizes[i].constant(),
                           stride = x.strides[i].constant();
    if (!size || !stride || *size > limit || *stride < 0 || *stride > limit)
      return std::nullopt;
    if (*size > 1 && *stride != 0)
      dims.emplace_back(*size, *stride);
  }
  return dims;
}

/// Exact for numbers: do indices exist with offset + index * strides equal?
std::optional<Answer> overlapOfNumbers(const Layout &a, const Layout &b) {
  auto dimsOfA = numericDims(a), dimsOfB = numericDims(b);
  std::optional<int64_t> oa = a.offset.constant(), ob = b.offset.constant();
  if (!dimsOfA || !dimsOfB || !oa || !ob)
    return std::nullopt;
  std::vector<Step> steps;
  auto add = [&](int64_t stride, int64_t lower, int64_t upper) {
    for (Step &step : steps)
      if (step.stride == stride) {
        step.lower += lower;
        step.upper += upper;
        return;
      }
    steps.push_back({stride, lower, upper});
  };
  for (auto [size, stride] : *dimsOfA)
    add(stride, 0, size - 1);
  for (auto [size, stride] : *dimsOfB)
    add(stride, 1 - size, 0);
  return StepSearch(std::move(steps)).reaches(static_cast<__int128>(*ob) - *oa);
}

/// What the summands that are not multiples of `period` can add to the distance from an
/// element of `a` to one of `b`; unbounded where not known.
Range distanceModulo(const Layout &a, const Layout &b, int64_t period,
                     const Guards &guards) {
  auto isMultiple = [&](const Expr &e) { return mod(e, period).isConstant(0); };
  Expr least = mod(b.offset - a.offset, period), most = least;
  for (const auto &[x, isA] : {std::pair(&a, true), std::pair(&b, false)})
    for (size_t i = 0; i < x->rank(); ++i) {
      if (isMultiple(x->strides[i]))
        continue;
      Expr reach = (x->sizes[i] - 1) * x->strides[i];
      (isA ? least : most) += isA ? -reach : reach;
    }
  return {guards.rangeOf(least).min, guards.rangeOf(most).max};
}

/// Slices of the inner dims of rows: the distance of two elements, up to whole rows,
/// never is a multiple of the row. Rows are tried as given by the constant factors of
/// the strides.
bool missByPeriod(const Layout &a, const Layout &b, const Guards &guards) {
  for (const Layout *x : {&a, &b})
    for (const Expr &stride : x->strides) {
      int64_t period = 0;
      for (const Term &term : stride.terms())
        period = std::gcd(period, term.coefficient == INT64_MIN ? 1 : term.coefficient);
      if (period <= 1)
        continue;
      Range range = distanceModulo(a, b, period, guards);
      if (range.min == INT64_MIN || range.max == INT64_MAX)
        continue;
      int64_t below = *floordiv(Expr(range.min) - 1, period).constant();
      if (*floordiv(range.max, period).constant() == below)
        return true; // no multiple of the period in the range
    }
  return false;
}
} // namespace

Answer mayOverlap(const Layout &a, const Layout &b, const Guards &guards) {
  auto rangeA = touchedRange(a, guards), rangeB = touchedRange(b, guards);
  if (!rangeA || !rangeB)
    return Answer::Refuted; // an empty tensor touches nothing
  if (guards.query(Relation::Lt, rangeA->second, rangeB->first) == Answer::Proven ||
      guards.query(Relation::Lt, rangeB->second, rangeA->first) == Answer::Proven)
    return Answer::Refuted;
  if (std::optional<Answer> exact = overlapOfNumbers(a, b))
    return *exact;
  if (missByPeriod(a, b, guards))
    return Answer::Refuted;
  auto mayBeEmpty = [&](const Layout &x) {
    return std::any_of(x.sizes.begin(), x.sizes.end(), [&](const Expr &size) {
      return guards.query(Relation::Lt, 0, size) != Answer::Proven;
    });
  };
  bool sameStart = guards.query(Relation::Eq, a.offset, b.offset) == Answer::Proven;
  return sameStart && !mayBeEmpty(a) && !mayBeEmpty(b) ? Answer::Proven : Answer::Open;
}

} // namespace rtorch::layout
