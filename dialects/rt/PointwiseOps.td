//===- PointwiseOps.td - the table of elementwise ops ----------------------===//
//
// One entry an op: mnemonic, summary, operand and result dtypes, formula. The code of
// a formula sees `f`, a FormulaBuilder, and `x`, the operands at one index.
#ifndef RTORCH_DIALECTS_RT_POINTWISEOPS_TD
#define RTORCH_DIALECTS_RT_POINTWISEOPS_TD

include "dialects/rt/RtOpBase.td"

class Rt_PointwiseOp<string mnemonic, dag args, string format, string typeFormat,
                     string typeRule, Type resultType, string what, string formula,
                     string constraints, string example>
    : Rt_ComputeOp<mnemonic, [DeclareOpInterfaceMethods<Rt_PointwiseOpInterface>]> {
  let summary = what;
  let description = "\n    - (C1) The result's sizes are the operands', broadcast.\n    - (C2) "
      # constraints # "\n\n    Example:\n    ```mlir\n    " # example # "\n    ```\n  ";
  let arguments = args;
  let results = (outs resultType:$result);
  let assemblyFormat = format # " attr-dict `:` " # typeFormat # " `->` type($result)";
  let extraClassDefinition =
    "::mlir::Value $cppClass::emitFormula(::rtorch::rt::FormulaBuilder &f, ::mlir::ValueRange x) {" #
    formula # "}\n" #
    "::llvm::LogicalResult $cppClass::verify() { return verifyPointwise(*this, PointwiseTypes::" # typeRule # "); }\n" #
    "::llvm::SmallVector<::rtorch::layout::Dims> $cppClass::eagerStrides(::rtorch::layout::Guards &guards) { return pointwiseEagerStrides(*this, guards); }\n";
}

/// The dtype that an op's example shows.
class Rt_ExampleDtype<Type type> {
  string name = !cond(!eq(!cast<string>(type), "Rt_BoolTensor"): "i1",
                      !eq(!cast<string>(type), "Rt_IntOrBoolTensor"): "i64",
                      true: "f32");
}

class Rt_UnaryOp<string mnemonic, Type type, string what, string formula>
    : Rt_PointwiseOp<mnemonic, (ins type:$x), "$x", "type($x)", "Same", type, what, formula,
        "Operand and result have the same dtype.",
        "%y = rt." # mnemonic # " %x : !rt.tensor<4x" # Rt_ExampleDtype<type>.name #
        "> -> !rt.tensor<4x" # Rt_ExampleDtype<type>.name # ">">;

/// A test of one operand: the result is bool.
class Rt_PredicateOp<string mnemonic, Type type, string what, string formula>
    : Rt_PointwiseOp<mnemonic, (ins type:$x), "$x", "type($x)", "Predicate", Rt_BoolTensor, what, formula,
        "The result's dtype is bool.",
        "%y = rt." # mnemonic # " %x : !rt.tensor<4xf32> -> !rt.tensor<4xi1>">;

class Rt_BinaryOp<string mnemonic, Type type, string what, string formula>
    : Rt_PointwiseOp<mnemonic, (ins type:$a, type:$b), "$a `,` $b", "type($a) `,` type($b)",
        "Same", type, what, formula, "Operands and result have the same dtype.",
        "%y = rt." # mnemonic # " %a, %b : !rt.tensor<4x" # Rt_ExampleDtype<type>.name #
        ">, !rt.tensor<" # Rt_ExampleDtype<type>.name # "> -> !rt.tensor<4x" #
        Rt_ExampleDtype<type>.name # ">">;

class Rt_CompareOp<string mnemonic, string what, string formula>
    : Rt_PointwiseOp<mnemonic, (ins Rt_Tensor:$a, Rt_Tensor:$b), "$a `,` $b", "type($a) `,` type($b)",
        "Predicate", Rt_BoolTensor, what, formula,
        "Operands have the same dtype and the result's dtype is bool.",
        "%y = rt." # mnemonic # " %a, %b : !rt.tensor<4xf32>, !rt.tensor<f32> -> !rt.tensor<4xi1>">;

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

def Rt_NegOp : Rt_UnaryOp<"neg", Rt_Tensor, "-x", "return f.neg(x[0]);">;
def Rt_AbsOp : Rt_UnaryOp<"abs", Rt_Tensor, "|x|", "return f.abs(x[0]);">;
def Rt_SignOp : Rt_UnaryOp<"sign", Rt_Tensor, "-1, 0 or 1; 0 for NaN", "return f.sign(x[0]);">;
def Rt_FloorOp : Rt_UnaryOp<"floor", Rt_FloatTensor, "largest integer not above x", "return f.floor(x[0]);">;
def Rt_CeilOp : Rt_UnaryOp<"ceil", Rt_FloatTensor, "smallest integer not below x", "return f.ceil(x[0]);">;
def Rt_TruncOp : Rt_UnaryOp<"trunc", Rt_FloatTensor, "x without its fraction", "return f.trunc(x[0]);">;
def Rt_RoundOp : Rt_UnaryOp<"round", Rt_FloatTensor, "nearest integer, half to even", "return f.roundEven(x[0]);">;
def Rt_ReciprocalOp : Rt_UnaryOp<"reciprocal", Rt_FloatTensor, "1 / x", "return f.div(f.like(x[0], 1.0), x[0]);">;

