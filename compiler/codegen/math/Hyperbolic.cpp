// Hyperbolic functions and their inverses, by way of e^x - 1 and log(1 + x).

#include "compiler/codegen/math/Exponential.h"
#include "compiler/codegen/math/Functions.h"

namespace rtorch::codegen {
namespace {

constexpr double ln2 = 0x1.62e42fefa39efp-1;

} // namespace

V emitSinh(V x) {
  V a = abs(x);
  // With q = (e^a - 1) / 4: sinh a = 2 (q + q / (4q + 1)); the second term is below
  // half a unit in the last place, or infinity over infinity, for large a.
  V q = quarterExpm1(a);
  V result = select(a > 40.0, q, q + q / fma(q, 4.0, 1.0)) * 2.0;
  bool isF64 = x.emitter->isF64();
  result = select(a < (isF64 ? 0x1p-27 : 0x1p-12), a, result);
  return copysign(result, x);
}

V emitCosh(V x) {
  V half = halfExp(abs(x));
  return half + 0.25 / half;
}

V emitTanh(V x) {
  bool isF64 = x.emitter->isF64();
  // tanh a = (e^2a - 1) / (e^2a + 1); 1 in working precision beyond the clamp.
  V a = clamp(abs(x), 0, isF64 ? 20 : 10);
  V u = quarterExpm1(a * 2.0) * 2.0;
  V ratio = u / (u + 1.0);
  // u - u^2 / (u + 1) rounds less where u is small.
  V result = select(u < 0.5, fma(-u, ratio, u), ratio);
  result = select(a < (isF64 ? 0x1p-27 : 0x1p-12), a, result);
  return copysign(result, x);
}

V emitAsinh(V x) {
  Emitter &e = *x.emitter;
  V a = abs(x);
  // Beyond the limit a^2 + 1 = a^2 in working precision; its square may overflow.
  V large = a > (e.isF64() ? 0x1p28 : 0x1p13);
  V square = a * a;
  V small = a + square / (sqrt(square + 1.0) + 1.0);
  V result =
      emitLog1p(select(large, a - 1.0, small)) + select(large, e.constant(ln2), 0.0);
  return copysign(result, x);
}

V emitAcosh(V x) {
  Emitter &e = *x.emitter;
  V large = x > (e.isF64() ? 0x1p28 : 0x1p13);
  V t = x - 1.0;
  V small = t + sqrt(fma(t, t, t * 2.0));
  V result =
      emitLog1p(select(large, x - 1.0, small)) + select(large, e.constant(ln2), 0.0);
  return select(x < 1.0, e.nan(), result);
}

V emitAtanh(V x) {
  V a = abs(x);
  // Beyond 1 the argument of log1p is below -1, which gives NaN.
  V result = emitLog1p((a + a) / (1.0 - a)) * 0.5;
  bool isF64 = x.emitter->isF64();
  result = select(a < (isF64 ? 0x1p-27 : 0x1p-12), a, result);
  return copysign(result, x);
}

} // namespace rtorch::codegen
