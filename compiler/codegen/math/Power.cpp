// x^y = e^(y log |x|), with the logarithm in more precision than the result: in f64
// for f32, as an unevaluated sum of two numbers for f64.

#include "compiler/codegen/math/Exponential.h"
#include "compiler/codegen/math/Functions.h"
#include "compiler/codegen/math/Logarithm.h"
#include "compiler/codegen/math/Polynomials.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

/// high + low with |low| at most about one unit in the last place of high.
struct Sum {
  V high, low;
};

/// a + b exactly, for |a| >= |b| or a = 0.
Sum fastSum(V a, V b) {
  V high = a + b;
  return {high, b - (high - a)};
}

/// log m for m in [sqrt(1/2), sqrt(2)) to about 68 bits:
/// with s = (m - 1) / (m + 1), z = s^2: 2s + s (2/3 z + z^2 tail2(z)).
Sum logOfMantissa(V m) {
  Emitter &e = *m.emitter;
  V f = m - 1.0;
  V d = m + 1.0;
  V dLow = m - (d - 1.0);
  V s = f / d;
  V sLow = (fma(-s, d, f) - s * dLow) / d;
  V z = s * s;
  V zLow = fma(s, s, -z) + (s + s) * sLow;
  constexpr double twoThirds = 0x1.5555555555555p-1,
                   twoThirdsLow = 0x1.5555555555555p-55;
  V w = z * twoThirds;
  V wLow = fma(z, e.constant(twoThirds), -w) + zLow * twoThirds + z * twoThirdsLow +
           z * z * polynomial(z, poly::logTail2F64);
  Sum factor = fastSum(w, wLow);
  V v = s * factor.high;
  V vLow = fma(s, factor.high, -v) + s * factor.low + sLow * factor.high;
  Sum result = fastSum(s + s, v);
  return {result.high, result.low + vLow + (sLow + sLow)};
}

/// log x for positive finite x.
Sum logInTwoParts(V x) {
  Emitter &e = *x.emitter;
  auto [k, m] = reduceLog(x);
  Sum mantissa = logOfMantissa(m);
  Sum result = fastSum(k * ln2High(e), mantissa.high);
  return {result.high, result.low + fma(k, ln2Low(e), mantissa.low)};
}

/// What log gives at zero, infinity and NaN; x is not negative.
V fixLogEnds(V x, V result) {
  Emitter &e = *x.emitter;
  result = select(x < e.infinity(), result, x);
  return select(x == 0.0, -e.infinity(), result);
}

/// a^y for a >= 0 in f64; y infinite where a = 1 gives NaN.
V powOfPositiveF64(V a, V y) {
  Emitter &e = *a.emitter;
  Sum logarithm = logInTwoParts(a);
  V high = fixLogEnds(a, logarithm.high);
  V t = y * high;
  V tLow = fma(y, high, -t) + y * logarithm.low;
  tLow = select(abs(t) < 1e4, tLow, e.constant(0));
  ExpReduction reduced = reduceExp(clamp(t, -746, 710));
  return scaleByPowerOfTwo(expOfReduced(reduced.r + tLow), reduced.n);
}

/// a^y for a >= 0 held in f64 but f32 by origin, to 40 bits.
V powOfPositiveF32(V a, V y) {
  auto [k, m] = reduceLogOfNormal(a);
  V f = m - 1.0;
  V s = f / (m + 1.0);
  V z = s * s;
  V mantissa = fma(s * z, polynomial(z, poly::logTailMid), s + s);
  V logarithm = fixLogEnds(a, fma(k, 0x1.62e42fefa39efp-1, mantissa));
  // Beyond the clamp the result is zero or infinity in f32.
  ExpReduction reduced = reduceExp(clamp(y * logarithm, -200, 200));
  V r = reduced.r;
  V p = fma(r * r, polynomial(r, poly::expTailMid), r) + 1.0;
  return p * powerOfTwo(reduced.n);
}

V powOfPositive(V a, V y) {
  Emitter &e = *a.emitter;
  if (e.isF64())
    return powOfPositiveF64(a, y);
  OpBuilder &b = e.builder();
  Type wideType = e.withElement(b.getF64Type());
  Emitter wide(b, e.loc(), wideType);
  V wideA = wide.wrap(arith::ExtFOp::create(b, e.loc(), wideType, a.value));
  V wideY = wide.wrap(arith::ExtFOp::create(b, e.loc(), wideType, y.value));
  V result = powOfPositiveF32(wideA, wideY);
  return e.wrap(arith::TruncFOp::create(b, e.loc(), e.type(), result.value));
}

} // namespace

V emitPow(V x, V y) {
  Emitter &e = *x.emitter;
  V a = abs(x);
  V result = powOfPositive(a, y);
  // 1^infinity.
  result = select((a == 1.0) & (abs(y) == e.infinity()), 1.0, result);
  V isInteger = trunc(y) == y;
  V half = y * 0.5;
  V isOdd = isInteger & (trunc(half) != half);
  V negative = copysign(e.constant(1), x) < 0.0;
  result = select(negative & isOdd, -result, result);
  // A negative number other than zero and infinity to a fraction.
  V undefined = (x < 0.0) & (a < e.infinity()) & (trunc(y) != y);
  result = select(undefined, e.nan(), result);
  return select((y == 0.0) | (x == 1.0), 1.0, result);
}

} // namespace rtorch::codegen