def Rt_AddOp : Rt_BinaryOp<"add", Rt_Tensor, "a + b; or for bool", "return f.add(x[0], x[1]);">;
def Rt_SubOp : Rt_BinaryOp<"sub", Rt_Tensor, "a - b", "return f.sub(x[0], x[1]);">;
def Rt_MulOp : Rt_BinaryOp<"mul", Rt_Tensor, "a * b; and for bool", "return f.mul(x[0], x[1]);">;
def Rt_DivOp : Rt_BinaryOp<"div", Rt_FloatTensor, "a / b", "return f.div(x[0], x[1]);">;
def Rt_FloorDivideOp : Rt_BinaryOp<"floor_divide", Rt_Tensor, "floor(a / b)", "return f.floorDivide(x[0], x[1]);">;
def Rt_TruncDivideOp : Rt_BinaryOp<"trunc_divide", Rt_Tensor, "a / b without its fraction", "return f.truncDivide(x[0], x[1]);">;
def Rt_FmodOp : Rt_BinaryOp<"fmod", Rt_Tensor, "remainder with the sign of a", "return f.fmod(x[0], x[1]);">;
def Rt_RemainderOp : Rt_BinaryOp<"remainder", Rt_Tensor, "remainder with the sign of b", "return f.remainder(x[0], x[1]);">;
def Rt_MaximumOp : Rt_BinaryOp<"maximum", Rt_Tensor, "larger of both; NaN if either is", "return f.maximum(x[0], x[1]);">;
def Rt_MinimumOp : Rt_BinaryOp<"minimum", Rt_Tensor, "smaller of both; NaN if either is", "return f.minimum(x[0], x[1]);">;
def Rt_PowOp : Rt_BinaryOp<"pow", Rt_Tensor, "a to the power b; integers wrap, and negative exponents give 1 / a without its fraction", "return f.pow(x[0], x[1]);">;
def Rt_Atan2Op : Rt_BinaryOp<"atan2", Rt_FloatTensor, "angle of the point (b, a)", "return f.atan2(x[0], x[1]);">;
def Rt_CopySignOp : Rt_BinaryOp<"copysign", Rt_FloatTensor, "a with the sign of b", "return f.copySign(x[0], x[1]);">;
def Rt_NextAfterOp : Rt_BinaryOp<"nextafter", Rt_FloatTensor, "the number next to a on the way to b", "return f.nextAfter(x[0], x[1]);">;
def Rt_GcdOp : Rt_BinaryOp<"gcd", Rt_IntOrBoolTensor, "greatest common divisor", "return f.gcd(x[0], x[1]);">;

def Rt_PhiloxOp : Rt_BinaryOp<"philox", Rt_IntOrBoolTensor, "64 random bits of the counter a for the seed b, both int64: two words of Philox-2x32 of ten rounds", "return f.philox(x[0], x[1]);">;

//===----------------------------------------------------------------------===//
// Exponentials, trigonometry
//===----------------------------------------------------------------------===//

