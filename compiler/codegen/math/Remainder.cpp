// C's fmod: the quotient is taken off in pieces of less than a significand, which
// leaves every intermediate remainder exact.

#include "compiler/codegen/math/Functions.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

/// The multiple b 2^k, k >= 0, at most r, that goes into r less than 2^mantissaBits
/// times; for r >= b.
V largestStep(V r, V b) {
  Emitter &e = *r.emitter;
  // The quotient may exceed the largest number, at most by its square.
  V jump = e.constant(e.isF64() ? 0x1p1000 : 0x1p120);
  for (int i = 0; i < 2; ++i)
    b = select(r / b == e.infinity(), b * jump, b);
  V quotient = r / b;
  uint64_t exponentMask = e.isF64() ? 0x7ff0000000000000 : 0x7f800000;
  V power = e.fromBits(e.andInt(e.bits(quotient), e.intConstant(exponentMask)));
  double most = e.isF64() ? 0x1p50 : 0x1p21;
  return select(power > most, b * (power / most), b);
}

} // namespace

V emitRemainder(V x, V y) {
  Emitter &e = *x.emitter;
  V a = abs(x), b = abs(y);
  V valid = (a < e.infinity()) & (b > 0.0);
  V start = select(valid, a, 0.0);
  auto loop = scf::WhileOp::create(
      e.builder(), e.loc(), TypeRange{e.type()}, ValueRange{start.value},
      [&](OpBuilder &builder, Location loc, ValueRange args) {
        V active = valid & (e.wrap(args[0]) >= b);
        scf::ConditionOp::create(builder, loc,
                                 anyLane(e.builder(), e.loc(), active.value), args);
      },
      [&](OpBuilder &builder, Location loc, ValueRange args) {
        V r = e.wrap(args[0]);
        V step = largestStep(r, b);
        V next = fma(-trunc(r / step), step, r);
        // The rounded quotient may be one too large.
        next = select(next < 0.0, next + step, next);
        next = select(valid & (r >= b), next, r);
        scf::YieldOp::create(builder, loc, next.value);
      });
  V result = select(valid, e.wrap(loop.getResult(0)), e.nan());
  return copysign(result, x);
}

} // namespace rtorch::codegen
