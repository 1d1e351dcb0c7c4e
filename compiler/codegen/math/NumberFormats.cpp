#include "compiler/codegen/math/NumberFormats.h"

#include "compiler/codegen/math/Emitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

Value intConstant(OpBuilder &b, Location loc, Type type, int64_t value) {
  TypedAttr attribute = b.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attribute = DenseElementsAttr::get(vector, cast<Attribute>(attribute));
  return arith::ConstantOp::create(b, loc, attribute);
}

/// bf16 → f32: the upper half of the bits.
Value widenBf16(OpBuilder &b, Location loc, Value value) {
  Type type = value.getType();
  Type i32 = withElement(type, b.getI32Type());
  Value bits =
      arith::BitcastOp::create(b, loc, withElement(type, b.getI16Type()), value);
  Value wide = arith::ExtUIOp::create(b, loc, i32, bits);
  Value shifted = arith::ShLIOp::create(b, loc, wide, intConstant(b, loc, i32, 16));
  return arith::BitcastOp::create(b, loc, withElement(type, b.getF32Type()), shifted);
}

/// f32 → bf16: to nearest, ties to even.
Value narrowToBf16(OpBuilder &b, Location loc, Value value) {
  Type type = value.getType();
  Type i32 = withElement(type, b.getI32Type());
  Value sixteen = intConstant(b, loc, i32, 16);
  Value bits = arith::BitcastOp::create(b, loc, i32, value);
  Value upper = arith::ShRUIOp::create(b, loc, bits, sixteen);
  Value odd = arith::AndIOp::create(b, loc, upper, intConstant(b, loc, i32, 1));
  Value bias = arith::AddIOp::create(b, loc, odd, intConstant(b, loc, i32, 0x7fff));
  Value rounded = arith::AddIOp::create(b, loc, bits, bias);
  rounded = arith::ShRUIOp::create(b, loc, rounded, sixteen);
  Value isNan = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, value, value);
  rounded =
      arith::SelectOp::create(b, loc, isNan, intConstant(b, loc, i32, 0x7fc0), rounded);
  Value narrow =
      arith::TruncIOp::create(b, loc, withElement(type, b.getI16Type()), rounded);
  return arith::BitcastOp::create(b, loc, withElement(type, b.getBF16Type()), narrow);
}

/// Integer operations on the bits of numbers, as long as those of f32.
struct Bits {
  OpBuilder &b;
  Location loc;
  Type type; ///< i32, or a vector of it

