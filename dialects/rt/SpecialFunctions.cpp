// Formulas of functions that no instruction and no op of the math dialect has. Those of
// real numbers are evaluated in float64, so that float32 results are exact but for
// their rounding.
#include "dialects/rt/FormulaBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinTypes.h"

#include <cmath>
#include <limits>
#include <numbers>

using namespace mlir;

namespace rtorch::rt {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A float64 value in a formula.
struct Real {
  FormulaBuilder *f;
  Value value;

  Real like(double number) const { return {f, f->like(value, number)}; }
};

Real operator+(Real a, Real b) { return {a.f, a.f->add(a.value, b.value)}; }
Real operator-(Real a, Real b) { return {a.f, a.f->sub(a.value, b.value)}; }
Real operator*(Real a, Real b) { return {a.f, a.f->mul(a.value, b.value)}; }
Real operator/(Real a, Real b) { return {a.f, a.f->div(a.value, b.value)}; }
Real operator+(Real a, double b) { return a + a.like(b); }
Real operator-(Real a, double b) { return a - a.like(b); }
Real operator*(Real a, double b) { return a * a.like(b); }
Real operator/(Real a, double b) { return a / a.like(b); }
Real operator+(double a, Real b) { return b.like(a) + b; }
Real operator-(double a, Real b) { return b.like(a) - b; }
Real operator/(double a, Real b) { return b.like(a) / b; }
Value operator<(Real a, double b) {
  return a.f->compare(FormulaBuilder::Lt, a.value, a.f->like(a.value, b));
}
Value operator>(Real a, double b) {
  return a.f->compare(FormulaBuilder::Gt, a.value, a.f->like(a.value, b));
}
Value operator==(Real a, double b) {
  return a.f->compare(FormulaBuilder::Eq, a.value, a.f->like(a.value, b));
}
Real select(Value condition, Real a, Real b) {
  return {a.f, a.f->select(condition, a.value, b.value)};
}
Real log(Real x) { return {x.f, x.f->log(x.value)}; }
Real exp(Real x) { return {x.f, x.f->exp(x.value)}; }
Real sqrt(Real x) { return {x.f, x.f->sqrt(x.value)}; }
Real abs(Real x) { return {x.f, x.f->abs(x.value)}; }
Real copysign(Real magnitude, Real sign) {
  return {sign.f, sign.f->copySign(magnitude.value, sign.value)};
}

/// coefficients[0] + x * (coefficients[1] + ...)
Real polynomial(Real x, ArrayRef<double> coefficients) {
  Real sum = x.like(coefficients.back());
  for (double coefficient : llvm::reverse(coefficients.drop_back()))
    sum = coefficient + sum * x;
  return sum;
}

/// Evaluates `formula` in float64 and rounds to the type of `x`.
Value inDouble(FormulaBuilder &f, Value x, function_ref<Real(Real)> formula) {
  Type element = FormulaBuilder::elementOf(x.getType());
  Real wide{&f, f.convert(x, f.builder().getF64Type())};
  return f.convert(formula(wide).value, element);
}

/// Stirling's series of log(gamma(x)) - ((x - 1/2) log(x) - x + log(2 pi) / 2) in 1 /
/// x; x is 8 or more.
Real stirlingRest(Real x) {
  Real inverse = 1.0 / x;
  static constexpr double kSeries[] = {1.0 / 12,    -1.0 / 360, 1.0 / 1260,
                                       -1.0 / 1680, 1.0 / 1188, -691.0 / 360360,
                                       1.0 / 156};
  return polynomial(inverse * inverse, kSeries) * inverse;
}

/// The distance to the nearest integer, signed.
Real fraction(Real x) { return {x.f, x.f->sub(x.value, x.f->roundEven(x.value))}; }

Real lgammaOf(Real x) {
  Value reflected = x < 0.5;
  Real z = select(reflected, 1.0 - x, x), product = x.like(1);
  for (int i = 0; i < 8; ++i) { // gamma(z + 1) = z gamma(z)
    Value small = z < 8;
    product = select(small, product * z, product);
    z = select(small, z + 1.0, z);
  }
  Real result = (z - 0.5) * log(z) - z + std::log(2 * std::numbers::pi) / 2 +
                stirlingRest(z) - log(product);
  // gamma(x) gamma(1 - x) = pi / sin(pi x)
  Real sine{x.f, x.f->sin((fraction(x) * std::numbers::pi).value)};
  Real mirrored = std::log(std::numbers::pi) - log(abs(sine)) - result;
  result = select(reflected, mirrored, result);
  return select(x.f->isInf(x.value), x.like(kInfinity), result);
}

Real digammaOf(Real x) {
  Value reflected = x < 0.5;
  Real z = select(reflected, 1.0 - x, x), sum = x.like(0);
  for (int i = 0; i < 10; ++i) { // digamma(z + 1) = digamma(z) + 1 / z
    Value small = z < 10;
    sum = select(small, sum + 1.0 / z, sum);
    z = select(small, z + 1.0, z);
  }
  Real inverse = 1.0 / z, square = inverse * inverse;
  static constexpr double kSeries[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                                       1.0 / 132, -691.0 / 32760, 1.0 / 12};
  Real result = log(z) - inverse * 0.5 - square * polynomial(square, kSeries) - sum;
  // digamma(1 - x) - digamma(x) = pi / tan(pi x)
  Real part = fraction(x);
  Real tangent{x.f, x.f->tan((part * std::numbers::pi).value)};
  Real mirrored = result - std::numbers::pi / tangent;
  mirrored = select(part == 0, x.like(kNan), mirrored);
  result = select(reflected, mirrored, result);
  result = select(x == kInfinity, x, result);
  Real negated{x.f, x.f->neg(x.value)};
  return select(x == 0, copysign(x.like(kInfinity), negated), result);
}

Real erfInvOf(Real y) {
  Real target = abs(y);
  // Winitzki's approximation, then Halley's method, each step of which triples the
  // number of good digits.
  constexpr double kA = 0.147;
  Real logarithm{y.f, y.f->log1p((y.like(0) - target * target).value)};
  Real half = 2 / (std::numbers::pi * kA) + logarithm * 0.5;
  Real x = sqrt(sqrt(half * half - logarithm / kA) - half);
  Value nearOne = target > 0.5;
  for (int i = 0; i < 3; ++i) {
    Real low = Real{y.f, y.f->erf(x.value)} - target;
    Real high = (1.0 - target) - Real{y.f, y.f->erfc(x.value)};
    Real slope = exp(x.like(0) - x * x) * (2 / std::sqrt(std::numbers::pi));
    Real step = select(nearOne, high, low) / slope;
    x = x - step / (1.0 + x * step);
  }
  x = select(target == 1, x.like(kInfinity), x);
  x = select(target > 1, x.like(kNan), x);
  return copysign(x, y);
}

/// Coefficients of Hankel's expansion in 1 / x of sqrt(2 pi x) exp(-x) I(x).
SmallVector<double> hankelSeries(int order, int terms) {
  SmallVector<double> series{1};
  for (int k = 1; k < terms; ++k)
    series.push_back(-series.back() * (4.0 * order * order - std::pow(2 * k - 1, 2)) /
                     (8 * k));
  return series;
}

Real besselOf(Real x, int order, bool scaled) {
  Real magnitude = abs(x), quarter = magnitude * magnitude * 0.25;
  Real series = x.like(1); // sum of quarter^k / (k! (k + order)!)
  for (int k = 32; k > 0; --k)
    series = 1.0 + series * quarter / (double(k) * (k + order));
  if (order == 1)
    series = series * magnitude * 0.5;
  Real far = polynomial(1.0 / magnitude, hankelSeries(order, 20)) /
             sqrt(magnitude * (2 * std::numbers::pi));
  if (scaled)
    series = series * exp(x.like(0) - magnitude);
  else // in two factors: exp(x) overflows before the result does
    far = far * exp(magnitude * 0.5) * exp(magnitude * 0.5);
  Real result = select(magnitude > 18, far, series);
  if (scaled) // without it, infinities are NaN, as in eager
    result = select(magnitude == kInfinity, x.like(0), result);
  return order == 1 ? copysign(result, x) : result;
}

/// Whether the condition holds in any lane.
Value anyLane(FormulaBuilder &f, Value condition) {
  if (!isa<VectorType>(condition.getType()))
    return condition;
  return vector::ReductionOp::create(f.builder(), f.loc(), vector::CombiningKind::OR,
                                     condition);
}

/// Repeats `step` while `condition` holds in any lane.
SmallVector<Value> repeatWhile(FormulaBuilder &f, ValueRange initial,
                               function_ref<Value(ValueRange)> condition,
                               function_ref<SmallVector<Value>(ValueRange)> step) {
  auto loop = scf::WhileOp::create(
      f.builder(), f.loc(), initial.getTypes(), initial,
      [&](OpBuilder &, Location, ValueRange values) {
        scf::ConditionOp::create(f.builder(), f.loc(), anyLane(f, condition(values)),
                                 values);
      },
      [&](OpBuilder &, Location, ValueRange values) {
        scf::YieldOp::create(f.builder(), f.loc(), step(values));
      });
  return SmallVector<Value>(loop.getResults());
}

} // namespace

