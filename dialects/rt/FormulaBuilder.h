// Scalar formulas of elementwise ops in arith and math ops, on scalars or vectors.
#pragma once

#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/StringRef.h"

#include <functional>

namespace rtorch::rt {

/// Emits formulas over values of one shape: all scalars or all vectors of one length.
/// Every method picks the float, integer or bool operation by the element type of its
/// operands. Semantics, NaN and signed zero included, are those of eager PyTorch.
class FormulaBuilder {
public:
  using Value = mlir::Value;
  using Type = mlir::Type;
  enum Relation { Eq, Ne, Lt, Le, Gt, Ge };

  FormulaBuilder(mlir::OpBuilder &builder, mlir::Location loc)
      : builder_(builder), loc_(loc) {}

  mlir::OpBuilder &builder() { return builder_; }
  mlir::Location loc() const { return loc_; }

  /// Called for conditions that PyTorch raises for at run time (`condition`: i1 or a
  /// vector of i1); without it such conditions have an unspecified result.
  std::function<void(Value condition, llvm::StringRef message)> raiseIf;

  /// A constant of `type` (scalar or vector; bool: value != 0).
  Value constant(Type type, double value);
  /// An integer constant of `type`, exact for 64 bits.
  Value integer(Type type, int64_t value);
  /// A constant of the type of `x`.
  Value like(Value x, double value) { return constant(x.getType(), value); }
  /// -inf, or the smallest integer (false).
  Value lowest(Type type);
  /// +inf, or the largest integer (true).
  Value highest(Type type);

  Value neg(Value x);
  Value abs(Value x);
  Value sign(Value x);
  Value floor(Value x);
  Value ceil(Value x);
  Value trunc(Value x);
  Value roundEven(Value x);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b);
  Value fma(Value a, Value b, Value c);
  Value floorDivide(Value a, Value b);
  Value truncDivide(Value a, Value b);
  Value fmod(Value a, Value b);
  Value remainder(Value a, Value b);
  /// NaN if either operand is.
  Value maximum(Value a, Value b);
  Value minimum(Value a, Value b);

  Value sqrt(Value x);
  Value exp(Value x);
  Value exp2(Value x);
  Value expm1(Value x);
  Value log(Value x);
  Value log2(Value x);
  Value log10(Value x);
  Value log1p(Value x);
  Value sin(Value x);
  Value cos(Value x);
  Value tan(Value x);
  Value asin(Value x);
  Value acos(Value x);
  Value atan(Value x);
  Value atan2(Value y, Value x);
  Value sinh(Value x);
  Value cosh(Value x);
  Value tanh(Value x);
  Value asinh(Value x);
  Value acosh(Value x);
  Value atanh(Value x);
  Value erf(Value x);
  Value erfc(Value x);
  Value pow(Value a, Value b);
  Value copySign(Value magnitude, Value sign);
  Value nextAfter(Value a, Value b);
  Value gcd(Value a, Value b);
  /// 64 random bits for each counter: two words of Philox-2x32 of ten rounds, the first
  /// one the upper; all operands are int64.
  Value philox(Value counter, Value seed);
  Value erfInv(Value x);
  Value lgamma(Value x);
  Value digamma(Value x);
  /// The modified Bessel function of the first kind, times exp(-|x|) if `scaled`.
  Value besselI(Value x, int order, bool scaled);
  Value relu(Value x);
  Value sigmoid(Value x);

  Value compare(Relation relation, Value a, Value b);
  Value isNan(Value x);
  Value isInf(Value x);
  Value bitNot(Value x);
  Value bitAnd(Value a, Value b);
  Value bitOr(Value a, Value b);
  Value bitXor(Value a, Value b);
  Value shiftLeft(Value a, Value count);
  Value shiftRight(Value a, Value count);
  Value select(Value condition, Value a, Value b);
  /// Casts as eager PyTorch does to an element type (floats to integers: §5 of its
  /// rules: to bool by != 0, to narrow integers through int32).
  Value convert(Value x, Type elementType);

  /// `type` with another element type: a vector stays a vector.
  static Type withElement(Type type, Type elementType);
  static Type elementOf(Type type);

private:
  /// Squares and products until no bit of any lane's exponent is left.
  Value integerPow(Value base, Value exponent);

  mlir::OpBuilder &builder_;
  mlir::Location loc_;
};

} // namespace rtorch::rt
