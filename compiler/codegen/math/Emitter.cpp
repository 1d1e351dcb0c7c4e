#include "compiler/codegen/math/Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace rtorch::codegen {
namespace {

template <typename Op, typename... Args> V emit(V a, Args... args) {
  Emitter &e = *a.emitter;
  return e.wrap(Op::create(e.builder(), e.loc(), a.value, args...));
}

V constantLike(V like, double value) { return like.emitter->constant(value); }

V compare(arith::CmpFPredicate predicate, V a, V b) {
  Emitter &e = *a.emitter;
  return e.wrap(
      arith::CmpFOp::create(e.builder(), e.loc(), predicate, a.value, b.value));
}

} // namespace

V operator+(V a, V b) { return emit<arith::AddFOp>(a, b.value); }
V operator-(V a, V b) { return emit<arith::SubFOp>(a, b.value); }
V operator*(V a, V b) { return emit<arith::MulFOp>(a, b.value); }
V operator/(V a, V b) { return emit<arith::DivFOp>(a, b.value); }
V operator-(V a) { return emit<arith::NegFOp>(a); }
V operator+(V a, double b) { return a + constantLike(a, b); }
V operator-(V a, double b) { return a - constantLike(a, b); }
V operator*(V a, double b) { return a * constantLike(a, b); }
V operator/(V a, double b) { return a / constantLike(a, b); }
V operator-(double a, V b) { return constantLike(b, a) - b; }
V operator/(double a, V b) { return constantLike(b, a) / b; }

V operator<(V a, V b) { return compare(arith::CmpFPredicate::OLT, a, b); }
V operator<(V a, double b) { return a < constantLike(a, b); }
V operator<=(V a, double b) {
  return compare(arith::CmpFPredicate::OLE, a, constantLike(a, b));
}
V operator>(V a, V b) { return compare(arith::CmpFPredicate::OGT, a, b); }
V operator>(V a, double b) { return a > constantLike(a, b); }
V operator>=(V a, V b) { return compare(arith::CmpFPredicate::OGE, a, b); }
V operator==(V a, V b) { return compare(arith::CmpFPredicate::OEQ, a, b); }
V operator==(V a, double b) { return a == constantLike(a, b); }
V operator!=(V a, V b) { return compare(arith::CmpFPredicate::UNE, a, b); }

V operator&(V a, V b) { return emit<arith::AndIOp>(a, b.value); }
V operator|(V a, V b) { return emit<arith::OrIOp>(a, b.value); }
V operator^(V a, V b) { return emit<arith::XOrIOp>(a, b.value); }

V fma(V a, V b, V c) { return emit<mlir::math::FmaOp>(a, b.value, c.value); }
V fma(V a, V b, double c) { return fma(a, b, constantLike(a, c)); }
V fma(V a, double b, V c) { return fma(a, constantLike(a, b), c); }
V fma(V a, double b, double c) {
  return fma(a, constantLike(a, b), constantLike(a, c));
}

V select(V condition, V a, V b) {
  return emit<arith::SelectOp>(condition, a.value, b.value);
}
V select(V condition, V a, double b) {
  return select(condition, a, constantLike(a, b));
}
V select(V condition, double a, V b) {
  return select(condition, constantLike(b, a), b);
}

V abs(V a) { return emit<mlir::math::AbsFOp>(a); }
V sqrt(V a) { return emit<mlir::math::SqrtOp>(a); }
V trunc(V a) { return emit<mlir::math::TruncOp>(a); }
V copysign(V magnitude, V sign) {
  return emit<mlir::math::CopySignOp>(magnitude, sign.value);
}

V clamp(V a, double low, double high) {
  // maximumf and minimumf, unlike maxnumf, let NaN through.
  V bounded = emit<arith::MaximumFOp>(a, constantLike(a, low).value);
  return emit<arith::MinimumFOp>(bounded, constantLike(a, high).value);
}

V isNan(V a) { return compare(arith::CmpFPredicate::UNO, a, a); }

V polynomial(V x, llvm::ArrayRef<double> coefficients) {
  V sum = x.emitter->constant(coefficients.back());
  for (double coefficient : llvm::reverse(coefficients.drop_back()))
    sum = fma(sum, x, coefficient);
  return sum;
}

Value anyLane(OpBuilder &builder, Location loc, Value condition) {
  if (!isa<VectorType>(condition.getType()))
    return condition;
  return vector::ReductionOp::create(builder, loc, vector::CombiningKind::OR,
                                     condition);
}

Emitter::Emitter(OpBuilder &builder, Location loc, Type type)
    : builder_(builder), loc_(loc), type_(type),
      isF64_(getElementTypeOrSelf(type).isF64()) {
  intType_ = withElement(builder.getIntegerType(isF64_ ? 64 : 32));
}

Type Emitter::withElement(Type element) const {
  if (auto vector = dyn_cast<VectorType>(type_))
    return vector.clone(element);
  return element;
}

V Emitter::constant(double value) {
  FloatType element = cast<FloatType>(getElementTypeOrSelf(type_));
  TypedAttr attribute = FloatAttr::get(element, value);
  if (auto vector = dyn_cast<VectorType>(type_))
    attribute = DenseElementsAttr::get(vector, cast<Attribute>(attribute));
  return wrap(arith::ConstantOp::create(builder_, loc_, attribute));
}

V Emitter::intConstant(uint64_t bits) {
  Type element = getElementTypeOrSelf(intType_);
  TypedAttr attribute = IntegerAttr::get(element, APInt(isF64_ ? 64 : 32, bits));
  if (auto vector = dyn_cast<VectorType>(intType_))
    attribute = DenseElementsAttr::get(vector, cast<Attribute>(attribute));
  return wrap(arith::ConstantOp::create(builder_, loc_, attribute));
}

V Emitter::nan() { return constant(std::numeric_limits<double>::quiet_NaN()); }

V Emitter::infinity() { return constant(std::numeric_limits<double>::infinity()); }

V Emitter::bits(V a) {
  return wrap(arith::BitcastOp::create(builder_, loc_, intType_, a.value));
}
V Emitter::fromBits(V a) {
  return wrap(arith::BitcastOp::create(builder_, loc_, type_, a.value));
}
V Emitter::addInt(V a, V b) { return emit<arith::AddIOp>(a, b.value); }
V Emitter::subInt(V a, V b) { return emit<arith::SubIOp>(a, b.value); }
V Emitter::andInt(V a, V b) { return emit<arith::AndIOp>(a, b.value); }
V Emitter::orInt(V a, V b) { return emit<arith::OrIOp>(a, b.value); }
V Emitter::shiftLeft(V a, unsigned count) {
  return emit<arith::ShLIOp>(a, intConstant(count).value);
}
V Emitter::shiftRightLogical(V a, unsigned count) {
  return emit<arith::ShRUIOp>(a, intConstant(count).value);
}
V Emitter::shiftRightArithmetic(V a, unsigned count) {
  return emit<arith::ShRSIOp>(a, intConstant(count).value);
}

} // namespace rtorch::codegen
