// Constraints that families of ops share.
#pragma once

#include "dialects/rt/Rt.h"

namespace rtorch::rt {

/// Which dtypes a pointwise op demands beyond its operands' type constraints.
enum class PointwiseTypes {
  Same,      // all operands and the result equal
  Predicate, // operands equal, result bool
  Select,    // operands after the first and the result equal
  Any,
};

mlir::LogicalResult verifyView(ViewOpInterface op);
mlir::LogicalResult verifyPointwise(mlir::Operation *op, PointwiseTypes types);
mlir::LogicalResult verifyReduction(mlir::Operation *op, llvm::ArrayRef<int64_t> dims,
                                    bool keepdim);

llvm::SmallVector<layout::Dims> pointwiseEagerStrides(mlir::Operation *op,
                                                      layout::Guards &guards);
llvm::SmallVector<layout::Dims> rowMajorEagerStrides(mlir::Operation *op);

/// Whether `value` can be an element of dtype `type` (constraint C1 of rt.full).
bool fitsDtype(mlir::Attribute value, mlir::Type type);

/// Sizes of `type` as `[a, b]`.
std::string printSizes(TensorType type);

} // namespace rtorch::rt
