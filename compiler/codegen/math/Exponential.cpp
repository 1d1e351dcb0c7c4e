// e^x and its kin: x = n ln 2 + r, then a polynomial of r and a power of two.

#include "compiler/codegen/math/Exponential.h"
#include "compiler/codegen/math/Functions.h"
#include "compiler/codegen/math/Polynomials.h"

namespace rtorch::codegen {
namespace {

constexpr double log2E = 0x1.71547652b82fep+0;
// ln 2 in parts. The float's first part has 16 bits less, so that n times it is exact.
constexpr double ln2HighF32 = 0x1.62e4p-1, ln2LowF32 = 0x1.7f7d1cf79abcap-20;
constexpr double ln2HighF64 = 0x1.62e42fefa39efp-1, ln2LowF64 = 0x1.abc9e3b39803fp-56;

/// Adding and subtracting it rounds to an integer, which is then in the low bits.
double roundingMagic(const Emitter &e) { return e.isF64() ? 0x1.8p52 : 0x1.8p23; }

/// 2^n from n + magic: n moved from the low bits to the exponent.
V powerOfTwoFromMagic(V shifted) {
  Emitter &e = *shifted.emitter;
  V one = e.intConstant(uint64_t(e.exponentBias()) << e.mantissaBits());
  return e.fromBits(e.addInt(e.shiftLeft(e.bits(shifted), e.mantissaBits()), one));
}

// Arguments beyond these give 0 and infinity, also for half of e^x, or -1 for expm1.
V clampExp(V x) {
  return x.emitter->isF64() ? clamp(x, -746, 710.6) : clamp(x, -104.5, 89.5);
}
V clampExpm1(V x) {
  return x.emitter->isF64() ? clamp(x, -40, 710.6) : clamp(x, -20, 89.5);
}

} // namespace

V nearestInteger(V x) {
  double magic = roundingMagic(*x.emitter);
  return (x + magic) - magic;
}

ExpReduction reduceExp(V x) {
  Emitter &e = *x.emitter;
  double magic = roundingMagic(e);
  V n = fma(x, log2E, magic) - magic;
  V r = fma(n, e.isF64() ? -ln2HighF64 : -ln2HighF32, x);
  r = fma(n, e.isF64() ? -ln2LowF64 : -ln2LowF32, r);
  return {n, r};
}

V powerOfTwo(V n) { return powerOfTwoFromMagic(n + roundingMagic(*n.emitter)); }

V scaleByPowerOfTwo(V p, V n) {
  double magic = roundingMagic(*n.emitter);
  V shiftedHalf = fma(n, 0.5, magic);
  V rest = n - (shiftedHalf - magic);
  // The first product is exact, so only the second one rounds.
  return p * powerOfTwoFromMagic(shiftedHalf) * powerOfTwoFromMagic(rest + magic);
}

V expm1OfReduced(V r) {
  V tail = r.emitter->isF64() ? polynomial(r, poly::expTailF64)
                              : polynomial(r, poly::expTailF32);
  return fma(r * r, tail, r);
}

V expOfReduced(V r) { return expm1OfReduced(r) + 1.0; }

V halfExp(V x) {
  ExpReduction reduced = reduceExp(clampExp(x));
  return scaleByPowerOfTwo(expOfReduced(reduced.r), reduced.n - 1.0);
}

V quarterExpm1(V x) {
  ExpReduction reduced = reduceExp(clampExpm1(x));
  V power = powerOfTwo(reduced.n - 2.0);
  return fma(expm1OfReduced(reduced.r), power, power - 0.25);
}

V emitExp(V x) {
  ExpReduction reduced = reduceExp(clampExp(x));
  return scaleByPowerOfTwo(expOfReduced(reduced.r), reduced.n);
}

V emitExp2(V x) {
  V clamped = x.emitter->isF64() ? clamp(x, -1080, 1025) : clamp(x, -152, 129);
  V n = nearestInteger(clamped);
  V r = clamped - n;
  constexpr double ln2 = 0x1.62e42fefa39efp-1;
  return scaleByPowerOfTwo(expOfReduced(r * ln2), n);
}

V emitExpm1(V x) {
  V result = quarterExpm1(x) * 4.0;
  // Also keeps the sign of zero, and subnormal numbers that a quarter would lose.
  return select(abs(x) < (x.emitter->isF64() ? 0x1p-54 : 0x1p-25), x, result);
}

} // namespace rtorch::codegen