Value FormulaBuilder::copySign(Value magnitude, Value sign) {
  return math::CopySignOp::create(builder_, loc_, magnitude, sign);
}

Value FormulaBuilder::nextAfter(Value a, Value b) {
  Type element = elementOf(a.getType());
  Type bitsType =
      IntegerType::get(element.getContext(), element.getIntOrFloatBitWidth());
  auto cast = [&](Value x, Type to) -> Value {
    return arith::BitcastOp::create(builder_, loc_, withElement(x.getType(), to), x);
  };
  Value zero = like(a, 0), bits = cast(a, bitsType), one = like(bits, 1);
  Value away = compare(Eq, compare(Gt, b, a), compare(Gt, a, zero));
  Value moved = cast(select(away, add(bits, one), sub(bits, one)), element);
  Value fromZero = copySign(cast(one, element), b);
  Value result = select(compare(Eq, a, zero), fromZero, moved);
  result = select(compare(Eq, a, b), b, result);
  return select(bitOr(isNan(a), isNan(b)), add(a, b), result);
}

Value FormulaBuilder::gcd(Value a, Value b) {
  Value zero = like(a, 0);
  SmallVector<Value> result = repeatWhile(
      *this, {abs(a), abs(b)}, [&](ValueRange x) { return compare(Ne, x[1], zero); },
      [&](ValueRange x) {
        Value done = compare(Eq, x[1], zero);
        Value rest = arith::RemSIOp::create(builder_, loc_, x[0],
                                            select(done, like(a, 1), x[1]));
        return SmallVector<Value>{select(done, x[0], x[1]), select(done, zero, rest)};
      });
  return abs(result[0]);
}