def Rt_SqrtOp : Rt_UnaryOp<"sqrt", Rt_FloatTensor, "square root", "return f.sqrt(x[0]);">;
def Rt_RsqrtOp : Rt_UnaryOp<"rsqrt", Rt_FloatTensor, "1 / sqrt(x)", "return f.div(f.like(x[0], 1.0), f.sqrt(x[0]));">;
def Rt_ExpOp : Rt_UnaryOp<"exp", Rt_FloatTensor, "e to the power x", "return f.exp(x[0]);">;
def Rt_Exp2Op : Rt_UnaryOp<"exp2", Rt_FloatTensor, "2 to the power x", "return f.exp2(x[0]);">;
def Rt_Expm1Op : Rt_UnaryOp<"expm1", Rt_FloatTensor, "exp(x) - 1", "return f.expm1(x[0]);">;
def Rt_LogOp : Rt_UnaryOp<"log", Rt_FloatTensor, "natural logarithm", "return f.log(x[0]);">;
def Rt_Log2Op : Rt_UnaryOp<"log2", Rt_FloatTensor, "logarithm to base 2", "return f.log2(x[0]);">;
def Rt_Log10Op : Rt_UnaryOp<"log10", Rt_FloatTensor, "logarithm to base 10", "return f.log10(x[0]);">;
def Rt_Log1pOp : Rt_UnaryOp<"log1p", Rt_FloatTensor, "log(1 + x)", "return f.log1p(x[0]);">;
def Rt_SinOp : Rt_UnaryOp<"sin", Rt_FloatTensor, "sine", "return f.sin(x[0]);">;
def Rt_CosOp : Rt_UnaryOp<"cos", Rt_FloatTensor, "cosine", "return f.cos(x[0]);">;
def Rt_TanOp : Rt_UnaryOp<"tan", Rt_FloatTensor, "tangent", "return f.tan(x[0]);">;
def Rt_AsinOp : Rt_UnaryOp<"asin", Rt_FloatTensor, "inverse sine", "return f.asin(x[0]);">;
def Rt_AcosOp : Rt_UnaryOp<"acos", Rt_FloatTensor, "inverse cosine", "return f.acos(x[0]);">;
def Rt_AtanOp : Rt_UnaryOp<"atan", Rt_FloatTensor, "inverse tangent", "return f.atan(x[0]);">;
def Rt_SinhOp : Rt_UnaryOp<"sinh", Rt_FloatTensor, "hyperbolic sine", "return f.sinh(x[0]);">;
def Rt_CoshOp : Rt_UnaryOp<"cosh", Rt_FloatTensor, "hyperbolic cosine", "return f.cosh(x[0]);">;
def Rt_TanhOp : Rt_UnaryOp<"tanh", Rt_FloatTensor, "hyperbolic tangent", "return f.tanh(x[0]);">;
def Rt_AsinhOp : Rt_UnaryOp<"asinh", Rt_FloatTensor, "inverse hyperbolic sine", "return f.asinh(x[0]);">;
def Rt_AcoshOp : Rt_UnaryOp<"acosh", Rt_FloatTensor, "inverse hyperbolic cosine", "return f.acosh(x[0]);">;
def Rt_AtanhOp : Rt_UnaryOp<"atanh", Rt_FloatTensor, "inverse hyperbolic tangent", "return f.atanh(x[0]);">;
def Rt_ErfOp : Rt_UnaryOp<"erf", Rt_FloatTensor, "error function", "return f.erf(x[0]);">;
def Rt_ErfcOp : Rt_UnaryOp<"erfc", Rt_FloatTensor, "1 - erf(x)", "return f.erfc(x[0]);">;
def Rt_ErfInvOp : Rt_UnaryOp<"erfinv", Rt_FloatTensor, "the y whose erf is x", "return f.erfInv(x[0]);">;
def Rt_LgammaOp : Rt_UnaryOp<"lgamma", Rt_FloatTensor, "logarithm of |gamma(x)|", "return f.lgamma(x[0]);">;
def Rt_DigammaOp : Rt_UnaryOp<"digamma", Rt_FloatTensor, "derivative of log(gamma(x))", "return f.digamma(x[0]);">;
def Rt_BesselI0Op : Rt_UnaryOp<"bessel_i0", Rt_FloatTensor, "modified Bessel function of order 0", "return f.besselI(x[0], 0, false);">;
def Rt_BesselI0eOp : Rt_UnaryOp<"bessel_i0e", Rt_FloatTensor, "bessel_i0(x) * exp(-|x|)", "return f.besselI(x[0], 0, true);">;
def Rt_BesselI1Op : Rt_UnaryOp<"bessel_i1", Rt_FloatTensor, "modified Bessel function of order 1", "return f.besselI(x[0], 1, false);">;
def Rt_BesselI1eOp : Rt_UnaryOp<"bessel_i1e", Rt_FloatTensor, "bessel_i1(x) * exp(-|x|)", "return f.besselI(x[0], 1, true);">;

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

def Rt_ReluOp : Rt_UnaryOp<"relu", Rt_Tensor, "max(x, 0)", "return f.relu(x[0]);">;
def Rt_SigmoidOp : Rt_UnaryOp<"sigmoid", Rt_FloatTensor, "1 / (1 + exp(-x))", "return f.sigmoid(x[0]);">;
def Rt_SiluOp : Rt_UnaryOp<"silu", Rt_FloatTensor, "x / (1 + exp(-x))",
  "return f.div(x[0], f.add(f.like(x[0], 1.0), f.exp(f.neg(x[0]))));">;
def Rt_GeluOp : Rt_UnaryOp<"gelu", Rt_FloatTensor, "x * (1 + erf(x / sqrt(2))) / 2",
  "return f.mul(f.mul(x[0], f.like(x[0], 0.5)), f.add(f.like(x[0], 1.0), f.erf(f.mul(x[0], f.like(x[0], 0.70710678118654752440)))));">;
