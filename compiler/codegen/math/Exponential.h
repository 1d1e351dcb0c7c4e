// Parts of e^x that other functions are made of.
#pragma once

#include "compiler/codegen/math/Emitter.h"

namespace rtorch::codegen {

/// x = n ln 2 + r with |r| <= ln(2)/2 and an integer n, held as a float.
struct ExpReduction {
  V n;
  V r;
};
ExpReduction reduceExp(V x);

/// The integer nearest to x as a float; |x| < 2^21 (f32) or 2^50 (f64).
V nearestInteger(V x);
/// 2^n for an integer n within the exponents of normal numbers.
V powerOfTwo(V n);
/// p 2^n for an integer n whose half is within the exponents of normal numbers; gives
/// subnormal numbers, zero and infinity, rounded once.
V scaleByPowerOfTwo(V p, V n);
/// e^r - 1 for |r| <= ln(2)/2.
V expm1OfReduced(V r);
/// e^r for |r| <= ln(2)/2.
V expOfReduced(V r);
/// (e^x - 1) / 4: a quarter, so that sinh and e^x - 1 overflow only by the last
/// multiplication.
V quarterExpm1(V x);
/// e^x / 2.
V halfExp(V x);

} // namespace rtorch::codegen
