#include "runtime/layout/Interval.h"

#include <algorithm>

namespace rtorch::layout::interval {

static bool isInfinite(int64_t bound) {
  return bound == INT64_MIN || bound == INT64_MAX;
}

static int64_t saturate(__int128 value) {
  if (value >= INT64_MAX)
    return INT64_MAX;
  return value <= INT64_MIN ? INT64_MIN : static_cast<int64_t>(value);
}

static int64_t multiplyBounds(int64_t a, int64_t b) {
  if (a == 0 || b == 0)
    return 0;
  if (isInfinite(a) || isInfinite(b))
    return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
  return saturate(static_cast<__int128>(a) * b);
}

/// `b` is not 0. The quotient of two infinities may be anything; the corners with b's
/// other bound cover that, so the value nearest to zero is right here.
static int64_t divideBounds(int64_t a, int64_t b) {
  if (isInfinite(b))
    return a == 0 || (a < 0) == (b < 0) ? 0 : -1;
  if (isInfinite(a))
    return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
  __int128 quotient = static_cast<__int128>(a) / b;
  if (quotient * b != a && (a < 0) != (b < 0))
    --quotient;
  return saturate(quotient);
}

Range add(Range a, Range b) {
  Range sum;
  sum.min = a.min == INT64_MIN || b.min == INT64_MIN
                ? INT64_MIN
                : saturate(static_cast<__int128>(a.min) + b.min);
  sum.max = a.max == INT64_MAX || b.max == INT64_MAX
                ? INT64_MAX
                : saturate(static_cast<__int128>(a.max) + b.max);
  return sum;
}

Range multiply(Range a, Range b) {
  auto [low, high] =
      std::minmax({multiplyBounds(a.min, b.min), multiplyBounds(a.min, b.max),
                   multiplyBounds(a.max, b.min), multiplyBounds(a.max, b.max)});
  return {low, high};
}

Range power(Range a, unsigned exponent) {
  Range result{1, 1};
  for (unsigned i = 0; i < exponent; ++i)
    result = multiply(result, a);
  if (exponent % 2 == 0 && a.min < 0)
    result.min = a.max < 0 ? result.min : 0; // a square is not negative
  return result;
}

Range floordiv(Range a, Range b) {
  if (b.min == 0)
    b.min = 1;
  if (b.max == 0)
    b.max = -1;
  if (b.min > b.max)
    return {};
  if (b.min < 0 && b.max > 0) {
    Range negative = floordiv(a, {b.min, -1}), positive = floordiv(a, {1, b.max});
    return {std::min(negative.min, positive.min), std::max(negative.max, positive.max)};
  }
  auto [low, high] =
      std::minmax({divideBounds(a.min, b.min), divideBounds(a.min, b.max),
                   divideBounds(a.max, b.min), divideBounds(a.max, b.max)});
  return {low, high};
}

Range mod(Range a, Range b) {
  if (b.min > 0 && a.min >= 0 && a.max < b.min)
    return a;
  Range result{0, 0};
  if (b.max > 0)
    result.max = b.max == INT64_MAX ? INT64_MAX : b.max - 1;
  if (b.min < 0)
    result.min = b.min == INT64_MIN ? INT64_MIN : b.min + 1;
  if (b.min > 0 && a.min >= 0)
    result.max = std::min(result.max, a.max);
  return result;
}

Range min(Range a, Range b) { return {std::min(a.min, b.min), std::min(a.max, b.max)}; }
Range max(Range a, Range b) { return {std::max(a.min, b.min), std::max(a.max, b.max)}; }

Range intersect(Range a, Range b) {
  Range both{std::max(a.min, b.min), std::min(a.max, b.max)};
  return both.min <= both.max ? both : a;
}

} // namespace rtorch::layout::interval
