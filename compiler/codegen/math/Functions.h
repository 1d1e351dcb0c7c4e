// Elementary functions written in arithmetic. Each takes and returns values of its
// argument's emitter type, f32 or f64, scalar or vector.
//
// Largest errors seen by tests/unit/codegen/MathTest.cpp, in units of the last place
// (f32: 2^22 points spread over all floats plus dense ranges, against f64 libm; f64:
// 2^18 points against long double libm).
//   function   f32   f64     function   f32   f64
//   exp       0.98  0.96     atan      1.80  1.56
//   exp2      0.99  1.02     sinh      2.06  2.20
//   expm1     1.41  1.73     cosh      1.45  1.41
//   log       0.81  0.83     tanh      1.84  1.80
//   log1p     0.81  0.77     asinh     1.66  1.50
//   log2      1.58  1.54     acosh     1.87  1.97
//   log10     1.56  1.53     atanh     1.82  1.59
//   sin       1.53  1.49     erf       1.35  1.03
//   cos       1.55  1.46     erfc      3.40  3.75
//   tan       3.39  3.11     powf      0.51  1.34
//   asin      2.29  2.08     atan2     1.66  1.36
//   acos      1.07  1.10
//   fmod is exact (without FMA: for f64 below 2^990)
// NaN gives NaN, signs of zero and infinities are those of C99, subnormal arguments
// and results are exact to the same number of units.
#pragma once

#include "compiler/codegen/math/Emitter.h"

namespace rtorch::codegen {

V emitExp(V x);
V emitExp2(V x);
V emitExpm1(V x);
V emitLog(V x);
V emitLog1p(V x);
V emitLog2(V x);
V emitLog10(V x);
V emitPow(V x, V y);

V emitSinh(V x);
V emitCosh(V x);
V emitTanh(V x);
V emitAsinh(V x);
V emitAcosh(V x);
V emitAtanh(V x);

V emitErf(V x);
V emitErfc(V x);

V emitSin(V x);
V emitCos(V x);
V emitTan(V x);
V emitAsin(V x);
V emitAcos(V x);
V emitAtan(V x);
V emitAtan2(V y, V x);

/// x - trunc(x / y) y, exactly, as C's fmod.
V emitRemainder(V x, V y);

} // namespace rtorch::codegen
