// Sine, cosine, tangent and their inverses.

#include "compiler/codegen/math/Trigonometry.h"
#include "compiler/codegen/math/Functions.h"
#include "compiler/codegen/math/Polynomials.h"

namespace rtorch::codegen {
namespace {

constexpr double pi = 0x1.921fb54442d18p+1;
constexpr double piLowF64 = 0x1.1a62633145c07p-53;
constexpr double piHighF32 = 0x1.921fb6p+1, piLowF32 = -0x1.777a5cf72cecep-24;

double piHigh(const Emitter &e) { return e.isF64() ? pi : piHighF32; }
double piLow(const Emitter &e) { return e.isF64() ? piLowF64 : piLowF32; }

V sinOfReduced(V r) {
  V z = r * r;
  V tail = r.emitter->isF64() ? polynomial(z, poly::sinTailF64)
                              : polynomial(z, poly::sinTailF32);
  return fma(r * z, tail, r);
}

V cosOfReduced(V r) {
  V z = r * r;
  V tail = r.emitter->isF64() ? polynomial(z, poly::cosTailF64)
                              : polynomial(z, poly::cosTailF32);
  return fma(z * z, tail, fma(z, -0.5, 1.0));
}

/// `a` with the sign bit flipped where bit 1 of `quadrant` is set.
V negateByBit1(V a, V quadrant) {
  Emitter &e = *a.emitter;
  V sign = e.shiftLeft(e.andInt(quadrant, e.intConstant(2)),
                       e.mantissaBits() + (e.isF64() ? 10 : 7));
  return e.fromBits(e.bits(a) ^ sign);
}

/// Whether bit 0 of `quadrant` is set.
V isOdd(V quadrant) {
  Emitter &e = *quadrant.emitter;
  V low = e.andInt(quadrant, e.intConstant(1));
  return e.wrap(mlir::arith::CmpIOp::create(e.builder(), e.loc(),
                                            mlir::arith::CmpIPredicate::ne, low.value,
                                            e.intConstant(0).value));
}

/// asin s for |s| <= 1/2.
V asinOfSmall(V s, V z) {
  V tail = s.emitter->isF64() ? polynomial(z, poly::asinTailF64)
                              : polynomial(z, poly::asinTailF32);
  return fma(s * z, tail, s);
}

/// For |x| > 1/2 asin and acos go through asin of sqrt((1 - |x|) / 2).
struct HalfAngle {
  V large; ///< |x| > 1/2
  V angle; ///< asin x, or asin sqrt((1 - |x|) / 2) where large
};
HalfAngle halfAngle(V x) {
  V a = abs(x);
  V large = a > 0.5;
  V z = select(large, fma(a, -0.5, 0.5), x * x);
  return {large, asinOfSmall(select(large, sqrt(z), x), z)};
}

/// atan(numerator / denominator) for positive arguments, plus `offset` (its upper part
/// and what that lost).
V atanOfRatio(V numerator, V denominator) {
  Emitter &e = *numerator.emitter;
  // Above tan(pi/8) rotate by pi/4, above tan(3 pi/8) by pi/2.
  V low = numerator > denominator * 0x1.a827999fcef32p-2;
  V high = numerator > denominator * 0x1.3504f333f9de6p+1;
  V top = select(high, -denominator, select(low, numerator - denominator, numerator));
  V bottom = select(high, numerator, select(low, numerator + denominator, denominator));
  V s = top / bottom;
  V z = s * s;
  V tail =
      e.isF64() ? polynomial(z, poly::atanTailF64) : polynomial(z, poly::atanTailF32);
  V turns = select(high, e.constant(0.5), select(low, e.constant(0.25), 0.0));
  V small = fma(turns, piLow(e), s * z * tail);
  return fma(turns, piHigh(e), s + small);
}

} // namespace

V emitSin(V x) {
  TrigReduction reduced = reduceTrig(x);
  V odd = isOdd(reduced.quadrant);
  V value = select(odd, cosOfReduced(reduced.r), sinOfReduced(reduced.r));
  V result = negateByBit1(value, reduced.quadrant);
  // Keeps the sign of zero, which the reduction may lose.
  return select(x == 0.0, x, result);
}

V emitCos(V x) {
  Emitter &e = *x.emitter;
  TrigReduction reduced = reduceTrig(x);
  V odd = isOdd(reduced.quadrant);
  V value = select(odd, sinOfReduced(reduced.r), cosOfReduced(reduced.r));
  // cos is sin a quadrant later.
  return negateByBit1(value, e.addInt(reduced.quadrant, e.intConstant(1)));
}

V emitTan(V x) {
  TrigReduction reduced = reduceTrig(x);
  V odd = isOdd(reduced.quadrant);
  V sine = sinOfReduced(reduced.r), cosine = cosOfReduced(reduced.r);
  // A quadrant later tan is -1/tan.
  V result = select(odd, -cosine, sine) / select(odd, sine, cosine);
  return select(x == 0.0, x, result);
}

V emitAsin(V x) {
  Emitter &e = *x.emitter;
  auto [large, angle] = halfAngle(x);
  V folded = fma(angle, -2.0, 0.5 * piLow(e)) + 0.5 * piHigh(e);
  return select(large, copysign(folded, x), angle);
}

V emitAcos(V x) {
  Emitter &e = *x.emitter;
  auto [large, angle] = halfAngle(x);
  V twice = angle * 2.0;
  V folded = select(x < 0.0, (piLow(e) - twice) + piHigh(e), twice);
  V direct = (0.5 * piLow(e) - angle) + 0.5 * piHigh(e);
  return select(large, folded, direct);
}

V emitAtan(V x) {
  Emitter &e = *x.emitter;
  V a = abs(x);
  V result = atanOfRatio(a, e.constant(1));
  result = select(a == e.infinity(), e.constant(pi / 2), result);
  return copysign(result, x);
}

V emitAtan2(V y, V x) {
  Emitter &e = *x.emitter;
  V ay = abs(y), ax = abs(x);
  // 0/0 counts as 0/1 and infinity/infinity as 1/1.
  V bothZero = (ay == 0.0) & (ax == 0.0);
  V bothInfinite = (ay == e.infinity()) & (ax == e.infinity());
  V numerator = select(bothInfinite, e.constant(1), ay);
  V denominator = select(bothZero | bothInfinite, e.constant(1), ax);
  // Scaled so that sums and products stay below infinity. What underflows by it has a
  // ratio that does so too.
  double limit = e.isF64() ? 0x1p900 : 0x1p90;
  V scale = select((numerator > e.constant(limit)) | (denominator > e.constant(limit)),
                   e.constant(0x1p-30), 1.0);
  V angle = atanOfRatio(numerator * scale, denominator * scale);
  angle = select(denominator == e.infinity(), e.constant(0), angle);
  angle = select(numerator == e.infinity(), e.constant(pi / 2), angle);
  V negative = copysign(e.constant(1), x) < 0.0;
  V mirrored = (piLow(e) - angle) + piHigh(e);
  V result = copysign(select(negative, mirrored, angle), y);
  return select(isNan(x) | isNan(y), x + y, result);
}

} // namespace rtorch::codegen
