// Dtypes of PyTorch in the dialect, and how they promote.
#pragma once

#include "compiler/import/Graph.h"
#include "dialects/rt/Rt.h"

#include "llvm/ADT/ArrayRef.h"

#include <optional>

namespace rtorch::translate {

using importer::ScalarType;

/// bool < int < float decides promotion between dtypes of different categories.
enum class Category : uint8_t { Bool, Int, Float };

/// Whether the dialect has tensors of this dtype.
bool isSupported(ScalarType type);
Category categoryOf(ScalarType type);
inline bool isFloat(ScalarType type) { return categoryOf(type) == Category::Float; }
/// float16 or bfloat16: eager computes them in float32 and rounds once an op.
inline bool isHalf(ScalarType type) {
  return type == ScalarType::Half || type == ScalarType::BFloat16;
}

/// The element type of a supported dtype: bool is i1, uint8 is ui8.
mlir::Type elementType(mlir::MLIRContext *context, ScalarType type);
ScalarType dtypeOf(mlir::Type elementType);
inline ScalarType dtypeOf(mlir::Value value) {
  return dtypeOf(rt::tensorType(value).getElementType());
}

/// torch.promote_types for supported dtypes.
ScalarType promoteTypes(ScalarType a, ScalarType b);

/// A Python number of the graph: its category, and a constant or an expression over
/// sizes. A float with an integer expression is the integer converted.
struct Scalar {
  Category category = Category::Int;
  int64_t integer = 0; // Bool, Int
  double real = 0;     // Float
  std::optional<layout::Expr> expr;
  /// A float that is no integer's.
  std::optional<importer::RealExpr> realExpr = {};
  /// torch's default dtype where the graph was made.
  ScalarType floatDtype = ScalarType::Float;

  static Scalar of(bool value) { return {Category::Bool, value, 0, {}}; }
  static Scalar of(int64_t value) { return {Category::Int, value, 0, {}}; }
  static Scalar of(double value) { return {Category::Float, 0, value, {}}; }
  static Scalar of(const layout::Expr &expr);
  static Scalar of(const importer::RealExpr &expr);

  /// The constant as a double; nullopt for an expression.
  std::optional<double> constant() const;
  /// The value as an integer expression; nullopt for a float.
  std::optional<layout::Expr> intExpr() const;
  /// The dtype that a tensor made of it gets: bool, int64 or `floatDtype`.
  ScalarType defaultDtype() const;
};

/// The smallest and the largest number of a dtype: -inf and inf for floats.
Scalar lowestOf(ScalarType dtype);
Scalar highestOf(ScalarType dtype);

/// An operand that takes part in promotion: a tensor or a number.
struct Operand {
  mlir::Value tensor; // null: `scalar`
  Scalar scalar;
};

/// torch.result_type: tensors with dims, 0-d tensors and numbers are three classes, and
/// a lower class counts only if its category is higher.
ScalarType resultType(llvm::ArrayRef<Operand> operands);

} // namespace rtorch::translate
