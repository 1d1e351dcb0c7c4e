// Arithmetic, comparisons, logic and selection.
#include "compiler/import/ops/Compose.h"
#include "compiler/import/ops/Rules.h"

#include <cmath>

namespace rtorch::translate {
namespace {

using Unary = Value (*)(Emitter &, Value);
using Binary = Value (*)(Emitter &, Value, Value);

template <typename Op> Value make(Emitter &e, Value x) { return e.unary<Op>(x); }
template <typename Op> Value make(Emitter &e, Value a, Value b) {
  return e.binary<Op>(a, b);
}
template <typename Op> Value makeCompare(Emitter &e, Value a, Value b) {
  return e.compare<Op>(a, b);
}

/// The dtype in which an op computes whose operands promote to `common`.
enum class Rounding { Promoted, Float };

ScalarType computeType(const Call &c, ScalarType common, Rounding rounding) {
  return rounding == Rounding::Float ? c.floatOf(common) : common;
}

//===----------------------------------------------------------------------===//
// Unary ops
//===----------------------------------------------------------------------===//

void addUnary(RuleTable &table, std::initializer_list<llvm::StringRef> ops, Unary build,
              Rounding rounding) {
  addRule(table, ops, [=](Call &c) -> Value {
    Value x = c.tensor("self");
    return x ? build(c, c.convert(x, computeType(c, dtypeOf(x), rounding))) : x;
  });
}

/// floor, ceil, ...: integers are unchanged, but copied.
template <typename Op>
void addRoundingOp(RuleTable &table, std::initializer_list<llvm::StringRef> ops) {
  addRule(table, ops, [](Call &c) -> Value {
    Value x = c.tensor("self");
    if (x && !isFloat(dtypeOf(x)))
      return c.clone(x, layout::preserveStrides(layoutOf(x), c.guards));
    return c.unary<Op>(x);
  });
}

Value isNan(Emitter &e, Value x) {
  if (x && !isFloat(dtypeOf(x)))
    return e.compare<rt::NeOp>(x, x);
  return e.pointwise<rt::IsNanOp>(ScalarType::Bool, x);
}

Value isInf(Emitter &e, Value x) {
  if (x && !isFloat(dtypeOf(x)))
    return e.compare<rt::NeOp>(x, x);
  return e.pointwise<rt::IsInfOp>(ScalarType::Bool, x);
}

Value isFinite(Emitter &e, Value x) {
  if (x && !isFloat(dtypeOf(x)))
    return e.compare<rt::EqOp>(x, x);
  return e.unary<rt::LogicalNotOp>(e.binary<rt::BitwiseOrOp>(isNan(e, x), isInf(e, x)));
}

Value square(Emitter &e, Value x) { return e.binary<rt::MulOp>(x, x); }

Value logicalNot(Emitter &e, Value x) {
  return e.unary<rt::LogicalNotOp>(e.convert(x, ScalarType::Bool));
}

void addUnaryRules(RuleTable &table) {
  const struct {
    llvm::StringRef op;
    Unary build;
  } floatRows[] = {
      {"aten.sqrt.default", make<rt::SqrtOp>},
      {"aten.rsqrt.default", make<rt::RsqrtOp>},
      {"aten.reciprocal.default", make<rt::ReciprocalOp>},
      {"aten.exp.default", make<rt::ExpOp>},
      {"aten.exp2.default", make<rt::Exp2Op>},
      {"aten.special_exp2.default", make<rt::Exp2Op>},
      {"aten.expm1.default", make<rt::Expm1Op>},
      {"aten.special_expm1.default", make<rt::Expm1Op>},
      {"aten.log.default", make<rt::LogOp>},
      {"aten.log2.default", make<rt::Log2Op>},
      {"aten.log10.default", make<rt::Log10Op>},
      {"aten.log1p.default", make<rt::Log1pOp>},
      {"aten.special_log1p.default", make<rt::Log1pOp>},
      {"aten.sin.default", make<rt::SinOp>},
      {"aten.cos.default", make<rt::CosOp>},
      {"aten.tan.default", make<rt::TanOp>},
      {"aten.asin.default", make<rt::AsinOp>},
      {"aten.arcsin.default", make<rt::AsinOp>},
      {"aten.acos.default", make<rt::AcosOp>},
      {"aten.arccos.default", make<rt::AcosOp>},
      {"aten.atan.default", make<rt::AtanOp>},
      {"aten.arctan.default", make<rt::AtanOp>},
      {"aten.sinh.default", make<rt::SinhOp>},
      {"aten.cosh.default", make<rt::CoshOp>},
      {"aten.tanh.default", make<rt::TanhOp>},
      {"aten.asinh.default", make<rt::AsinhOp>},
      {"aten.arcsinh.default", make<rt::AsinhOp>},
      {"aten.acosh.default", make<rt::AcoshOp>},
      {"aten.arccosh.default", make<rt::AcoshOp>},
      {"aten.atanh.default", make<rt::AtanhOp>},
      {"aten.arctanh.default", make<rt::AtanhOp>},
      {"aten.erf.default", make<rt::ErfOp>},
      {"aten.special_erf.default", make<rt::ErfOp>},
      {"aten.erfc.default", make<rt::ErfcOp>},
      {"aten.special_erfc.default", make<rt::ErfcOp>},
      {"aten.sigmoid.default", make<rt::SigmoidOp>},
      {"aten.special_expit.default", make<rt::SigmoidOp>},
  };
  for (const auto &row : floatRows)
    addUnary(table, {row.op}, row.build, Rounding::Float);

  const struct {
    llvm::StringRef op;
    Unary build;
  } sameRows[] = {
      {"aten.neg.default", make<rt::NegOp>},
      {"aten.negative.default", make<rt::NegOp>},
      {"aten.abs.default", make<rt::AbsOp>},
      {"aten.absolute.default", make<rt::AbsOp>},
      {"aten.sign.default", make<rt::SignOp>},
      {"aten.sgn.default", make<rt::SignOp>},
      {"aten.relu.default", make<rt::ReluOp>},
      {"aten.square.default", square},
      {"aten.bitwise_not.default", make<rt::BitwiseNotOp>},
      {"aten.logical_not.default", logicalNot},
      {"aten.isnan.default", isNan},
      {"aten.isinf.default", isInf},
      {"aten.isfinite.default", isFinite},
  };
  for (const auto &row : sameRows)
    addUnary(table, {row.op}, row.build, Rounding::Promoted);

  addRoundingOp<rt::FloorOp>(table, {"aten.floor.default"});
  addRoundingOp<rt::CeilOp>(table, {"aten.ceil.default"});
  addRoundingOp<rt::TruncOp>(table, {"aten.trunc.default", "aten.fix.default"});
  addRoundingOp<rt::RoundOp>(table, {"aten.round.default"});
  addRule(table, {"aten.frac.default"}, [](Call &c) {
    Value x = c.tensor("self");
    return c.binary<rt::SubOp>(x, c.unary<rt::TruncOp>(x));
  });
}

//===----------------------------------------------------------------------===//
// Binary ops
//===----------------------------------------------------------------------===//

/// Converts the operands to the dtype that they promote to and builds the op.
Value promoteAndBuild(Call &c, Operand a, Operand b, Binary build, Rounding rounding) {
  ScalarType common = computeType(c, resultType({a, b}), rounding);
  return build(c, c.materialize(a, common), c.materialize(b, common));
}

/// mul and div keep a number in float32 beside a float16 or bfloat16 tensor.
Value promoteInFloat32(Call &c, Operand a, Operand b, Binary build, Rounding rounding) {
  ScalarType common = computeType(c, resultType({a, b}), rounding);
  if (!isHalf(common) || (a.tensor && b.tensor))
    return promoteAndBuild(c, a, b, build, rounding);
  Value wide = build(c, c.materialize(a, ScalarType::Float),
                     c.materialize(b, ScalarType::Float));
  return c.convert(wide, common);
}

void addBinary(RuleTable &table, std::initializer_list<llvm::StringRef> ops,
               Binary build, Rounding rounding = Rounding::Promoted) {
  addRule(table, ops, [=](Call &c) -> Value {
    Operand a = c.operand("self"), b = c.operand("other");
    return promoteAndBuild(c, a, b, build, rounding);
  });
}

/// self + alpha * other, self - alpha * other, or reversed: other - alpha * self.
Value addOrSub(Call &c, Binary build, bool reversed) {
  Operand a = c.operand("self"), b = c.operand("other");
  if (reversed)
    std::swap(a, b);
  ScalarType common = resultType({a, b});
  Value x = c.materialize(a, common), y = c.materialize(b, common);
  Scalar alpha = c.scalar("alpha").value_or(Scalar::of(int64_t(1)));
  if (alpha.constant() != 1.0)
    y = c.binary<rt::MulOp>(y, c.full(alpha, common));
  return build(c, x, y);
}

Value divide(Call &c) {
  Operand a = c.operand("self"), b = c.operand("other");
  std::string_view mode = c.string("rounding_mode");
  if (mode == "floor")
    return promoteInFloat32(c, a, b, make<rt::FloorDivideOp>, Rounding::Promoted);
  if (mode == "trunc")
    return promoteAndBuild(c, a, b, make<rt::TruncDivideOp>, Rounding::Promoted);
  return promoteInFloat32(c, a, b, make<rt::DivOp>, Rounding::Float);
}

void addBinaryRules(RuleTable &table) {
  addRule(table, {"aten.add.Tensor", "aten.add.Scalar"},
          [](Call &c) { return addOrSub(c, make<rt::AddOp>, false); });
  addRule(table, {"aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor"},
          [](Call &c) { return addOrSub(c, make<rt::SubOp>, false); });
  addRule(table, {"aten.rsub.Tensor", "aten.rsub.Scalar"},
          [](Call &c) { return addOrSub(c, make<rt::SubOp>, true); });
  addRule(table,
          {"aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor",
           "aten.multiply.Scalar"},
          [](Call &c) {
            Operand a = c.operand("self"), b = c.operand("other");
            return promoteInFloat32(c, a, b, make<rt::MulOp>, Rounding::Promoted);
          });
  addRule(table,
          {"aten.div.Tensor", "aten.div.Scalar", "aten.div.Tensor_mode",
           "aten.div.Scalar_mode", "aten.divide.Tensor", "aten.divide.Scalar",
           "aten.true_divide.Tensor", "aten.true_divide.Scalar"},
          divide);
  addRule(
      table, {"aten.floor_divide.default", "aten.floor_divide.Scalar"}, [](Call &c) {
        Operand a = c.operand("self"), b = c.operand("other");
        return promoteInFloat32(c, a, b, make<rt::FloorDivideOp>, Rounding::Promoted);
      });
  addBinary(table, {"aten.fmod.Tensor", "aten.fmod.Scalar"}, make<rt::FmodOp>);
  addBinary(table, {"aten.remainder.Tensor", "aten.remainder.Scalar"},
            make<rt::RemainderOp>);
  addBinary(table, {"aten.maximum.default", "aten.max.other"}, make<rt::MaximumOp>);
  addBinary(table, {"aten.minimum.default", "aten.min.other"}, make<rt::MinimumOp>);
  addBinary(table, {"aten.atan2.default", "aten.arctan2.default"}, make<rt::Atan2Op>,
            Rounding::Float);

  const struct {
    const char *name;
    Binary build;
  } comparisons[] = {
      {"eq", makeCompare<rt::EqOp>},
      {"ne", makeCompare<rt::NeOp>},
      {"lt", makeCompare<rt::LtOp>},
      {"le", makeCompare<rt::LeOp>},
      {"gt", makeCompare<rt::GtOp>},
      {"ge", makeCompare<rt::GeOp>},
      {"not_equal", makeCompare<rt::NeOp>},
      {"less", makeCompare<rt::LtOp>},
      {"less_equal", makeCompare<rt::LeOp>},
      {"greater", makeCompare<rt::GtOp>},
      {"greater_equal", makeCompare<rt::GeOp>},
  };
  for (const auto &row : comparisons)
    for (const char *overload : {".Tensor", ".Scalar"})
      addBinary(table, {std::string("aten.") + row.name + overload}, row.build);

  const struct {
    const char *name;
    Binary build;
  } bits[] = {
      {"bitwise_and", make<rt::BitwiseAndOp>}, {"bitwise_or", make<rt::BitwiseOrOp>},
      {"bitwise_xor", make<rt::BitwiseXorOp>}, {"__and__", make<rt::BitwiseAndOp>},
      {"__or__", make<rt::BitwiseOrOp>},       {"__xor__", make<rt::BitwiseXorOp>},
  };
  for (const auto &row : bits)
    for (const char *overload : {".Tensor", ".Scalar"})
      addBinary(table, {std::string("aten.") + row.name + overload}, row.build);

  const struct {
    llvm::StringRef op;
    Binary build;
  } logic[] = {
      {"aten.logical_and.default", make<rt::BitwiseAndOp>},
      {"aten.logical_or.default", make<rt::BitwiseOrOp>},
      {"aten.logical_xor.default", make<rt::BitwiseXorOp>},
  };
  for (const auto &row : logic)
    addRule(table, {row.op}, [build = row.build](Call &c) -> Value {
      Value a = c.tensor("self"), b = c.tensor("other");
      if (!a || !b)
        return {};
      // Promoted first: the strides follow the operands in their common dtype.
      ScalarType common = resultType({{a, {}}, {b, {}}});
      a = c.convert(a, common), b = c.convert(b, common);
      Value result =
          build(c, c.convert(a, ScalarType::Bool), c.convert(b, ScalarType::Bool));
      return likeOperands(c, result, {a, b});
    });
}

//===----------------------------------------------------------------------===//
// Powers
//===----------------------------------------------------------------------===//

/// x to a natural power by squaring; integers wrap as repeated products do.
Value naturalPower(Emitter &e, Value x, uint64_t exponent) {
  Value result;
  for (Value factor = x; factor && exponent; exponent >>= 1) {
    if (exponent & 1)
      result = result ? e.binary<rt::MulOp>(result, factor) : factor;
    if (exponent > 1)
      factor = square(e, factor);
  }
  return result;
}

/// Eager's special exponents; null for the others.
Value specialPower(Call &c, Value x, double exponent) {
  if (exponent == 0)
    return c.likeUnary(c.full(Scalar::of(1.0), dtypeOf(x), sizesOf(x)), x);
  if (exponent == 1)
    return c.likeUnary(c.clone(x, layout::preserveStrides(layoutOf(x), c.guards)), x);
  if (!isFloat(dtypeOf(x)))
    return exponent > 1 ? naturalPower(c, x, static_cast<uint64_t>(exponent)) : Value();
  if (exponent == 2)
    return square(c, x);
  if (exponent == 3)
    return c.binary<rt::MulOp>(square(c, x), x);
  if (exponent == 0.5)
    return c.unary<rt::SqrtOp>(x);
  if (exponent == -0.5)
    return c.unary<rt::RsqrtOp>(x);
  if (exponent == -1)
    return c.unary<rt::ReciprocalOp>(x);
  if (exponent == -2)
    return c.unary<rt::ReciprocalOp>(square(c, x));
  return {};
}

Value powScalar(Call &c) {
  Value x = c.tensor("self");
  if (!x)
    return x;
  Scalar exponent = *c.scalar("exponent");
  ScalarType common = resultType({{x, {}}, {{}, exponent}});
  // float16 and bfloat16 are rounded once, after all products.
  x = c.convert(x, isHalf(common) ? ScalarType::Float : common);
  if (std::optional<double> constant = exponent.constant())
    if (Value special = specialPower(c, x, *constant))
      return c.convert(special, common);
  Value result = c.binary<rt::PowOp>(x, c.full(exponent, dtypeOf(x)));
  return c.convert(c.likeUnary(result, x), common);
}

Value powTensors(Call &c, std::string_view base, std::string_view exponent) {
  Operand a = c.operand(base), b = c.operand(exponent);
  ScalarType common = resultType({a, b});
  Value result =
      c.binary<rt::PowOp>(c.materialize(a, common), c.materialize(b, common));
  return result && !a.tensor
             ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
             : result;
}

//===----------------------------------------------------------------------===//
// Selection, bounds
//===----------------------------------------------------------------------===//

Value where(Call &c) {
  Value condition = c.convert(c.tensor("condition"), ScalarType::Bool);
  Operand a = c.operand("self"), b = c.operand("other");
  ScalarType common = resultType({a, b});
  return c.where(condition, c.materialize(a, common), c.materialize(b, common));
}

Value maskedFill(Call &c) {
  Value x = c.tensor("self"), mask = c.tensor("mask");
  if (!x || !mask)
    return {};
  Value value = c.materialize(c.operand("value"), dtypeOf(x));
  Value result = c.where(c.convert(mask, ScalarType::Bool), value, x);
  return result ? c.withStrides(result, layout::contiguousStrides(sizesOf(result)))
                : result;
}

/// min(max(x, low), high), a bound of None left out.
Value clampTo(Call &c, std::string_view low, std::string_view high) {
  std::vector<Operand> operands = {c.operand("self")};
  std::optional<Operand> lower, upper;
  if (!low.empty() && !c.isNone(low))
    operands.push_back(*(lower = c.operand(low)));
  if (!high.empty() && !c.isNone(high))
    operands.push_back(*(upper = c.operand(high)));
  ScalarType common = resultType(operands);
  Value x = c.materialize(operands[0], common), result = x;
  if (lower)
    result = c.binary<rt::MaximumOp>(result, c.materialize(*lower, common));
  if (upper)
    result = c.binary<rt::MinimumOp>(result, c.materialize(*upper, common));
  bool numbers = (!lower || !lower->tensor) && (!upper || !upper->tensor);
  return numbers ? c.likeUnary(result, x) : result;
}

/// Where eager rounds once after several steps: float32 for float16 and bfloat16.
ScalarType wideType(ScalarType dtype) {
  return isHalf(dtype) ? ScalarType::Float : dtype;
}

/// self + value * f(tensor1, tensor2)
Value addScaled(Call &c, Binary combine) {
  Operand a{c.tensor("self"), {}}, b{c.tensor("tensor1"), {}},
      d{c.tensor("tensor2"), {}};
  if (!a.tensor || !b.tensor || !d.tensor)
    return {};
  ScalarType common = resultType({a, b, d});
  ScalarType wide = wideType(common);
  Value product = c.materialize(b, wide);
  Scalar value = c.scalar("value").value_or(Scalar::of(int64_t(1)));
  if (value.constant() != 1.0)
    product = c.binary<rt::MulOp>(c.full(value, wide), product);
  product = combine(c, product, c.materialize(d, wide));
  return c.convert(c.binary<rt::AddOp>(c.materialize(a, wide), product), common);
}

/// start + weight * (end - start), from the nearer end.
Value lerp(Call &c) {
  Value start = c.tensor("self"), end = c.tensor("end");
  if (!start || !end)
    return {};
  ScalarType common = dtypeOf(start), dtype = wideType(common);
  start = c.convert(start, dtype), end = c.convert(end, dtype);
  Value weight = c.materialize(c.operand("weight"), dtype);
  Value distance = c.binary<rt::SubOp>(end, start), one = c.number(1, dtype);
  Value nearStart = c.binary<rt::AddOp>(start, c.binary<rt::MulOp>(weight, distance));
  Value rest = c.binary<rt::MulOp>(distance, c.binary<rt::SubOp>(one, weight));
  Value nearEnd = c.binary<rt::SubOp>(end, rest);
  Value isNear = c.compare<rt::LtOp>(c.unary<rt::AbsOp>(weight), c.number(0.5, dtype));
  return c.convert(c.where(isNear, nearStart, nearEnd), common);
}

Value nanToNum(Call &c) {
  Value x = c.tensor("self");
  if (!x || !isFloat(dtypeOf(x)))
    return x ? c.clone(x, layout::preserveStrides(layoutOf(x), c.guards)) : x;
  ScalarType dtype = dtypeOf(x);
  const llvm::fltSemantics &semantics =
      mlir::cast<mlir::FloatType>(rt::tensorType(x).getElementType())
          .getFloatSemantics();
  double largest = llvm::APFloat::getLargest(semantics).convertToDouble();
  Value infinity = c.number(INFINITY, dtype);
  Value result = c.where(isNan(c, x), c.number(c.real("nan").value_or(0), dtype), x);
  result = c.where(c.compare<rt::EqOp>(x, infinity),
                   c.number(c.real("posinf").value_or(largest), dtype), result);
  result = c.where(c.compare<rt::EqOp>(x, c.unary<rt::NegOp>(infinity)),
                   c.number(c.real("neginf").value_or(-largest), dtype), result);
  return result ? c.withStrides(result, layout::preserveStrides(layoutOf(x), c.guards))
                : result;
}

} // namespace

void addPointwiseRules(RuleTable &table) {
  addUnaryRules(table);
  addBinaryRules(table);
  addRule(table, {"aten.pow.Tensor_Scalar"}, powScalar);
  addRule(table, {"aten.pow.Tensor_Tensor", "aten.pow.Scalar"},
          [](Call &c) { return powTensors(c, "self", "exponent"); });
  addRule(table,
          {"aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther",
           "aten.where.Scalar"},
          where);
  addRule(table, {"aten.masked_fill.Scalar", "aten.masked_fill.Tensor"}, maskedFill);
  addRule(table, {"aten.clamp.default", "aten.clamp.Tensor", "aten.clip.default"},
          [](Call &c) { return clampTo(c, "min", "max"); });
  addRule(table, {"aten.clamp_min.default", "aten.clamp_min.Tensor"},
          [](Call &c) { return clampTo(c, "min", ""); });
  addRule(table, {"aten.clamp_max.default", "aten.clamp_max.Tensor"},
          [](Call &c) { return clampTo(c, "", "max"); });
  addRule(table, {"aten.addcmul.default"},
          [](Call &c) { return addScaled(c, make<rt::MulOp>); });
  addRule(table, {"aten.addcdiv.default"},
          [](Call &c) { return addScaled(c, make<rt::DivOp>); });
  addRule(table, {"prims.fma.default"}, [](Call &c) {
    Operand a = c.operand("a"), b = c.operand("b"), addend = c.operand("c");
    ScalarType dtype = resultType({a, b, addend});
    Value product =
        c.binary<rt::MulOp>(c.materialize(a, dtype), c.materialize(b, dtype));
    return c.binary<rt::AddOp>(product, c.materialize(addend, dtype));
  });
  addRule(table, {"aten.lerp.Scalar", "aten.lerp.Tensor"}, lerp);
  addRule(table, {"aten.nan_to_num.default"}, nanToNum);
}

} // namespace rtorch::translate
