#include "dialects/rt/FormulaBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"

#include <limits>

using namespace mlir;

namespace rtorch::rt {

Type FormulaBuilder::elementOf(Type type) { return getElementTypeOrSelf(type); }

Type FormulaBuilder::withElement(Type type, Type elementType) {
  if (auto vector = dyn_cast<VectorType>(type))
    return VectorType::get(vector.getShape(), elementType, vector.getScalableDims());
  return elementType;
}

namespace {
bool isFloat(Value x) { return isa<FloatType>(FormulaBuilder::elementOf(x.getType())); }
bool isBool(Value x) { return FormulaBuilder::elementOf(x.getType()).isInteger(1); }

/// A scalar attribute, splat where `type` is a vector.
TypedAttr splat(Type type, Attribute scalar) {
  if (auto vector = dyn_cast<VectorType>(type))
    return cast<TypedAttr>(DenseElementsAttr::get(vector, scalar));
  return cast<TypedAttr>(scalar);
}
} // namespace

Value FormulaBuilder::constant(Type type, double value) {
  Type element = elementOf(type);
  if (auto floatType = dyn_cast<FloatType>(element))
    return arith::ConstantOp::create(
        builder_, loc_, splat(type, builder_.getFloatAttr(floatType, value)));
  if (element.isInteger(1))
    return integer(type, value != 0);
  return integer(type, static_cast<int64_t>(value));
}

Value FormulaBuilder::integer(Type type, int64_t value) {
  auto element = cast<IntegerType>(elementOf(type));
  APInt bits(64, static_cast<uint64_t>(value), /*isSigned=*/true);
  return arith::ConstantOp::create(
      builder_, loc_,
      splat(type, IntegerAttr::get(element, bits.sextOrTrunc(element.getWidth()))));
}

Value FormulaBuilder::lowest(Type type) {
  if (auto floatType = dyn_cast<FloatType>(elementOf(type)))
    return constant(type, -std::numeric_limits<double>::infinity());
  unsigned width = elementOf(type).getIntOrFloatBitWidth();
  return integer(type, width == 1 ? 0 : APInt::getSignedMinValue(width).getSExtValue());
}

Value FormulaBuilder::highest(Type type) {
  if (auto floatType = dyn_cast<FloatType>(elementOf(type)))
    return constant(type, std::numeric_limits<double>::infinity());
  unsigned width = elementOf(type).getIntOrFloatBitWidth();
  return integer(type, width == 1 ? 1 : APInt::getSignedMaxValue(width).getSExtValue());
}

Value FormulaBuilder::neg(Value x) {
  if (isFloat(x))
    return arith::NegFOp::create(builder_, loc_, x);
  return arith::SubIOp::create(builder_, loc_, like(x, 0), x);
}

Value FormulaBuilder::abs(Value x) {
  if (isFloat(x))
    return math::AbsFOp::create(builder_, loc_, x);
  return math::AbsIOp::create(builder_, loc_, x);
}

Value FormulaBuilder::sign(Value x) {
  Value zero = like(x, 0), one = like(x, 1);
  if (isBool(x))
    return x;
  Value minusOne = like(x, -1);
  Value negative = select(compare(Lt, x, zero), minusOne, zero);
  return select(compare(Gt, x, zero), one, negative);
}

Value FormulaBuilder::relu(Value x) {
  // NaN stays, and so does -0, as in eager.
  return maximum(x, like(x, 0));
}

Value FormulaBuilder::sigmoid(Value x) {
  Value one = like(x, 1);
  return div(one, add(one, exp(neg(x))));
}

#define RTORCH_FLOAT_UNARY(method, OpType)                                             \
  Value FormulaBuilder::method(Value x) { return OpType::create(builder_, loc_, x); }
RTORCH_FLOAT_UNARY(floor, math::FloorOp)
RTORCH_FLOAT_UNARY(ceil, math::CeilOp)
RTORCH_FLOAT_UNARY(trunc, math::TruncOp)
RTORCH_FLOAT_UNARY(roundEven, math::RoundEvenOp)
RTORCH_FLOAT_UNARY(sqrt, math::SqrtOp)
RTORCH_FLOAT_UNARY(exp, math::ExpOp)
RTORCH_FLOAT_UNARY(exp2, math::Exp2Op)
RTORCH_FLOAT_UNARY(expm1, math::ExpM1Op)
RTORCH_FLOAT_UNARY(log, math::LogOp)
RTORCH_FLOAT_UNARY(log2, math::Log2Op)
RTORCH_FLOAT_UNARY(log10, math::Log10Op)
RTORCH_FLOAT_UNARY(log1p, math::Log1pOp)
RTORCH_FLOAT_UNARY(sin, math::SinOp)
RTORCH_FLOAT_UNARY(cos, math::CosOp)
RTORCH_FLOAT_UNARY(tan, math::TanOp)
RTORCH_FLOAT_UNARY(asin, math::AsinOp)
RTORCH_FLOAT_UNARY(acos, math::AcosOp)
RTORCH_FLOAT_UNARY(atan, math::AtanOp)
RTORCH_FLOAT_UNARY(sinh, math::SinhOp)
RTORCH_FLOAT_UNARY(cosh, math::CoshOp)
RTORCH_FLOAT_UNARY(tanh, math::TanhOp)
RTORCH_FLOAT_UNARY(asinh, math::AsinhOp)
RTORCH_FLOAT_UNARY(acosh, math::AcoshOp)
RTORCH_FLOAT_UNARY(atanh, math::AtanhOp)
RTORCH_FLOAT_UNARY(erf, math::ErfOp)
RTORCH_FLOAT_UNARY(erfc, math::ErfcOp)
#undef RTORCH_FLOAT_UNARY

Value FormulaBuilder::pow(Value a, Value b) {
  if (!isFloat(a))
    return integerPow(a, b);
  return math::PowFOp::create(builder_, loc_, a, b);
}
Value FormulaBuilder::atan2(Value y, Value x) {
  return math::Atan2Op::create(builder_, loc_, y, x);
}

Value FormulaBuilder::add(Value a, Value b) {
  if (isFloat(a))
    return arith::AddFOp::create(builder_, loc_, a, b);
  if (isBool(a))
    return bitOr(a, b);
  return arith::AddIOp::create(builder_, loc_, a, b);
}

Value FormulaBuilder::sub(Value a, Value b) {
  if (isFloat(a))
    return arith::SubFOp::create(builder_, loc_, a, b);
  return arith::SubIOp::create(builder_, loc_, a, b);
}

Value FormulaBuilder::mul(Value a, Value b) {
  if (isFloat(a))
    return arith::MulFOp::create(builder_, loc_, a, b);
  if (isBool(a))
    return bitAnd(a, b);
  return arith::MulIOp::create(builder_, loc_, a, b);
}

Value FormulaBuilder::div(Value a, Value b) {
  return arith::DivFOp::create(builder_, loc_, a, b);
}

Value FormulaBuilder::fma(Value a, Value b, Value c) {
  return math::FmaOp::create(builder_, loc_, a, b, c);
}

/// A divisor that can be divided by: 1 in place of 0 (raised for) and of -1 with the
/// smallest dividend, whose quotient overflows and would trap.
static Value safeDivisor(FormulaBuilder &f, Value a, Value b) {
  Value zero = f.compare(FormulaBuilder::Eq, b, f.like(b, 0));
  if (f.raiseIf)
    f.raiseIf(zero, "ZeroDivisionError");
  Value overflow =
      f.bitAnd(f.compare(FormulaBuilder::Eq, b, f.integer(b.getType(), -1)),
               f.compare(FormulaBuilder::Eq, a, f.lowest(a.getType())));
  return f.select(f.bitOr(zero, overflow), f.like(b, 1), b);
}

Value FormulaBuilder::truncDivide(Value a, Value b) {
  if (isFloat(a))
    return trunc(div(a, b));
  return arith::DivSIOp::create(builder_, loc_, a, safeDivisor(*this, a, b));
}

Value FormulaBuilder::fmod(Value a, Value b) {
  if (isFloat(a))
    return arith::RemFOp::create(builder_, loc_, a, b);
  // A divisor of -1 has remainder 0 for every dividend, so it may become 1.
  return arith::RemSIOp::create(builder_, loc_, a, safeDivisor(*this, a, b));
}

Value FormulaBuilder::remainder(Value a, Value b) {
  Value r = fmod(a, b), zero = like(a, 0);
  Value differs = compare(Ne, compare(Lt, r, zero), compare(Lt, b, zero));
  Value fix = bitAnd(compare(Ne, r, zero), differs);
  return select(fix, add(r, b), r);
}

Value FormulaBuilder::floorDivide(Value a, Value b) {
  Value zero = like(a, 0);
  if (!isFloat(a)) {
    Value safe = safeDivisor(*this, a, b);
    Value q = arith::DivSIOp::create(builder_, loc_, a, safe);
    Value r = arith::RemSIOp::create(builder_, loc_, a, safe);
    Value differs = compare(Ne, compare(Lt, r, zero), compare(Lt, b, zero));
    return select(bitAnd(compare(Ne, r, zero), differs), sub(q, like(a, 1)), q);
  }
  // Eager's float rule: the quotient of the exact multiple, rounded to the nearest
  // integer below, with the sign of a zero kept.
  Value r = fmod(a, b);
  Value d = div(sub(a, r), b);
  Value differs = compare(Ne, compare(Lt, b, zero), compare(Lt, r, zero));
  d = select(bitAnd(compare(Ne, r, zero), differs), sub(d, like(a, 1)), d);
  Value q = floor(d);
  q = select(compare(Gt, sub(d, q), like(a, 0.5)), add(q, like(a, 1)), q);
  Value quotient = div(a, b);
  Value signedZero = math::CopySignOp::create(builder_, loc_, zero, quotient);
  q = select(compare(Eq, d, zero), signedZero, q);
  return select(compare(Eq, b, zero), quotient, q);
}

/// Whether `x` is a constant (or one in all lanes) other than NaN.
static bool isNumber(Value x) {
  if (auto broadcast = x.getDefiningOp<vector::BroadcastOp>())
    x = broadcast.getSource();
  APFloat value(0.0);
  return matchPattern(x, m_ConstantFloat(&value)) && !value.isNaN();
}

Value FormulaBuilder::maximum(Value a, Value b) {
  if (isFloat(a) && isNumber(b)) // one instruction on x86
    return select(compare(Gt, b, a), b, a);
  if (isFloat(a)) // the first of two zeros, as eager
    return select(bitOr(compare(Ge, a, b), isNan(a)), a, b);
  if (isBool(a))
    return bitOr(a, b);
  return arith::MaxSIOp::create(builder_, loc_, a, b);
}

Value FormulaBuilder::minimum(Value a, Value b) {
  if (isFloat(a) && isNumber(b))
    return select(compare(Lt, b, a), b, a);
  if (isFloat(a))
    return select(bitOr(compare(Le, a, b), isNan(a)), a, b);
  if (isBool(a))
    return bitAnd(a, b);
  return arith::MinSIOp::create(builder_, loc_, a, b);
}

Value FormulaBuilder::compare(Relation relation, Value a, Value b) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  static constexpr F floats[] = {F::OEQ, F::UNE, F::OLT, F::OLE, F::OGT, F::OGE};
  static constexpr I ints[] = {I::eq, I::ne, I::slt, I::sle, I::sgt, I::sge};
  static constexpr I bools[] = {I::eq, I::ne, I::ult, I::ule, I::ugt, I::uge};
  if (isFloat(a))
    return arith::CmpFOp::create(builder_, loc_, floats[relation], a, b);
  return arith::CmpIOp::create(builder_, loc_,
                               isBool(a) ? bools[relation] : ints[relation], a, b);
}

