// The rt dialect: types, attributes, interfaces and ops.
#pragma once

#include "dialects/rt/FormulaBuilder.h"
#include "runtime/layout/Guards.h"
#include "runtime/layout/Layout.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Attributes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <optional>

namespace rtorch::layout {
/// Lets attributes that hold expressions be uniqued.
inline llvm::hash_code hash_value(const Expr &expr) { return expr.hash(); }
} // namespace rtorch::layout

namespace rtorch::rt {
class NextOp;
class YieldOp;
} // namespace rtorch::rt

#include "dialects/rt/RtDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/rt/RtAttributes.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/rt/RtTypes.h.inc"

#include "dialects/rt/RtInterfaces.h.inc"

#define GET_OP_CLASSES
#include "dialects/rt/RtOps.h.inc"

namespace rtorch::rt {

using TypedValue = ::mlir::TypedValue<TensorType>;

inline TensorType tensorType(mlir::Value value) {
  return mlir::cast<TensorType>(value.getType());
}

/// The symbols that `op` (a function or kernel) declares, ready for questions; the
/// checks that are made at its door are taken for granted.
layout::Guards guardsOf(mlir::Operation *op);
/// The guards of the closest parent that declares symbols.
layout::Guards guardsAround(mlir::Operation *op);

/// Appends what `guards` recorded to the checks at the door of the function `op`.
/// `source` is the user's line that needs them.
void addGuards(mlir::Operation *op, const layout::Guards &guards,
               llvm::StringRef source);
/// The relation that a `#rt.guard` names; nullopt for an unknown name.
std::optional<layout::Relation> relationNamed(llvm::StringRef name);

/// Name of the attribute that declares symbols on functions.
inline constexpr llvm::StringLiteral kSymbolsAttr = "rt.symbols";
/// Name of the function attribute with the checks that are made at the door.
inline constexpr llvm::StringLiteral kGuardsAttr = "rt.guards";

/// Discardable attribute of an rt.parameter whose last two dims are 1 (or true) up to
/// the diagonal, and 0 (or false) right of it.
inline constexpr llvm::StringLiteral kTriangularAttr = "rt.triangular";

/// Prints `[a, b]`, for diagnostics.
std::string printDims(const layout::Dims &dims);

} // namespace rtorch::rt
