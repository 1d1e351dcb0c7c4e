#include "compiler/import/ops/Dtype.h"

#include <cmath>

using namespace mlir;

namespace rtorch::translate {

bool isSupported(ScalarType type) {
  switch (type) {
  case ScalarType::Byte:
  case ScalarType::Char:
  case ScalarType::Short:
  case ScalarType::Int:
  case ScalarType::Long:
  case ScalarType::Half:
  case ScalarType::Float:
  case ScalarType::Double:
  case ScalarType::Bool:
  case ScalarType::BFloat16:
    return true;
  default:
    return false;
  }
}

Category categoryOf(ScalarType type) {
  switch (type) {
  case ScalarType::Bool:
    return Category::Bool;
  case ScalarType::Half:
  case ScalarType::BFloat16:
  case ScalarType::Float:
  case ScalarType::Double:
    return Category::Float;
  default:
    return Category::Int;
  }
}

Type elementType(MLIRContext *context, ScalarType type) {
  switch (type) {
  case ScalarType::Byte:
    return IntegerType::get(context, 8, IntegerType::Unsigned);
  case ScalarType::Bool:
    return IntegerType::get(context, 1);
  case ScalarType::Half:
    return Float16Type::get(context);
  case ScalarType::BFloat16:
    return BFloat16Type::get(context);
  case ScalarType::Float:
    return Float32Type::get(context);
  case ScalarType::Double:
    return Float64Type::get(context);
  default:
    return IntegerType::get(context, 8 * importer::itemSize(type));
  }
}

ScalarType dtypeOf(Type type) {
  if (type.isF16())
    return ScalarType::Half;
  if (type.isBF16())
    return ScalarType::BFloat16;
  if (type.isF32())
    return ScalarType::Float;
  if (type.isF64())
    return ScalarType::Double;
  if (type.isUnsignedInteger(8))
    return ScalarType::Byte;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return ScalarType::Bool;
  case 8:
    return ScalarType::Char;
  case 16:
    return ScalarType::Short;
  case 32:
    return ScalarType::Int;
  default:
    return ScalarType::Long;
  }
}

ScalarType promoteTypes(ScalarType a, ScalarType b) {
  if (a == b)
    return a;
  if (categoryOf(a) != categoryOf(b))
    return categoryOf(a) > categoryOf(b) ? a : b;
  if (isHalf(a) && isHalf(b))
    return ScalarType::Float;
  unsigned widthA = importer::itemSize(a), widthB = importer::itemSize(b);
  // uint8 and int8.
  if (widthA == widthB)
    return ScalarType::Short;
  return widthA > widthB ? a : b;
}

Scalar Scalar::of(const layout::Expr &expr) {
  if (std::optional<int64_t> value = expr.constant())
    return of(*value);
  return {Category::Int, 0, 0, expr};
}

Scalar Scalar::of(const importer::RealExpr &expr) {
  using Kind = importer::RealExpr::Kind;
  Scalar result{Category::Float, 0, expr.value, {}};
  if (expr.kind == Kind::Integer)
    result.expr = expr.integer;
  else if (expr.kind != Kind::Constant)
    result.realExpr = expr;
  return result;
}

std::optional<double> Scalar::constant() const {
  if (expr || realExpr)
    return std::nullopt;
  return category == Category::Float ? real : static_cast<double>(integer);
}

std::optional<layout::Expr> Scalar::intExpr() const {
  if (category == Category::Float)
    return std::nullopt;
  return expr ? *expr : layout::Expr(integer);
}

ScalarType Scalar::defaultDtype() const {
  switch (category) {
  case Category::Bool:
    return ScalarType::Bool;
  case Category::Int:
    return ScalarType::Long;
  default:
    return floatDtype;
  }
}

/// Promotes `type` into the dtype that an operand class has so far.
static void fold(std::optional<ScalarType> &into, ScalarType type) {
  into = into ? promoteTypes(*into, type) : type;
}

/// The higher class keeps its dtype unless the lower has a higher category.
static void foldClass(std::optional<ScalarType> &into,
                      const std::optional<ScalarType> &higher) {
  if (!higher)
    return;
  if (!into || categoryOf(*into) <= categoryOf(*higher))
    into = higher;
}

ScalarType resultType(ArrayRef<Operand> operands) {
  std::optional<ScalarType> withDims, zeroDim, number;
  for (const Operand &operand : operands) {
    if (!operand.tensor)
      fold(number, operand.scalar.defaultDtype());
    else if (rt::tensorType(operand.tensor).getRank() == 0)
      fold(zeroDim, dtypeOf(operand.tensor));
    else
      fold(withDims, dtypeOf(operand.tensor));
  }
  std::optional<ScalarType> result = number;
  foldClass(result, zeroDim);
  foldClass(result, withDims);
  return result.value_or(ScalarType::Float);
}

Scalar lowestOf(ScalarType dtype) {
  switch (dtype) {
  case ScalarType::Char:
    return Scalar::of(int64_t(INT8_MIN));
  case ScalarType::Short:
    return Scalar::of(int64_t(INT16_MIN));
  case ScalarType::Int:
    return Scalar::of(int64_t(INT32_MIN));
  case ScalarType::Long:
    return Scalar::of(int64_t(INT64_MIN));
  default:
    return isFloat(dtype) ? Scalar::of(-INFINITY) : Scalar::of(int64_t(0));
  }
}

Scalar highestOf(ScalarType dtype) {
  switch (dtype) {
  case ScalarType::Byte:
    return Scalar::of(int64_t(UINT8_MAX));
  case ScalarType::Char:
    return Scalar::of(int64_t(INT8_MAX));
  case ScalarType::Short:
    return Scalar::of(int64_t(INT16_MAX));
  case ScalarType::Int:
    return Scalar::of(int64_t(INT32_MAX));
  case ScalarType::Long:
    return Scalar::of(int64_t(INT64_MAX));
  default:
    return isFloat(dtype) ? Scalar::of(INFINITY) : Scalar::of(true);
  }
}

} // namespace rtorch::translate