  Value number(int64_t value) const { return intConstant(b, loc, type, value); }
  Value add(Value x, Value y) const { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) const { return arith::SubIOp::create(b, loc, x, y); }
  Value mask(Value x, int64_t y) const {
    return arith::AndIOp::create(b, loc, x, number(y));
  }
  Value merge(Value x, Value y) const { return arith::OrIOp::create(b, loc, x, y); }
  Value left(Value x, int64_t by) const {
    return arith::ShLIOp::create(b, loc, x, number(by));
  }
  Value right(Value x, int64_t by) const {
    return arith::ShRUIOp::create(b, loc, x, number(by));
  }
  Value is(arith::CmpIPredicate predicate, Value x, int64_t y) const {
    return arith::CmpIOp::create(b, loc, predicate, x, number(y));
  }
  Value choose(Value condition, Value x, Value y) const {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value asFloat(Value x) const {
    return arith::BitcastOp::create(b, loc, withElement(type, b.getF32Type()), x);
  }
  Value ofFloat(Value x) const { return arith::BitcastOp::create(b, loc, type, x); }
};

// Of f32: the exponents of infinity, of 1, and of the least normal number of f16.
constexpr int64_t kInfinity = 255 << 23, kBias = 127 - 15,
                  kLeastNormal = (kBias + 1) << 23;

/// f16 → f32. Numbers that are not normal are made normal by subtracting what the
/// exponent of the least normal one stands for, which is exact.
Value widenF16(OpBuilder &b, Location loc, Value value) {
  Type type = value.getType();
  Bits bits{b, loc, withElement(type, b.getI32Type())};
  Value narrow =
      arith::BitcastOp::create(b, loc, withElement(type, b.getI16Type()), value);
  Value all = arith::ExtUIOp::create(b, loc, bits.type, narrow);
  Value magnitude = bits.left(bits.mask(all, 0x7fff), 13);
  Value exponent = bits.mask(magnitude, 0x7c00 << 13);
  Value normal = bits.add(magnitude, bits.number(kBias << 23));
  Value special = bits.add(normal, bits.number((128 - 16) << 23));
  Value raised = bits.asFloat(bits.add(normal, bits.number(1 << 23)));
  Value small = bits.ofFloat(
      arith::SubFOp::create(b, loc, raised, bits.asFloat(bits.number(kLeastNormal))));
  Value result = bits.choose(bits.is(arith::CmpIPredicate::eq, exponent, 0x7c00 << 13),
                             special, normal);
  result = bits.choose(bits.is(arith::CmpIPredicate::eq, exponent, 0), small, result);
  return bits.asFloat(bits.merge(result, bits.left(bits.mask(all, 0x8000), 16)));
}

/// f32 → f16: to nearest, ties to even. Below the least normal number, the addition of
/// one whose unit is the last place of f16's rounds.
Value narrowToF16(OpBuilder &b, Location loc, Value value) {
  Type type = value.getType();
  Bits bits{b, loc, withElement(type, b.getI32Type())};
  constexpr int64_t unit = (kBias + 23 - 10 + 1) << 23;
  Value all = bits.ofFloat(value), magnitude = bits.mask(all, 0x7fffffff);
  Value sum = arith::AddFOp::create(b, loc, bits.asFloat(magnitude),
                                    bits.asFloat(bits.number(unit)));
  Value small = bits.sub(bits.ofFloat(sum), bits.number(unit));
  Value odd = bits.mask(bits.right(magnitude, 13), 1);
  Value normal = bits.add(bits.add(magnitude, odd), bits.number(0xfff));
  normal = bits.right(bits.sub(normal, bits.number(kBias << 23)), 13);
  Value nan = bits.is(arith::CmpIPredicate::ugt, magnitude, kInfinity);
  Value large = bits.choose(nan, bits.number(0x7e00), bits.number(0x7c00));
  Value result = bits.choose(
      bits.is(arith::CmpIPredicate::uge, magnitude, (127 + 16) << 23), large, normal);
  result = bits.choose(bits.is(arith::CmpIPredicate::ult, magnitude, kLeastNormal),
                       small, result);
  result = bits.merge(result, bits.mask(bits.right(all, 16), 0x8000));
  Value narrow =
      arith::TruncIOp::create(b, loc, withElement(type, b.getI16Type()), result);
  return arith::BitcastOp::create(b, loc, withElement(type, b.getF16Type()), narrow);
}

void expandExtension(arith::ExtFOp op, bool hasF16) {
  Type from = getElementTypeOrSelf(op.getIn());
  if (!from.isBF16() && (hasF16 || !from.isF16()))
    return;
  OpBuilder b(op);
  Value result = from.isBF16() ? widenBf16(b, op.getLoc(), op.getIn())
                               : widenF16(b, op.getLoc(), op.getIn());
  if (result.getType() != op.getType())
    result = arith::ExtFOp::create(b, op.getLoc(), op.getType(), result);
  op.replaceAllUsesWith(result);
  op.erase();
}

void expandTruncation(arith::TruncFOp op, bool hasF16) {
  Type from = getElementTypeOrSelf(op.getIn()), to = getElementTypeOrSelf(op);
  if ((!to.isBF16() && !to.isF16()) || (to.isF16() && from.isF32() && hasF16))
    return;
  OpBuilder b(op);
  Value value = op.getIn();
  if (from.isF64())
    value = arith::TruncFOp::create(
        b, op.getLoc(), withElement(value.getType(), b.getF32Type()), value);
  Value result = to.isBF16() ? narrowToBf16(b, op.getLoc(), value)
                 : hasF16 ? arith::TruncFOp::create(b, op.getLoc(), op.getType(), value)
                          : narrowToF16(b, op.getLoc(), value);
  op.replaceAllUsesWith(result);
  op.erase();
}

V fmaByF64(Emitter &e, V x, V y, V z) {
  OpBuilder &b = e.builder();
  Emitter wide(b, e.loc(), e.withElement(b.getF64Type()));
  auto widen = [&](V value) {
    return wide.wrap(arith::ExtFOp::create(b, e.loc(), wide.type(), value.value));
  };
  V sum = widen(x) * widen(y) + widen(z);
  return e.wrap(arith::TruncFOp::create(b, e.loc(), e.type(), sum.value));
}

/// x = high + low, each of at most 26 bits (T. J. Dekker, Numer. Math. 18, 1971).
std::pair<V, V> split(V x) {
  V scaled = x * 134217729.0; // 2^27 + 1
  V high = scaled - (scaled - x);
  return {high, x - high};
}

V fmaByParts(V x, V y, V z) {
  V product = x * y;
  auto [xHigh, xLow] = split(x);
  auto [yHigh, yLow] = split(y);
  V lost = ((xHigh * yHigh - product) + xHigh * yLow + xLow * yHigh) + xLow * yLow;
  V sum = product + z;
  // What the sum lost, whichever operand is the larger one (D. Knuth, TAOCP 4.2.2).
  V part = sum - product;
  V lostBySum = (product - (sum - part)) + (z - part);
  V exact = sum + (lost + lostBySum);
  // Splitting overflows near the largest number, and infinities have no parts.
  Emitter &e = *x.emitter;
  return select(abs(exact) < e.infinity(), exact, sum);
}

void replaceFma(Operation *op) {
  OpBuilder b(op);
  Emitter e(b, op->getLoc(), op->getResult(0).getType());
  V x = e.wrap(op->getOperand(0)), y = e.wrap(op->getOperand(1)),
    z = e.wrap(op->getOperand(2));
  V result = e.isF64() ? fmaByParts(x, y, z) : fmaByF64(e, x, y, z);
  op->getResult(0).replaceAllUsesWith(result.value);
  op->erase();
}

void expandIntegerPower(mlir::math::IPowIOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  Type type = op.getType();
  Value base = op.getLhs(), exponent = op.getRhs();
  Value zero = intConstant(b, loc, type, 0), one = intConstant(b, loc, type, 1);
  Value minusOne = intConstant(b, loc, type, -1);
  auto is = [&](Value value, Value constant) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, value, constant);
  };
  auto choose = [&](Value condition, Value a, Value c) -> Value {
    return arith::SelectOp::create(b, loc, condition, a, c);
  };
  // A negative exponent asks for 1 / base^|exponent|: only its parity can matter.
  Value negative =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, exponent, zero);
  Value parity = arith::AndIOp::create(b, loc, exponent, one);
  Value isUnit = arith::OrIOp::create(b, loc, is(base, one), is(base, minusOne));
  Value steps = choose(negative, parity, exponent);
  Value start = choose(negative, choose(isUnit, one, zero), one);
  auto loop = scf::WhileOp::create(
      b, loc, TypeRange{type, type, type}, ValueRange{start, base, steps},
      [&](OpBuilder &ob, Location l, ValueRange args) {
        Value more =
            arith::CmpIOp::create(ob, l, arith::CmpIPredicate::ne, args[2], zero);
        scf::ConditionOp::create(ob, l, anyLane(ob, l, more), args);
      },
      [&](OpBuilder &ob, Location l, ValueRange args) {
        Value bit = arith::AndIOp::create(ob, l, args[2], one);
        Value odd = arith::CmpIOp::create(ob, l, arith::CmpIPredicate::ne, bit, zero);
        Value product = arith::MulIOp::create(ob, l, args[0], args[1]);
        Value next = arith::SelectOp::create(ob, l, odd, product, args[0]);
        Value square = arith::MulIOp::create(ob, l, args[1], args[1]);
        Value rest = arith::ShRUIOp::create(ob, l, args[2], one);
        scf::YieldOp::create(ob, l, ValueRange{next, square, rest});
      });
  op.replaceAllUsesWith(loop.getResult(0));
  op.erase();
}

} // namespace

void expandNarrowConversions(Operation *root, bool hasF16) {
  root->walk([&](Operation *op) {
    if (auto extension = dyn_cast<arith::ExtFOp>(op))
      expandExtension(extension, hasF16);
    else if (auto truncation = dyn_cast<arith::TruncFOp>(op))
      expandTruncation(truncation, hasF16);
  });
}

void expandFusedMultiplyAdd(Operation *root) {
  root->walk([](Operation *op) {
    Type type = op->getNumResults() ? getElementTypeOrSelf(op->getResult(0)) : Type();
    if (isa<mlir::math::FmaOp>(op) && (type.isF32() || type.isF64()))
      replaceFma(op);
  });
}

void expandIntegerPowers(Operation *root) {
  root->walk([](mlir::math::IPowIOp op) { expandIntegerPower(op); });
}

} // namespace rtorch::codegen