Value FormulaBuilder::isNan(Value x) {
  return arith::CmpFOp::create(builder_, loc_, arith::CmpFPredicate::UNO, x, x);
}

Value FormulaBuilder::isInf(Value x) {
  return compare(Eq, abs(x), highest(x.getType()));
}

Value FormulaBuilder::bitNot(Value x) { return bitXor(x, integer(x.getType(), -1)); }
Value FormulaBuilder::bitAnd(Value a, Value b) {
  return arith::AndIOp::create(builder_, loc_, a, b);
}
Value FormulaBuilder::bitOr(Value a, Value b) {
  return arith::OrIOp::create(builder_, loc_, a, b);
}
Value FormulaBuilder::bitXor(Value a, Value b) {
  return arith::XOrIOp::create(builder_, loc_, a, b);
}

/// Shifts by counts outside of [0, width) would be undefined.
static Value isShift(FormulaBuilder &f, Value count) {
  unsigned width = FormulaBuilder::elementOf(count.getType()).getIntOrFloatBitWidth();
  Value low = f.compare(FormulaBuilder::Ge, count, f.like(count, 0));
  return f.bitAnd(
      low, f.compare(FormulaBuilder::Lt, count, f.integer(count.getType(), width)));
}

Value FormulaBuilder::shiftLeft(Value a, Value count) {
  Value valid = isShift(*this, count), zero = like(a, 0);
  Value shifted = arith::ShLIOp::create(builder_, loc_, a, select(valid, count, zero));
  return select(valid, shifted, zero);
}