/// J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2,
/// 3" (2011). The key is the seed's lower word; its upper word is mixed into the
/// counter's.
Value FormulaBuilder::philox(Value counter, Value seed) {
  Type type = counter.getType();
  Value lower = integer(type, 0xffffffff), word = integer(type, 32);
  auto high = [&](Value x) -> Value {
    return arith::ShRUIOp::create(builder_, loc_, x, word);
  };
  Value first = bitAnd(counter, lower), second = bitXor(high(counter), high(seed));
  Value key = bitAnd(seed, lower);
  for (int round = 0; round < 10; ++round) {
    if (round > 0)
      key = bitAnd(add(key, integer(type, 0x9E3779B9)), lower);
    // Both factors have 32 bits: the 64 of their product are all there.
    Value product = mul(first, integer(type, 0xD256D193));
    first = bitXor(bitXor(high(product), key), second);
    second = bitAnd(product, lower);
  }
  Value upper = arith::ShLIOp::create(builder_, loc_, first, word);
  return bitOr(upper, second);
}

Value FormulaBuilder::integerPow(Value base, Value exponent) {
  if (elementOf(base.getType()).isInteger(1)) // false to the power true is false
    return bitOr(base, bitNot(exponent));
  Value zero = like(base, 0), one = like(base, 1), minusOne = like(base, -1);
  Value odd = compare(Ne, bitAnd(exponent, one), zero);
  Value inverse = select(compare(Eq, base, one), one, zero);
  inverse = select(compare(Eq, base, minusOne), select(odd, minusOne, one), inverse);
  Value negative = compare(Lt, exponent, zero);
  SmallVector<Value> result = repeatWhile(
      *this, {one, base, select(negative, zero, exponent)},
      [&](ValueRange x) { return compare(Ne, x[2], zero); },
      [&](ValueRange x) {
        Value isSet = compare(Ne, bitAnd(x[2], one), zero);
        return SmallVector<Value>{select(isSet, mul(x[0], x[1]), x[0]), mul(x[1], x[1]),
                                  shiftRight(x[2], one)};
      });
  return select(negative, inverse, result[0]);
}

Value FormulaBuilder::lgamma(Value x) { return inDouble(*this, x, lgammaOf); }
Value FormulaBuilder::digamma(Value x) { return inDouble(*this, x, digammaOf); }
Value FormulaBuilder::erfInv(Value x) { return inDouble(*this, x, erfInvOf); }
Value FormulaBuilder::besselI(Value x, int order, bool scaled) {
  return inDouble(*this, x, [&](Real wide) { return besselOf(wide, order, scaled); });
}

} // namespace rtorch::rt