def Rt_GeluTanhOp : Rt_UnaryOp<"gelu_tanh", Rt_FloatTensor,
  "x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2",
  "::mlir::Value cube = f.mul(f.mul(x[0], x[0]), x[0]);"
  "::mlir::Value inner = f.mul(f.like(x[0], 0.79788456080286535588), f.add(x[0], f.mul(f.like(x[0], 0.044715), cube)));"
  "return f.mul(f.mul(x[0], f.like(x[0], 0.5)), f.add(f.like(x[0], 1.0), f.tanh(inner)));">;

//===----------------------------------------------------------------------===//
// Comparison, logic, bits
//===----------------------------------------------------------------------===//

def Rt_EqOp : Rt_CompareOp<"eq", "a = b", "return f.compare(FormulaBuilder::Eq, x[0], x[1]);">;
def Rt_NeOp : Rt_CompareOp<"ne", "a differs from b", "return f.compare(FormulaBuilder::Ne, x[0], x[1]);">;
def Rt_LtOp : Rt_CompareOp<"lt", "a is smaller than b", "return f.compare(FormulaBuilder::Lt, x[0], x[1]);">;
def Rt_LeOp : Rt_CompareOp<"le", "a is not larger than b", "return f.compare(FormulaBuilder::Le, x[0], x[1]);">;
def Rt_GtOp : Rt_CompareOp<"gt", "a is larger than b", "return f.compare(FormulaBuilder::Gt, x[0], x[1]);">;
def Rt_GeOp : Rt_CompareOp<"ge", "a is not smaller than b", "return f.compare(FormulaBuilder::Ge, x[0], x[1]);">;
def Rt_IsNanOp : Rt_PredicateOp<"isnan", Rt_FloatTensor, "x is NaN", "return f.isNan(x[0]);">;
def Rt_IsInfOp : Rt_PredicateOp<"isinf", Rt_FloatTensor, "x is infinite", "return f.isInf(x[0]);">;
def Rt_LogicalNotOp : Rt_UnaryOp<"logical_not", Rt_BoolTensor, "not x", "return f.bitNot(x[0]);">;
def Rt_BitwiseNotOp : Rt_UnaryOp<"bitwise_not", Rt_IntOrBoolTensor, "each bit inverted", "return f.bitNot(x[0]);">;
def Rt_BitwiseAndOp : Rt_BinaryOp<"bitwise_and", Rt_IntOrBoolTensor, "a and b, each bit", "return f.bitAnd(x[0], x[1]);">;
def Rt_BitwiseOrOp : Rt_BinaryOp<"bitwise_or", Rt_IntOrBoolTensor, "a or b, each bit", "return f.bitOr(x[0], x[1]);">;
def Rt_BitwiseXorOp : Rt_BinaryOp<"bitwise_xor", Rt_IntOrBoolTensor, "a differs from b, each bit", "return f.bitXor(x[0], x[1]);">;
def Rt_ShiftLeftOp : Rt_BinaryOp<"shift_left", Rt_IntOrBoolTensor, "a * 2^b, wrapped; 0 for b outside of the width", "return f.shiftLeft(x[0], x[1]);">;
def Rt_ShiftRightOp : Rt_BinaryOp<"shift_right", Rt_IntOrBoolTensor, "floor(a / 2^b); 0 or -1 for b outside of the width", "return f.shiftRight(x[0], x[1]);">;

//===----------------------------------------------------------------------===//
// Selection, conversion
//===----------------------------------------------------------------------===//

def Rt_WhereOp : Rt_PointwiseOp<"where", (ins Rt_BoolTensor:$condition, Rt_Tensor:$a, Rt_Tensor:$b),
    "$condition `,` $a `,` $b", "type($condition) `,` type($a) `,` type($b)", "Select", Rt_Tensor,
    "a where the condition holds, else b", "return f.select(x[0], x[1], x[2]);",
    "`a`, `b` and the result have the same dtype.",
    "%y = rt.where %c, %a, %b : !rt.tensor<4xi1>, !rt.tensor<4xf32>, !rt.tensor<f32> -> !rt.tensor<4xf32>">;

def Rt_ConvertOp : Rt_PointwiseOp<"convert", (ins Rt_Tensor:$x), "$x", "type($x)", "Any", Rt_Tensor,
    "x in another dtype, as eager PyTorch casts",
    "return f.convert(x[0], ::mlir::cast<TensorType>(getResult().getType()).getElementType());",
    "The dtypes differ.",
    "%y = rt.convert %x : !rt.tensor<4xi64> -> !rt.tensor<4xf32>">;

#endif // RTORCH_DIALECTS_RT_POINTWISEOPS_TD