Value FormulaBuilder::shiftRight(Value a, Value count) {
  unsigned width = elementOf(a.getType()).getIntOrFloatBitWidth();
  Value most = integer(a.getType(), width - 1);
  return arith::ShRSIOp::create(builder_, loc_, a,
                                select(isShift(*this, count), count, most));
}

Value FormulaBuilder::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(builder_, loc_, condition, a, b);
}

Value FormulaBuilder::convert(Value x, Type to) {
  Type from = elementOf(x.getType());
  if (from == to)
    return x;
  Type type = withElement(x.getType(), to);
  unsigned fromBits = from.getIntOrFloatBitWidth(), toBits = to.getIntOrFloatBitWidth();
  if (to.isInteger(1))
    return compare(Ne, x, like(x, 0)); // NaN is true
  if (isa<FloatType>(from) && isa<FloatType>(to)) {
    if (fromBits < toBits)
      return arith::ExtFOp::create(builder_, loc_, type, x);
    if (fromBits > toBits)
      return arith::TruncFOp::create(builder_, loc_, type, x);
    return convert(convert(x, builder_.getF32Type()), to); // f16 <-> bf16
  }
  if (isa<FloatType>(to)) {
    if (from.isInteger(1))
      return arith::UIToFPOp::create(builder_, loc_, type, x);
    return arith::SIToFPOp::create(builder_, loc_, type, x);
  }
  if (isa<FloatType>(from)) {
    // Out of range and NaN give the smallest int32 or int64, narrow types its low bits.
    Type wide = toBits == 64 ? to : builder_.getI32Type();
    Value lo = constant(x.getType(),
                        wide.isInteger(64) ? -9223372036854775808.0 : -2147483648.0);
    Value hi = constant(x.getType(),
                        wide.isInteger(64) ? 9223372036854775808.0 : 2147483648.0);
    Value inRange = bitAnd(compare(Ge, x, lo), compare(Lt, x, hi));
    Value safe = select(inRange, x, lo);
    Value result =
        arith::FPToSIOp::create(builder_, loc_, withElement(x.getType(), wide), safe);
    return convert(result, to);
  }
  if (fromBits > toBits)
    return arith::TruncIOp::create(builder_, loc_, type, x);
  if (from.isInteger(1))
    return arith::ExtUIOp::create(builder_, loc_, type, x);
  return arith::ExtSIOp::create(builder_, loc_, type, x);
}

} // namespace rtorch::rt
