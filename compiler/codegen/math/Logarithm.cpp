// log x and its kin: x = 2^k (1 + f), log(1 + f) by the series of atanh(f / (2 + f)).

#include "compiler/codegen/math/Logarithm.h"
#include "compiler/codegen/math/Functions.h"
#include "compiler/codegen/math/Polynomials.h"

namespace rtorch::codegen {
namespace {

constexpr double log2E = 0x1.71547652b82fep+0;
constexpr double log10E = 0x1.bcb7b1526e50ep-2;

/// The part of `value` that is left when `high` is taken off, rounded to the type.
struct Split {
  double high, low;
};
Split splitLog10Of2(const Emitter &e) {
  return e.isF64() ? Split{0x1.34413509f6p-2, 0x1.9fef311f12b36p-42}
                   : Split{0x1.344p-2, 0x1.3509f79fef312p-18};
}
Split splitLog2E(const Emitter &e) {
  return e.isF64() ? Split{log2E, 0x1.777d0ffda0d24p-56}
                   : Split{0x1.715476p+0, 0x1.4ae0bf85ddf44p-26};
}
Split splitLog10E(const Emitter &e) {
  return e.isF64() ? Split{log10E, 0x1.95355baaafad3p-57}
                   : Split{0x1.bcb7b2p-2, -0x1.5b235e39ab2a9p-27};
}

/// f - log(1 + f) + `extra` (small), of which f has the leading bits of the result.
/// With s = f/(2 + f): log(1 + f) = f - f^2/2 + s (f^2/2 + s^2 tail(s^2)).
V negativeTail(V f, V extra) {
  Emitter &e = *f.emitter;
  V s = f / (f + 2.0);
  V z = s * s;
  V tail = z * (e.isF64() ? polynomial(z, poly::logTailF64)
                          : polynomial(z, poly::logTailF32));
  V halfSquare = (f * 0.5) * f;
  return halfSquare - fma(s, halfSquare + tail, extra);
}

/// log(1 + f) for 1 + f within [sqrt(1/2), sqrt(2)).
V logOfReduced(V f) { return f - negativeTail(f, f.emitter->constant(0)); }

} // namespace

double ln2High(const Emitter &e) { return e.isF64() ? 0x1.62e42feep-1 : 0x1.62e4p-1; }
double ln2Low(const Emitter &e) {
  return e.isF64() ? 0x1.a39ef35793c76p-33 : 0x1.7f7d1cf79abcap-20;
}

LogReduction reduceLogOfNormal(V x) {
  Emitter &e = *x.emitter;
  unsigned shift = e.mantissaBits();
  // Bits of sqrt(1/2): subtracting them moves the border between exponents there.
  uint64_t offset = e.isF64() ? 0x3fe6a09e667f3bcd : 0x3f3504f3;
  uint64_t one = uint64_t(e.exponentBias()) << shift;
  V biased = e.addInt(e.bits(x), e.intConstant(one - offset));
  // The biased exponent as a float: put below 2^shift, which is then taken off.
  uint64_t pad = uint64_t(e.exponentBias() + shift) << shift;
  V field = e.orInt(e.shiftRightLogical(biased, shift), e.intConstant(pad));
  V exponent = e.fromBits(field) - (double(uint64_t(1) << shift) + e.exponentBias());
  V fraction = e.andInt(biased, e.intConstant((uint64_t(1) << shift) - 1));
  return {exponent, e.fromBits(e.addInt(fraction, e.intConstant(offset)))};
}

LogReduction reduceLog(V x) {
  Emitter &e = *x.emitter;
  V subnormal = x < e.smallestNormal();
  double up = e.isF64() ? 0x1p54 : 0x1p25;
  LogReduction result = reduceLogOfNormal(select(subnormal, x * up, x));
  V correction = select(subnormal, e.constant(e.isF64() ? -54 : -25), 0.0);
  result.exponent = result.exponent + correction;
  return result;
}

V fixLogSpecials(V x, V result) {
  Emitter &e = *x.emitter;
  // Infinity and NaN are their own logarithm.
  result = select(x < e.infinity(), result, x);
  result = select(x < 0.0, e.nan(), result);
  return select(x == 0.0, -e.infinity(), result);
}

V emitLog(V x) {
  Emitter &e = *x.emitter;
  auto [k, m] = reduceLog(x);
  V f = m - 1.0;
  V result = fma(k, ln2High(e), f - negativeTail(f, k * ln2Low(e)));
  return fixLogSpecials(x, result);
}

V emitLog1p(V x) {
  Emitter &e = *x.emitter;
  V u = x + 1.0;
  auto [k, m] = reduceLogOfNormal(u);
  // Near 0, x itself is f. Elsewhere what rounding took from u comes back as c / u.
  V small = k == 0.0;
  V f = select(small, x, m - 1.0);
  V lost = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x));
  V c = select(small, e.constant(0), lost / u);
  V result = fma(k, ln2High(e), f - negativeTail(f, fma(k, ln2Low(e), c)));
  // Also keeps the sign of zero.
  result = select(abs(x) < (e.isF64() ? 0x1p-54 : 0x1p-25), x, result);
  return fixLogSpecials(u, result);
}

V emitLog2(V x) {
  Emitter &e = *x.emitter;
  auto [k, m] = reduceLog(x);
  V y = logOfReduced(m - 1.0);
  Split scale = splitLog2E(e);
  V result = fma(y, scale.high, fma(y, scale.low, k));
  return fixLogSpecials(x, result);
}

V emitLog10(V x) {
  Emitter &e = *x.emitter;
  auto [k, m] = reduceLog(x);
  V y = logOfReduced(m - 1.0);
  Split two = splitLog10Of2(e), scale = splitLog10E(e);
  V small = fma(y, scale.low, k * two.low);
  V result = fma(k, two.high, fma(y, scale.high, small));
  return fixLogSpecials(x, result);
}

} // namespace rtorch::codegen
