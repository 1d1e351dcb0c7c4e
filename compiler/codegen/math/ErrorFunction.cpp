// erf and erfc. The tail is erfc a = e^(-a^2) erfcx a, where (1 + 2a) erfcx a is nearly
// constant over all a >= 0 as a function of (a - c) / (a + c) (M. M. Shepherd and
// J. G. Laframboise, Math. Comp. 36, 1981).

#include "compiler/codegen/math/Exponential.h"
#include "compiler/codegen/math/Functions.h"
#include "compiler/codegen/math/Polynomials.h"

namespace rtorch::codegen {
namespace {

/// erfc a for a >= 0.
V erfcOfPositive(V a) {
  Emitter &e = *a.emitter;
  // Beyond the clamp the result is zero.
  a = clamp(a, 0, e.isF64() ? 27.3 : 10.1);
  double center = e.isF64() ? 4 : 2;
  V t = (a - center) / (a + center);
  V scaled =
      e.isF64() ? polynomial(t, poly::erfcTailF64) : polynomial(t, poly::erfcTailF32);
  // a^2 = square + rest exactly: e^-square (1 - rest).
  V square = a * a;
  V rest = fma(a, a, -square);
  ExpReduction reduced = reduceExp(-square);
  V p = expOfReduced(reduced.r);
  p = fma(p, -rest, p);
  return scaleByPowerOfTwo(p * (scaled / fma(a, 2.0, 1.0)), reduced.n);
}

/// erf a for a >= 1.
V erfOfLarge(V a) {
  if (a.emitter->isF64())
    return 1.0 - erfcOfPositive(a);
  // Beyond 4 the result is 1 in working precision, and 1 + erf x is 0 below -4.
  return select(a > 4.0, 1.0, polynomial(clamp(a, 1, 4) - 2.5, poly::erfLargeF32));
}

V erfOfSmall(V x) {
  V z = x * x;
  V tail = x.emitter->isF64() ? polynomial(z, poly::erfSmallF64)
                              : polynomial(z, poly::erfSmallF32);
  return fma(x, tail, x);
}

} // namespace

V emitErf(V x) {
  V a = abs(x);
  // Unordered goes to the side that keeps NaN: both do.
  return select(a < 1.0, erfOfSmall(x), copysign(erfOfLarge(a), x));
}

V emitErfc(V x) {
  V tail = erfcOfPositive(abs(x));
  V result = select(x < 0.0, 2.0 - tail, tail);
  return select(abs(x) < 0.25, 1.0 - erfOfSmall(x), result);
}

} // namespace rtorch::codegen
