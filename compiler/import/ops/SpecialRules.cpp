// Elementwise functions beyond arithmetic: special functions, bits, signs, and
// compositions of them.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>
#include <numbers>

namespace rtorch::translate {
namespace {

using Unary = std::function<Value(Call &, Value)>;
using Binary = std::function<Value(Call &, Value, Value)>;

Value number(Call &c, Value like, double value) {
  return c.number(value, dtypeOf(like));
}
Value add(Call &c, Value a, Value b) { return c.binary<rt::AddOp>(a, b); }
Value sub(Call &c, Value a, Value b) { return c.binary<rt::SubOp>(a, b); }
Value mul(Call &c, Value a, Value b) { return c.binary<rt::MulOp>(a, b); }
Value div(Call &c, Value a, Value b) { return c.binary<rt::DivOp>(a, b); }
Value isNan(Call &c, Value x) { return c.pointwise<rt::IsNanOp>(ScalarType::Bool, x); }

template <typename Op> Unary made() {
  return [](Call &c, Value x) { return c.unary<Op>(x); };
}
template <typename Op> Binary madeOfTwo() {
  return [](Call &c, Value a, Value b) { return c.binary<Op>(a, b); };
}

/// A function of real numbers: integers become floats, and float16 and bfloat16 are
/// rounded once at the end.
void addReal(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
             Unary formula) {
  addRule(table, ops, [formula = std::move(formula)](Call &c) -> Value {
    Value x = c.tensor("self");
    if (!x)
      return x;
    ScalarType dtype = c.floatOf(dtypeOf(x));
    Value wide = widened(c, c.convert(x, dtype));
    return c.likeUnary(c.convert(formula(c, wide), dtype), x);
  });
}

enum class Operands { Any, Real };

/// A function of two operands in their common dtype.
void addPair(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
             Binary formula, Operands kind = Operands::Any) {
  addRule(table, ops, [formula = std::move(formula), kind](Call &c) -> Value {
    Operand a = c.operand("self"), b = c.operand("other");
    ScalarType common = resultType({a, b});
    if (kind == Operands::Real)
      common = c.floatOf(common);
    Value x = widened(c, c.materialize(a, common)),
          y = widened(c, c.materialize(b, common));
    return x && y ? c.convert(formula(c, x, y), common) : Value();
  });
}

//===----------------------------------------------------------------------===//
// Functions of one number
//===----------------------------------------------------------------------===//

/// sin(pi x) / (pi x)
Value sinc(Call &c, Value x) {
  Value angle = mul(c, x, number(c, x, std::numbers::pi));
  Value isZero = c.compare<rt::EqOp>(x, number(c, x, 0));
  return c.where(isZero, number(c, x, 1), div(c, c.unary<rt::SinOp>(angle), angle));
}

/// log(x / (1 - x)), x kept eps away from 0 and 1. Eager rounds float16 and bfloat16
/// after each step.
Value logit(Call &c) {
  Value self = c.tensor("self"), x = self;
  if (x)
    x = c.convert(x, c.floatOf(dtypeOf(x)));
  if (!x)
    return x;
  Value one = number(c, x, 1);
  if (std::optional<double> eps = c.real("eps")) {
    x = c.binary<rt::MaximumOp>(x, number(c, x, *eps));
    x = c.binary<rt::MinimumOp>(x, number(c, x, 1 - *eps));
  }
  return c.likeUnary(c.unary<rt::LogOp>(div(c, x, sub(c, one, x))), self);
}

/// -x log(x), -inf below 0
Value entropy(Call &c, Value x) {
  Value zero = number(c, x, 0);
  Value result = mul(c, c.unary<rt::NegOp>(x), c.unary<rt::LogOp>(x));
  result = c.where(c.compare<rt::EqOp>(x, zero), zero, result);
  return c.where(c.compare<rt::LtOp>(x, zero), number(c, x, -INFINITY), result);
}

/// sum over k >= 0 of 1 / (x + k)^s for s > 1: the first terms, and Euler and
/// Maclaurin's formula for the rest. Not defined for x <= 0 here.
Value hurwitzZeta(Call &c, int64_t s, Value x) {
  constexpr int64_t kTerms = 10;
  const double numbers[] = {1.0 / 12,       -1.0 / 720,     1.0 / 30240,
                            -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000};
  auto power = [&](Value base, int64_t exponent) {
    return c.binary<rt::PowOp>(base, number(c, base, -static_cast<double>(exponent)));
  };
  Value sum, at = x;
  for (int64_t k = 0; k < kTerms; ++k) {
    sum = sum ? add(c, sum, power(at, s)) : power(at, s);
    at = add(c, x, number(c, x, k + 1));
  }
  sum = add(c, sum, mul(c, power(at, s - 1), number(c, x, 1.0 / (s - 1))));
  sum = add(c, sum, mul(c, power(at, s), number(c, x, 0.5)));
  double factor = 1;
  for (int64_t i = 0; i < 6; ++i) {
    factor *= i == 0 ? s : (s + 2 * i - 1) * (s + 2 * i);
    sum = add(c, sum,
              mul(c, power(at, s + 2 * i + 1), number(c, x, numbers[i] * factor)));
  }
  return sum;
}

/// pi times derivative `n` of cot(pi x), a polynomial of the cotangent: the derivative
/// of cot(pi x)^k is -pi k cot(pi x)^(k - 1) (1 + cot(pi x)^2).
Value cotangentSlope(Call &c, int64_t n, Value x) {
  std::vector<double> coefficients{0, 1};
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> next(coefficients.size() + 1);
    for (size_t k = 1; k < coefficients.size(); ++k) {
      double slope = -std::numbers::pi * static_cast<double>(k) * coefficients[k];
      next[k - 1] += slope;
      next[k + 1] += slope;
    }
    coefficients = std::move(next);
  }
  Value turn =
      mul(c, sub(c, x, c.unary<rt::RoundOp>(x)), number(c, x, std::numbers::pi));
  Value cotangent = div(c, c.unary<rt::CosOp>(turn), c.unary<rt::SinOp>(turn)), sum;
  for (size_t k = coefficients.size(); k-- > 0;) {
    Value coefficient = number(c, x, coefficients[k] * std::numbers::pi);
    sum = sum ? add(c, mul(c, sum, cotangent), coefficient) : coefficient;
  }
  return sum;
}

/// (-1)^(n + 1) n! zeta(n + 1, x)
Value polygamma(Call &c, Value x) {
  int64_t n = c.integer("n").value_or(0);
  if (n < 0) {
    c.error() << "expects an order of 0 or more, but got " << n;
    return {};
  }
  if (n == 0)
    return c.unary<rt::DigammaOp>(x);
  double factor = n % 2 ? 1 : -1;
  for (int64_t i = 2; i <= n; ++i)
    factor *= static_cast<double>(i);
  // Below 1/2 by reflection: (-1)^n polygamma(1 - x) - pi cot^(n)(pi x).
  Value below = c.compare<rt::LtOp>(x, number(c, x, 0.5));
  Value mirrored = c.where(below, sub(c, number(c, x, 1), x), x);
  Value result = mul(c, hurwitzZeta(c, n + 1, mirrored), number(c, x, factor));
  Value sign = number(c, x, n % 2 ? -1 : 1);
  Value reflected = sub(c, mul(c, result, sign), cotangentSlope(c, n, x));
  return c.where(below, reflected, result);
}

/// The normal distribution's probability of a smaller number.
Value normalBelow(Call &c, Value x) {
  Value scaled = mul(c, x, number(c, x, -1 / std::numbers::sqrt2));
  return mul(c, c.unary<rt::ErfcOp>(scaled), number(c, x, 0.5));
}

/// exp(x^2) erfc(x), in float64. Far out, where erfc vanishes, by its asymptotic series
/// 1 / (x sqrt(pi)) * sum of (-1)^k (2k - 1)!! / (2 x^2)^k.
Value scaledErfc(Call &c, Value x) {
  constexpr double kFar = 10; // the 13th term is below the precision
  constexpr int64_t kTerms = 13;
  x = c.convert(x, ScalarType::Double);
  Value limit = number(c, x, kFar);
  Value near = c.binary<rt::MinimumOp>(x, limit),
        far = c.binary<rt::MaximumOp>(x, limit);
  near = mul(c, c.unary<rt::ExpOp>(mul(c, near, near)), c.unary<rt::ErfcOp>(near));
  Value part = div(c, number(c, x, -0.5), mul(c, far, far)), one = number(c, x, 1);
  Value sum = one; // Horner's scheme of the quotients of neighbouring terms
  for (int64_t k = kTerms; k >= 1; --k)
    sum = add(c, one, mul(c, sum, mul(c, part, number(c, x, 2.0 * k - 1))));
  sum = div(c, mul(c, sum, number(c, x, std::numbers::inv_sqrtpi)), far);
  return c.where(c.compare<rt::GtOp>(x, limit), sum, near);
}

/// The logarithm of the normal distribution's probability of a smaller number.
Value logNormalBelow(Call &c, Value x) {
  x = c.convert(x, ScalarType::Double);
  Value t = mul(c, x, number(c, x, 1 / std::numbers::sqrt2)), half = number(c, x, 0.5);
  Value scaled = mul(c, scaledErfc(c, c.unary<rt::NegOp>(t)), half);
  Value low = sub(c, c.unary<rt::LogOp>(scaled), mul(c, t, t));
  Value rest = mul(c, c.unary<rt::ErfcOp>(t), half);
  Value high = c.unary<rt::Log1pOp>(c.unary<rt::NegOp>(rest));
  return c.where(c.compare<rt::LtOp>(x, number(c, x, 1)), low, high);
}

/// The number below which a share x of the normal distribution lies.
Value normalQuantile(Call &c, Value x) {
  Value centered = sub(c, mul(c, x, number(c, x, 2)), number(c, x, 1));
  return mul(c, c.unary<rt::ErfInvOp>(centered), number(c, x, std::numbers::sqrt2));
}

/// Rounds to `decimals` digits behind the point.
Value roundDecimals(Call &c, Value x) {
  int64_t decimals = c.integer("decimals").value_or(0);
  if (decimals == 0)
    return c.unary<rt::RoundOp>(x);
  Value scale = number(c, x, std::pow(10.0, std::abs(decimals)));
  if (decimals > 0)
    return div(c, c.unary<rt::RoundOp>(mul(c, x, scale)), scale);
  return mul(c, c.unary<rt::RoundOp>(div(c, x, scale)), scale);
}

/// The sum of log(gamma(x - i / 2)) for i below p, and the volume's constant.
Value multivariateLogGamma(Call &c, Value x) {
  int64_t p = c.integer("p").value_or(1);
  Value sum =
      number(c, x, static_cast<double>(p * (p - 1)) / 4 * std::log(std::numbers::pi));
  for (int64_t i = 0; i < p; ++i)
    sum =
        add(c, sum,
            c.unary<rt::LgammaOp>(sub(c, x, number(c, x, static_cast<double>(i) / 2))));
  return sum;
}

Value softshrink(Call &c, Value x) {
  Value bound = number(c, x, c.real("lambd").value_or(0.5));
  Value above = c.where(c.compare<rt::GtOp>(x, bound), sub(c, x, bound),
                        mul(c, x, number(c, x, 0)));
  return c.where(c.compare<rt::LtOp>(x, c.unary<rt::NegOp>(bound)), add(c, x, bound),
                 above);
}

/// A test of the sign bit, which -0 has.
Value signBit(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  if (!isFloat(dtypeOf(x)))
    return c.compare<rt::LtOp>(x, c.number(0, dtypeOf(x)));
  Value sign = c.binary<rt::CopySignOp>(number(c, x, 1), x);
  return c.compare<rt::LtOp>(sign, number(c, x, 0));
}

OneResult isInfinityOf(double infinity) {
  return [infinity](Call &c) -> Value {
    Value x = c.tensor("self");
    if (x && !isFloat(dtypeOf(x)))
      return c.compare<rt::NeOp>(x, x);
    return x ? c.compare<rt::EqOp>(x, number(c, x, infinity)) : x;
  };
}

//===----------------------------------------------------------------------===//
// Functions of two numbers
//===----------------------------------------------------------------------===//

/// The other operand where one is NaN.
template <typename Op> Value ignoringNan(Call &c, Value a, Value b) {
  if (!isFloat(dtypeOf(a)))
    return c.binary<Op>(a, b);
  Value chosen = c.where(isNan(c, b), a, c.binary<Op>(a, b));
  return c.where(isNan(c, a), b, chosen);
}

/// x log(y), 0 for x = 0 unless y is NaN
Value timesLog(Call &c, Value x, Value y, Value logarithm) {
  Value zero = number(c, x, 0);
  Value result = c.where(c.compare<rt::EqOp>(x, zero), zero, mul(c, x, logarithm));
  return c.where(isNan(c, y), y, result);
}

Value xlogy(Call &c, Value x, Value y) {
  return timesLog(c, x, y, c.unary<rt::LogOp>(y));
}

Value xlog1py(Call &c, Value x, Value y) {
  return timesLog(c, x, y, c.unary<rt::Log1pOp>(y));
}

/// sqrt(a^2 + b^2) without overflow
Value hypot(Call &c, Value a, Value b) {
  a = c.unary<rt::AbsOp>(a), b = c.unary<rt::AbsOp>(b);
  Value large = c.binary<rt::MaximumOp>(a, b), small = c.binary<rt::MinimumOp>(a, b);
  Value ratio = div(c, small, large), one = number(c, a, 1), zero = number(c, a, 0);
  Value length = mul(c, large, c.unary<rt::SqrtOp>(add(c, one, mul(c, ratio, ratio))));
  length = c.where(c.compare<rt::EqOp>(large, zero), large, length);
  // Infinite beats NaN.
  Value infinity = number(c, a, INFINITY);
  Value infinite = c.binary<rt::BitwiseOrOp>(c.compare<rt::EqOp>(a, infinity),
                                             c.compare<rt::EqOp>(b, infinity));
  return c.where(infinite, infinity, length);
}

/// The logarithm of a sum of powers, without overflow; `one` is log(1 + base^x).
Value logAddPowers(Call &c, Value a, Value b, bool base2) {
  Value top = c.binary<rt::MaximumOp>(a, b);
  Value distance = c.unary<rt::NegOp>(c.unary<rt::AbsOp>(sub(c, a, b)));
  Value rest;
  if (base2) {
    rest = c.unary<rt::Log1pOp>(c.unary<rt::Exp2Op>(distance));
    rest = mul(c, rest, number(c, a, std::numbers::log2e));
  } else {
    rest = c.unary<rt::Log1pOp>(c.unary<rt::ExpOp>(distance));
  }
  Value same = c.binary<rt::BitwiseAndOp>(
      c.compare<rt::EqOp>(a, b), c.pointwise<rt::IsInfOp>(ScalarType::Bool, a));
  return c.where(same, a, add(c, top, rest));
}

/// 0 below 0, 1 above, `values` at 0
Value heaviside(Call &c) {
  Value x = c.tensor("self"), values = c.tensor("values");
  if (!x || !values)
    return {};
  ScalarType dtype = dtypeOf(x);
  Value zero = c.full(Scalar::of(int64_t(0)), dtype);
  Value step = c.convert(c.compare<rt::GtOp>(x, zero), dtype);
  return c.where(c.compare<rt::EqOp>(x, zero), values, step);
}

Value leastCommonMultiple(Call &c, Value a, Value b) {
  // C++ multiplies narrow integers as int.
  ScalarType dtype = dtypeOf(a);
  if (dtype != ScalarType::Long)
    a = c.convert(a, ScalarType::Int), b = c.convert(b, ScalarType::Int);
  Value divisor = c.binary<rt::GcdOp>(a, b),
        zero = c.full(Scalar::of(int64_t(0)), dtypeOf(a));
  Value one = c.full(Scalar::of(int64_t(1)), dtypeOf(a));
  Value none = c.compare<rt::EqOp>(divisor, zero);
  Value part = c.binary<rt::TruncDivideOp>(a, c.where(none, one, divisor));
  return c.convert(c.unary<rt::AbsOp>(mul(c, part, b)), dtype);
}

/// x * 2^other
Value ldexp(Call &c, Value x, Value exponent) {
  return mul(c, x, c.unary<rt::Exp2Op>(exponent));
}

/// pow in float64
Value floatPower(Call &c) {
  Value a = c.materialize(c.operand("self"), ScalarType::Double);
  return c.binary<rt::PowOp>(a,
                             c.materialize(c.operand("exponent"), ScalarType::Double));
}

Value nextAfter(Call &c, Value a, Value b) { return c.binary<rt::NextAfterOp>(a, b); }

std::string refuseHalf(const importer::Graph &graph, const importer::Node &node) {
  for (const char *name : {"self", "other"}) {
    auto *ref = std::get_if<importer::TensorRef>(node.find(name));
    const importer::TensorMeta *meta = ref ? graph.value(ref->id).tensor() : nullptr;
    if (meta && isHalf(meta->dtype))
      return "nextafter of a 16-bit dtype is not supported";
  }
  return {};
}

} // namespace

