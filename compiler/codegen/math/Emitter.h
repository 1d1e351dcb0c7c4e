// Writes arithmetic on one floating-point type, scalar or vector, so that formulas
// read as formulas.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/ArrayRef.h"

namespace rtorch::codegen {

class Emitter;

/// A value of the emitter's float type, its integer type of equal width, or i1.
struct V {
  mlir::Value value;
  Emitter *emitter = nullptr;
};

// Operations on floats.
V operator+(V a, V b);
V operator-(V a, V b);
V operator*(V a, V b);
V operator/(V a, V b);
V operator-(V a);
V operator+(V a, double b);
V operator-(V a, double b);
V operator*(V a, double b);
V operator/(V a, double b);
V operator-(double a, V b);
V operator/(double a, V b);
// Ordered comparisons: false if an operand is NaN (`!=` is true then).
V operator<(V a, V b);
V operator<(V a, double b);
V operator<=(V a, double b);
V operator>(V a, V b);
V operator>(V a, double b);
V operator>=(V a, V b);
V operator==(V a, V b);
V operator==(V a, double b);
V operator!=(V a, V b);
// Operations on truth values.
V operator&(V a, V b);
V operator|(V a, V b);
V operator^(V a, V b);

/// a * b + c, rounded once.
V fma(V a, V b, V c);
V fma(V a, V b, double c);
V fma(V a, double b, V c);
V fma(V a, double b, double c);
V select(V condition, V a, V b);
V select(V condition, V a, double b);
V select(V condition, double a, V b);
V abs(V a);
V sqrt(V a);
V trunc(V a);
V copysign(V magnitude, V sign);
/// The value nearer to zero than the bounds; NaN stays NaN.
V clamp(V a, double low, double high);
V isNan(V a);
/// coefficients[0] + coefficients[1] x + ... by Horner's rule.
V polynomial(V x, llvm::ArrayRef<double> coefficients);

/// Whether `condition`, an i1 or a vector of them, holds in any lane.
mlir::Value anyLane(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value condition);

/// Emits at the builder's insertion point, on values of `type`: f32, f64 or a vector of
/// them.
class Emitter {
public:
  Emitter(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type);

  mlir::OpBuilder &builder() const { return builder_; }
  mlir::Location loc() const { return loc_; }
  mlir::Type type() const { return type_; }
  /// The integer type of the same width and shape.
  mlir::Type intType() const { return intType_; }
  bool isF64() const { return isF64_; }
  /// Bits of the significand below the leading one: 23 or 52.
  int mantissaBits() const { return isF64_ ? 52 : 23; }
  int exponentBias() const { return isF64_ ? 1023 : 127; }
  /// The type of `type`'s shape with another element.
  mlir::Type withElement(mlir::Type element) const;

  V wrap(mlir::Value value) { return {value, this}; }
  /// A float constant in every lane.
  V constant(double value);
  /// A constant of intType() in every lane.
  V intConstant(uint64_t bits);
  V nan();
  V infinity();
  /// 2^emin, the smallest normal number.
  double smallestNormal() const { return isF64_ ? 0x1p-1022 : 0x1p-126; }

  V bits(V floatValue);
  V fromBits(V intValue);
  V addInt(V a, V b);
  V subInt(V a, V b);
  V andInt(V a, V b);
  V orInt(V a, V b);
  V shiftLeft(V a, unsigned count);
  V shiftRightLogical(V a, unsigned count);
  V shiftRightArithmetic(V a, unsigned count);

private:
  mlir::OpBuilder &builder_;
  mlir::Location loc_;
  mlir::Type type_;
  mlir::Type intType_;
  bool isF64_;
};

} // namespace rtorch::codegen