void addSpecialRules(RuleTable &table) {
  addReal(table, {"aten.erfinv.default", "aten.special_erfinv.default"},
          made<rt::ErfInvOp>());
  addReal(table, {"aten.lgamma.default", "aten.special_gammaln.default"},
          made<rt::LgammaOp>());
  addReal(table,
          {"aten.digamma.default", "aten.special_digamma.default",
           "aten.special_psi.default"},
          made<rt::DigammaOp>());
  addReal(table, {"aten.i0.default", "aten.special_i0.default"},
          made<rt::BesselI0Op>());
  addReal(table, {"aten.special_i0e.default"}, made<rt::BesselI0eOp>());
  addReal(table, {"aten.special_i1.default"}, made<rt::BesselI1Op>());
  addReal(table, {"aten.special_i1e.default"}, made<rt::BesselI1eOp>());
  addReal(table, {"aten.sinc.default", "aten.special_sinc.default"}, sinc);
  addRule(table, {"aten.logit.default", "aten.special_logit.default"}, logit);
  addReal(table, {"aten.polygamma.default", "aten.special_polygamma.default"},
          polygamma);
  addReal(table, {"aten.special_entr.default"}, entropy);
  addReal(table, {"aten.special_ndtr.default"}, normalBelow);
  addReal(table, {"aten.special_erfcx.default"}, scaledErfc);
  addReal(table, {"aten.special_log_ndtr.default"}, logNormalBelow);
  addReal(table, {"aten.special_ndtri.default"}, normalQuantile);
  addReal(table, {"aten.mvlgamma.default", "aten.special_multigammaln.default"},
          multivariateLogGamma);
  addReal(table, {"aten.round.decimals", "aten.special_round.decimals"}, roundDecimals);
  addReal(table, {"aten.softshrink.default"}, softshrink);
  addReal(table, {"aten.deg2rad.default"}, [](Call &c, Value x) {
    return mul(c, x, number(c, x, std::numbers::pi / 180));
  });
  addReal(table, {"aten.rad2deg.default"}, [](Call &c, Value x) {
    return mul(c, x, number(c, x, 180 / std::numbers::pi));
  });
  addRule(table, {"aten.signbit.default"}, signBit);
  addRule(table, {"aten.isposinf.default"}, isInfinityOf(INFINITY));
  addRule(table, {"aten.isneginf.default"}, isInfinityOf(-INFINITY));

  addPair(table, {"aten.fmax.default"}, ignoringNan<rt::MaximumOp>);
  addPair(table, {"aten.fmin.default"}, ignoringNan<rt::MinimumOp>);
  addPair(table,
          {"aten.xlogy.Tensor", "aten.xlogy.Scalar_Self", "aten.xlogy.Scalar_Other",
           "aten.special_xlogy.default", "aten.special_xlogy.self_scalar",
           "aten.special_xlogy.other_scalar"},
          xlogy, Operands::Real);
  addPair(table,
          {"aten.special_xlog1py.default", "aten.special_xlog1py.self_scalar",
           "aten.special_xlog1py.other_scalar"},
          xlog1py, Operands::Real);
  addPair(table, {"aten.hypot.default"}, hypot, Operands::Real);
  addPair(table, {"aten.copysign.Tensor", "aten.copysign.Scalar"},
          madeOfTwo<rt::CopySignOp>(), Operands::Real);
  addPair(table, {"aten.nextafter.default"}, nextAfter, Operands::Real);
  table["aten.nextafter.default"].refuse = refuseHalf;
  addPair(
      table, {"aten.logaddexp.default"},
      [](Call &c, Value a, Value b) { return logAddPowers(c, a, b, false); },
      Operands::Real);
  addPair(
      table, {"aten.logaddexp2.default"},
      [](Call &c, Value a, Value b) { return logAddPowers(c, a, b, true); },
      Operands::Real);
  addPair(table, {"aten.ldexp.Tensor"}, ldexp, Operands::Real);
  addPair(table, {"aten.gcd.default"}, madeOfTwo<rt::GcdOp>());
  addPair(table, {"aten.lcm.default"}, leastCommonMultiple);
  for (llvm::StringRef name : {"aten.bitwise_left_shift", "aten.__lshift__"})
    for (const char *overload :
         {".Tensor", ".Scalar", ".Tensor_Scalar", ".Scalar_Tensor"})
      addPair(table, {(name + overload).str()}, madeOfTwo<rt::ShiftLeftOp>());
  for (llvm::StringRef name : {"aten.bitwise_right_shift", "aten.__rshift__"})
    for (const char *overload :
         {".Tensor", ".Scalar", ".Tensor_Scalar", ".Scalar_Tensor"})
      addPair(table, {(name + overload).str()}, madeOfTwo<rt::ShiftRightOp>());
  addRule(table, {"aten.heaviside.default"}, heaviside);
  addRule(table,
          {"aten.float_power.Tensor_Tensor", "aten.float_power.Tensor_Scalar",
           "aten.float_power.Scalar"},
          floatPower);
}

} // namespace rtorch::translate
